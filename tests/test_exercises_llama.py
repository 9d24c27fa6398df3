"""The banks of chapters 18 and 19 ask for what the package computes, and for what Hugging Face's Llama computes."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

import exercises
from exercises.grader import notebook
from lmcore import blocks, tuning
from lmcore.check import llama, swap
from lmcore.check.diagnose import examine
from lmcore.llama import Llama
from lmcore.pretrained import from_huggingface, llama_names, to_huggingface
from tests.answers import drawn, reference, same

B, T, C, V, W, G, H, D = 3, 7, 5, 11, 13, 2, 6, 4


def integers(low, high, *shape, seed=7):
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))


# Chapter 18


SHOTS = [("France", "Paris"), ("New Zealand", "Wellington"), ("Kenya", "Nairobi"), ("Peru", "Lima")]


@pytest.mark.parametrize("title", ["", "the capital"])
@pytest.mark.parametrize("question", ["Italy", "South Korea"])
def test_few_shot_prompt_is_that_of_the_package_where_everything_fits(title, question):
    prompt = reference("few_shot_prompt")
    want = tuning.few_shot_prompt(SHOTS, question, title=title)
    assert prompt(title, SHOTS, question, len(want)) == want
    for limit in range(
        len(tuning.few_shot_prompt([], question, title=title)), len(want)
    ):  # with less room, the prompt of the newest examples that fit
        shorter = [tuning.few_shot_prompt(SHOTS[n:], question, title=title) for n in range(len(SHOTS) + 1)]
        fitting = [words for words in shorter if len(words) <= limit]
        assert prompt(title, SHOTS, question, limit) == max(fitting, key=len)


@pytest.mark.parametrize("question", ["Kenya", "New  Zealand"])
def test_a_few_shot_prompt_never_holds_the_answer_to_its_question(question):
    words = question.split()
    for limit in range(len(words) + 1, 40):
        prompt = reference("few_shot_prompt")("", SHOTS, question, limit)
        assert {"Kenya": "Nairobi", "New  Zealand": "Wellington"}[question] not in prompt
        assert prompt[-len(words) - 1 :] == [*words, "→"]


def batch():
    begins = integers(1, T - 2, B)
    return integers(0, V, B, T), begins, torch.minimum(begins + integers(1, 4, B, seed=3), torch.tensor(T))


def test_answer_loss_is_that_of_the_package_and_of_torch():
    logits, (ids, begins, lengths) = drawn(B, T, V).requires_grad_(), batch()
    model = SimpleNamespace(read=lambda read: logits[:, : read.shape[1]], output=lambda states: states)
    got = reference("answer_loss")(logits, ids, begins, lengths)
    same(got, tuning.answer_loss(model, tuning.AnswerBatch(ids, begins, lengths)), [logits])
    place = torch.arange(T)
    asked = (place >= begins[:, None]) & (place < lengths[:, None])
    targets = ids.masked_fill(~asked, -100)[:, 1:]
    same(got, F.cross_entropy(logits[:, :-1].flatten(0, 1), targets.flatten()), [logits])


@pytest.mark.parametrize("size", [1.0, 300.0])
@pytest.mark.parametrize("beta", [0.1, 2])
def test_dpo_loss_is_that_of_the_package(size, beta):
    policy = [(-size * drawn(B, seed=n).abs()).requires_grad_() for n in (1, 2)]
    before = [-size * drawn(B, seed=n).abs() for n in (3, 4)]
    same(reference("dpo_loss")(*policy, before, beta), tuning.dpo_loss(*policy, *before, beta), policy)


def test_dpo_loss_has_the_gradient_that_the_notebook_states():
    chosen, rejected, before, other = (3 * drawn(1, seed=n) for n in (1, 2, 3, 4))
    policy, beta = [part.requires_grad_() for part in (chosen, rejected)], 0.7
    wins, loses = torch.autograd.grad(reference("dpo_loss")(*policy, (before, other), beta), policy)
    want = -beta * torch.sigmoid(beta * (rejected - other) - beta * (chosen - before))
    torch.testing.assert_close(wins, want.detach())
    torch.testing.assert_close(loses, -want.detach())


# Chapter 19


@pytest.fixture(scope="module")
def theirs():
    pytest.importorskip("transformers", reason="Hugging Face transformers is not installed")
    from transformers.models.llama import modeling_llama

    return modeling_llama


def networks():
    """A network of the package, and its three matrices."""
    torch.manual_seed(3)
    network = blocks.SwiGLU(C, W).double()
    return network, [*network.linear1.weight.chunk(2), network.linear2.weight]


def test_rms_norm_is_that_of_the_package_and_of_torch():
    x, weight = drawn(B, T, C).requires_grad_(), drawn(C, seed=2).requires_grad_()
    got = reference("rms_norm")(x, weight, 0.3)
    same(got, blocks.rms_norm(x, weight, 0.3), [x, weight])
    same(got, F.rms_norm(x, (C,), weight, 0.3), [x, weight])


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_rms_norm_is_that_of_hugging_face_in_their_formats(theirs, dtype):
    norm = theirs.LlamaRMSNorm(C, eps=1e-3)
    with torch.no_grad():
        norm.weight.copy_(drawn(C, seed=2))
        norm, x = norm.to(dtype), (700 * drawn(B, T, C)).to(dtype)
        assert x.square().isinf().any() == (dtype == torch.float16)
        torch.testing.assert_close(reference("rms_norm")(x, norm.weight, 1e-3), norm(x))


def test_swiglu_is_that_of_the_package_and_of_hugging_face(theirs):
    network, matrices = networks()
    x = drawn(B, T, C).requires_grad_()
    got = reference("swiglu")(x, *matrices)
    same(got, network(x), [x, network.linear1.weight, network.linear2.weight])
    config = SimpleNamespace(hidden_size=C, intermediate_size=W, mlp_bias=False, hidden_act="silu")
    mlp = theirs.LlamaMLP(config).double()
    mlp.load_state_dict(dict(zip(["gate_proj.weight", "up_proj.weight", "down_proj.weight"], matrices, strict=True)))
    same(got, mlp(x), [x])


def test_repeat_heads_is_that_of_hugging_face(theirs):
    x = drawn(B, G, T, D).requires_grad_()
    got = reference("repeat_heads")(x, H)
    same(got, theirs.repeat_kv(x, H // G), [x])
    summed = torch.autograd.grad((got * (weights := drawn(B, H, T, D, seed=5))).sum(), x)[0]
    torch.testing.assert_close(summed, weights.unflatten(1, (G, -1)).sum(2))  # a shared key learns from all of its heads


def case(probe):
    """A batch for a model, in single precision."""
    x, matrices = drawn(2, 3, C), [drawn(W, C, seed=1), drawn(W, C, seed=2), drawn(C, W, seed=3)]
    given = {"rms": [x, drawn(C, seed=4), 0.02], "gated": [x, *matrices], "shared": [drawn(2, G, 3, D), H]}[probe]
    return [part.float() if isinstance(part, torch.Tensor) else part for part in given]


def test_heads_that_are_pooled_and_repeated_are_alike_in_each_group():
    """A matrix whose heads are equal within each group comes back; any other becomes such a matrix."""
    weight = drawn(H * D, C)
    pooled = reference("pooled_heads")(weight, H, G)
    assert pooled.shape == (G * D, C)
    repeated = reference("repeat_heads")(pooled.view(1, G, D, C), H).view(H * D, C)
    torch.testing.assert_close(reference("pooled_heads")(repeated, H, G), pooled)
    torch.testing.assert_close(repeated.view(H, D, C).mean(0), weight.view(H, D, C).mean(0))


@pytest.mark.usefixtures("unchecked")
def test_a_llama_with_pooled_heads_is_a_llama_with_so_many_key_heads():
    """The function in a model of H key heads, and its matrices in a model of G."""
    weight = drawn(H * D, C).float()
    one = llama.pooled(weight, H, G)
    state = to_huggingface(one.model, one.names)
    assert torch.equal(state["model.layers.0.self_attn.k_proj.weight"], weight)
    one.put(reference("pooled_heads"))
    found = one.outcome()
    for name in ("k_proj", "v_proj"):
        key = f"model.layers.0.self_attn.{name}.weight"
        state[key] = reference("pooled_heads")(state[key], H, G)
    fewer = replace(one.model.config, kv_heads=G)
    small = Llama(fewer)
    from_huggingface(small, state, llama_names(fewer))
    torch.testing.assert_close(found["logits"], small(torch.arange(6).view(2, 3)), atol=1e-5, rtol=1e-4)
    assert set(found["gradients"]) == set(state)
    assert found["gradients"]["model.layers.0.self_attn.k_proj.weight"].shape == weight.shape


MAKERS = {"rms": llama.norms, "gated": llama.networks, "shared": llama.shared_heads}
NAMES = {"rms": "rms_norm", "gated": "swiglu", "shared": "repeat_heads"}


@pytest.mark.parametrize("probe", MAKERS)
@pytest.mark.usefixtures("unchecked")
def test_the_model_with_the_function_is_hugging_faces_llama(theirs, probe):
    """Logits, loss and the gradient of every tensor of their checkpoint, where ours runs on the reference."""
    args = case(probe)
    one = MAKERS[probe](*args)
    assert one is not None
    one.put(reference(NAMES[probe]))
    found, ours = one.outcome(), one.model.config
    sizes = {"vocab_size": ours.vocab_size, "hidden_size": ours.dim, "num_hidden_layers": ours.layers}
    sizes |= {"intermediate_size": ours.width, "num_attention_heads": ours.heads, "num_key_value_heads": ours.key_heads}
    sizes |= {"head_dim": ours.head_width, "rms_norm_eps": ours.eps, "bos_token_id": None, "eos_token_id": None}
    from transformers import LlamaConfig

    model = theirs.LlamaForCausalLM(LlamaConfig(**sizes))
    model.load_state_dict(to_huggingface(one.model, one.names))
    logits = model(swap.ids_like(args[0] if probe != "shared" else args[0][:, 0])).logits
    torch.testing.assert_close(found["logits"], logits, atol=1e-4, rtol=1e-4)
    places = torch.arange(logits[..., 0].numel()) % swap.VOCABULARY
    loss = F.cross_entropy(logits.flatten(0, 1), places)
    torch.testing.assert_close(found["loss"], loss)
    named = dict(model.named_parameters())
    assert set(found["gradients"]) == set(named)
    for name, gradient in zip(named, torch.autograd.grad(loss, list(named.values())), strict=True):
        torch.testing.assert_close(found["gradients"][name], gradient, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("probe", MAKERS)
@pytest.mark.usefixtures("unchecked")
def test_the_model_has_the_parameters_of_the_case_and_calls_the_function_at_every_place(probe):
    calls = []

    def watched(*args):
        calls.append(args)
        return reference(NAMES[probe])(*args)

    args = case(probe)
    one = MAKERS[probe](*args)
    plain = one.outcome()
    assert calls == []
    one.put(watched)
    with_function = one.outcome()
    assert len(calls) == {"rms": 3, "gated": 1, "shared": 2}[probe]
    for part in ("logits", "loss", "gradients"):
        torch.testing.assert_close(with_function[part], plain[part], atol=1e-5, rtol=1e-4)
    for got, want in zip(calls[0][1:], args[1:], strict=True):  # what it is given besides the vectors
        assert torch.equal(got, want) if isinstance(want, torch.Tensor) else got == want


@pytest.mark.parametrize(("name", "probe"), [(name, probe) for probe, name in (NAMES | {"pooled": "pooled_heads"}).items()])
def test_these_run_in_a_model_on_a_public_and_on_a_hidden_case(name, probe):
    exercise = exercises.get(name)
    assert exercise.probe == probe
    question = exercise.question(seed=1)
    ran = [(case.public, want.value) for case, want in zip(question.cases, question.expected, strict=True) if want.value]
    assert {public for public, value in ran if value.get("model")} == {True, False}
    assert all(value.get("model", True) for _, value in ran)


# Ready-made functions


def packaged_answers(logits, ids, begins, lengths):
    model = SimpleNamespace(read=lambda read: logits[:, : read.shape[1]], output=lambda states: states)
    return tuning.answer_loss(model, tuning.AnswerBatch(ids, begins, lengths))


def torch_answers(logits, ids, begins, lengths):
    place = torch.arange(ids.shape[1])
    targets = ids.masked_fill((place < begins[:, None]) | (place >= lengths[:, None]), -100)
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), targets[:, 1:].flatten())


def packaged_prompt(title, shots, question, limit):
    kept = [shot for shot in shots if shot[0].split() != question.split()]
    for n in range(len(kept) + 1):
        words = tuning.few_shot_prompt(kept[n:], question, title=title)
        if len(words) <= limit:
            return words


def packaged_network(x, W_gate, W_up, W_down):
    return blocks.swiglu(F.linear(x, torch.cat([W_gate, W_up]))) @ W_down.T


def with_torch_silu(x, W_gate, W_up, W_down):
    return (F.silu(x @ W_gate.T) * (x @ W_up.T)) @ W_down.T


def with_module(x, W_gate, W_up, W_down):
    return (torch.nn.SiLU()(x @ W_gate.T) * (x @ W_up.T)) @ W_down.T


def packaged_norm(x, weight, eps):
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return blocks.rms_norm(wide, weight.to(wide), float(eps)).to(x.dtype)


CHEATS = {
    "few_shot_prompt": [packaged_prompt],
    "answer_loss": [packaged_answers, torch_answers],
    "dpo_loss": [lambda chosen, rejected, reference, beta: tuning.dpo_loss(chosen, rejected, *reference, beta)],
    "rms_norm": [packaged_norm, lambda x, weight, eps: F.rms_norm(x, weight.shape, weight, eps)],
    "swiglu": [packaged_network, with_torch_silu, with_module],
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", CHEATS)
def test_what_is_ready_made_is_no_answer(name):
    question = exercises.get(name).question(seed=1)
    for cheat in CHEATS[name]:
        assert examine(replace(question, ready=()), cheat).passed, cheat
        result = examine(question, cheat)
        assert not all(passed for _, _, passed in result.cases)
        assert "ReadyMadeError" in str(result)


def test_every_exercise_of_these_chapters_refuses_the_package():
    for chapter in ("ch18_prompting", "ch19_llama"):
        for exercise in exercises.bank(chapter):
            assert "lmcore" in exercise.ready
            assert exercise.name in CHEATS or exercise.name.endswith("_heads")  # which no public function of the package is


def headings(chapter):
    """The titles of a notebook's exercises."""
    lines = notebook.path(chapter).read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("## ") for line in lines if line.startswith("## ") and line != "## Hand in"]


def test_no_title_stands_twice_in_the_book():
    titles = [title for chapter in exercises.chapters() for title in headings(chapter)]
    assert len(set(titles)) == len(titles) == len(exercises.names())


@pytest.mark.parametrize("chapter", ["ch18_prompting", "ch19_llama"])
def test_the_chapter_lists_its_exercises_with_their_facts(chapter):
    page = (notebook.path(chapter).parents[2] / "chapters" / f"{chapter.removeprefix('ch')}.md").read_text(encoding="utf-8")
    rows = zip(headings(chapter), exercises.bank(chapter), strict=True)
    table = [f"| {title} | {exercise.minutes} | {exercise.difficulty} of 3 |" for title, exercise in rows]
    assert "\n".join(table) in page
