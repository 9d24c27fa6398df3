"""The banks of chapters 16 and 17 ask for what the package computes, and parts of a GPT-2 run in small and in real ones."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

import exercises
from lmcore import attention, bert, generate, pretrained
from lmcore.bpe import BPE
from lmcore.check import gpt2, swap
from lmcore.check.diagnose import examine
from lmcore.check.run import Case, run_case
from lmcore.check.values import NOT_INSTALLED, difference
from lmcore.gpt import GPT, GPTConfig, next_token_loss
from tests.answers import drawn, integers, reference, same

B, T, S, C, H, V = 3, 5, 7, 6, 2, 11


def small_gpt(layers=2, std=0.5, **how):
    torch.manual_seed(3)
    config = {"max_length": S, "dim": C, "heads": H, "layers": layers, "hidden": 5, "activation": "gelu_tanh", "std": std}
    return GPT(GPTConfig(V, **(config | how))).double()


# Chapter 16


def test_shifted_loss_is_the_loss_of_the_package():
    model, ids, lengths = small_gpt(), integers(V, B, S), torch.tensor([7, 1, 4])
    targets = torch.where(torch.arange(1, S) < lengths[:, None], ids[:, 1:], -100)
    got = reference("shifted_loss")(model(ids), ids, lengths)
    same(got, next_token_loss(model, (ids[:, :-1], targets)), list(model.parameters()))


@pytest.mark.parametrize("new", [1, 3, S])
def test_causal_weights_are_those_of_the_package(new):
    q, k = drawn(B, H, new, 3).requires_grad_(), drawn(B, H, S, 3, seed=1).requires_grad_()
    mask = attention.causal_mask(new, S)
    want = attention.scaled_dot_product(q, k, torch.zeros(B, H, S, 1).double(), mask)[1]
    same(reference("causal_weights")(q @ k.mT / 3**0.5), want, [q, k])


def test_tied_gradient_is_that_of_a_tied_model_and_the_sum_of_an_untied_one_s():
    ids, model, kept = integers(V, B, T), small_gpt(), {}
    for name, part in (("x", model.embedding), ("h", model.norm)):
        part.register_forward_hook(lambda part, given, value, name=name: kept.update({name: value}))
    logits = model(ids)
    loss = F.cross_entropy(logits.flatten(0, 1), integers(V, B, T, seed=1).flatten())
    read, written = torch.autograd.grad(loss, [kept["x"], logits], retain_graph=True)
    got = reference("tied_gradient")(ids, kept["h"].detach(), read, written)
    torch.testing.assert_close(got, torch.autograd.grad(loss, model.embedding.weight)[0])
    untied = GPT(replace(model.config, tied=False)).double()
    untied.load_state_dict(model.state_dict() | {"head.weight": model.embedding.weight.detach()})
    F.cross_entropy(untied(ids).flatten(0, 1), integers(V, B, T, seed=1).flatten()).backward()
    torch.testing.assert_close(got, untied.embedding.weight.grad + untied.head.weight.grad)


def first_weights(layers, function=None, dim=64, std=0.02):
    """A GPT whose first weights are those of the exercise."""
    model = small_gpt(layers, std=std, dim=dim, hidden=4 * dim)
    names = pretrained.gpt2_names(layers)
    shapes = pretrained.to_huggingface(model, names)
    draws = {name.removeprefix("transformer."): drawn(*part.shape, seed=n) for n, (name, part) in enumerate(shapes.items())}
    made = (function or reference("residual_init"))(draws, std)
    pretrained.from_huggingface(model, {f"transformer.{name}": part for name, part in made.items()}, names)
    return model


@pytest.mark.parametrize(("layers", "std"), [(2, 0.02), (11, 0.1)])
def test_first_weights_have_the_distributions_of_the_package(layers, std):
    ours, fresh = first_weights(layers, std=std), small_gpt(layers, std=std, dim=64, hidden=256)
    for (name, got), want in zip(ours.named_parameters(), fresh.parameters(), strict=True):
        if want.ndim == 1:
            assert torch.equal(got, want), name
        else:
            assert got.std().item() == pytest.approx(want.std().item(), rel=0.15), name


def test_first_weights_add_as_much_in_a_deep_model_as_in_a_flat_one():
    def added(function):
        sizes = []
        for layers in (2, 32):
            states = first_weights(layers, function, std=0.1).look(integers(V, B, S)).states
            sizes.append((states[-1] - states[0]).std().item())
        return sizes[1] / sizes[0]

    alike = next(wrong for wrong in exercises.get("residual_init").wrong if wrong.__name__ == "all_matrices_alike")
    assert added(reference("residual_init")) < 1.5
    assert added(alike) > 2.5


# Chapter 17


@pytest.mark.parametrize(("temperature", "k"), [(0.3, 1), (1.0, 4), (1.7, V), (0.8, 99)])
def test_temperature_and_top_k_is_that_of_the_package(temperature, k):
    logits = integers(4, 13, V).double()  # with many ties
    want = generate.filtered(logits, temperature=temperature, top_k=k).softmax(1)
    torch.testing.assert_close(reference("temperature_and_top_k")(logits, temperature, k), want)


@pytest.mark.parametrize("p", [0.001, 0.3, 0.9, 1.0])
def test_nucleus_is_that_of_the_package(p):
    logits = 2 * drawn(13, V)
    want = generate.top_p(logits, p).softmax(1)
    torch.testing.assert_close(reference("nucleus")(logits.softmax(1), p), want)
    assert p != 0.9 or (want > 0).sum(1).unique().numel() > 2


@pytest.mark.parametrize("penalty", [0.7, 1.0, 1.3])
def test_repetition_penalty_is_that_of_the_package(penalty):
    logits, ids = drawn(B, V), integers(V, B, 13)
    want = generate.repetition_penalty(logits, ids, penalty)
    assert torch.equal(reference("repetition_penalty")(logits, ids, penalty), want)


def searched(model, prompts, width, steps, end):
    """Beam search over several prompts with the function of the exercise and the model's cache: texts and scores."""
    N = len(prompts)
    ids = prompts.repeat_interleave(width, 0)
    state, last = model.begin(ids[:, :-1]), ids[:, -1]
    scores = torch.full((N, width), -math.inf).double()
    scores[:, 0] = 0.0
    ended, texts = torch.zeros(N, width, dtype=torch.bool), ids[:, :0]
    for _ in range(steps):
        logits, state = model.step(last, state)
        scores, rows, tokens = reference("batched_beams")(scores, logits.view(N, width, -1), ended, end)
        state, last, ended = model.select(state, rows.flatten()), tokens.flatten(), tokens == end
        texts = torch.cat([texts[rows.flatten()], last[:, None]], 1)
    return texts.view(N, width, -1), scores


@torch.no_grad()
def test_batched_beams_search_as_one_prompt_after_another_without_a_cache():
    model, prompts, width, steps, end = small_gpt(std=1.0, max_length=13), integers(V, 3, 2), 4, 5, 9
    texts, scores = searched(model, prompts, width, steps, end)
    ends = 0
    for n, prompt in enumerate(prompts.tolist()):
        beam = [(0.0, [])]
        for _ in range(steps):
            longer = []
            for score, text in beam:
                if text and text[-1] == end:
                    longer.append((score, [*text, end]))
                else:
                    log_q = model(torch.tensor([prompt + text]))[0, -1].log_softmax(0)
                    longer += [(score + q, [*text, v]) for v, q in enumerate(log_q.tolist())]
            beam = sorted(longer, reverse=True)[:width]
        assert texts[n].tolist() == [text for _, text in beam]
        torch.testing.assert_close(scores[n], torch.tensor([score for score, _ in beam]).double())
        ends += sum(end in text for _, text in beam)
    assert 0 < ends < 3 * width


@torch.no_grad()
def test_a_wide_enough_beam_finds_what_the_package_s_search_finds():
    model, prompts, end = small_gpt(std=1.0), integers(V, 2, 2), 2
    texts, scores = searched(model, prompts, V**3, 3, end)
    state, last = model.begin(prompts[:, :-1]), prompts[:, -1]
    for n, found in enumerate(generate.beam(model, state, last, width=V**3, end=[end] * 2, max_length=3, refill=True)):
        best = max(found, key=lambda text: text.log_prob)
        text = texts[n, 0].tolist()
        assert text[: text.index(end) if end in text else None] == list(best.ids)
        assert math.isclose(scores[n, 0], best.log_prob, rel_tol=1e-9)


@pytest.mark.parametrize(("new", "past"), [(1, 4), (3, 0), (2, 3)])
def test_append_and_attend_is_the_cached_attention_of_the_package(new, past):
    layer = small_gpt(1).layers[0].self_attn
    x, before = drawn(B, new, C).requires_grad_(), drawn(B, past, C, seed=1)
    cache = attention.Cache()
    nothing = torch.zeros(B, H, 0, C // H).double()
    if past:
        with torch.no_grad():
            layer(before, causal=True, cache=cache)
    kept = (cache.keys, cache.values) if past else (nothing, nothing)
    own = {
        "c_attn.weight": layer.in_proj_weight.mT,
        "c_attn.bias": layer.in_proj_bias,
        "c_proj.weight": layer.out_proj.weight.mT,
        "c_proj.bias": layer.out_proj.bias,
    }
    got = reference("append_and_attend")(x, *kept, own)
    want = layer(x, causal=True, cache=cache)[0], cache.keys, cache.values
    flat = (torch.cat([part.flatten() for part in parts]) for parts in (got, want))
    same(*flat, [x, layer.in_proj_weight, layer.in_proj_bias])


def test_the_steps_are_those_of_hugging_face_s_gpt2():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=V, n_positions=S, n_embd=C, n_layer=2, n_head=H, attn_implementation="eager")
    torch.manual_seed(5)
    theirs = transformers.GPT2LMHeadModel(config).double().eval()
    model, names = small_gpt(hidden=None), pretrained.gpt2_names(2)
    pretrained.from_huggingface(
        model, {name: part for name, part in theirs.named_parameters() if name != "lm_head.weight"}, names
    )
    gpt2.put_steps(model, reference("append_and_attend"))
    ids = integers(V, B, S)
    torch.testing.assert_close(gpt2._step_by_step(model, ids), theirs(ids).logits)


# Parts of a small GPT-2


SWAPS = {
    "causal_weights": (gpt2.causal, lambda: [drawn(2, 3, 2, 5)]),
    "shifted_loss": (gpt2.losses, lambda: [drawn(2, 4, V), integers(V, 2, 4), torch.tensor([4, 3])]),
    "append_and_attend": (gpt2.cached, lambda: [drawn(2, 3, C), *kept_before(), parameters()]),
}


def kept_before():
    return drawn(2, H, 4, C // H, seed=1), drawn(2, H, 4, C // H, seed=2)


def parameters():
    shapes = {"c_attn.weight": (C, 3 * C), "c_attn.bias": (3 * C,), "c_proj.weight": (C, C), "c_proj.bias": (C,)}
    return {name: drawn(*shape, seed=n) for n, (name, shape) in enumerate(shapes.items())}


def exact(got, want):
    def plain(part):
        return {key: plain(item) for key, item in part.items()} if isinstance(part, dict) else part.detach()

    return difference(plain(got), plain(want), 1e-9, 1e-9) is None


@pytest.mark.parametrize("name", SWAPS)
def test_a_small_gpt2_with_the_reference_is_itself_and_with_a_wrong_answer_is_not(name):
    make, args = SWAPS[name]
    own = make(*args())
    if name == "shifted_loss":
        ids, lengths = args()[1:]
        own.loss = lambda logits: F.cross_entropy(
            torch.cat([logits[b, : n - 1] for b, n in enumerate(lengths)]),
            torch.cat([ids[b, 1:n] for b, n in enumerate(lengths)]),
        )
    want, found = own.outcome(), {}
    for answer in (reference(name), *exercises.get(name).right, *exercises.get(name).wrong[3:6]):
        swapped, calls = make(*args()), []
        swapped.put(lambda *given, answer=answer, calls=calls: calls.append(1) or answer(*given))
        found[answer.__name__] = exact(swapped.outcome(), want)
        assert calls
    assert list(found.values()) == [True] * 4 + [False] * 3
    names = pretrained.gpt2_names(1)
    shapes = pretrained.to_huggingface(own.model, names)
    assert {key: part.shape for key, part in want["gradients"].items()} == {key: part.shape for key, part in shapes.items()}
    assert make(*(part[:1] if isinstance(part, torch.Tensor) else part for part in args())) is None


def test_the_model_with_the_steps_gives_the_logits_of_one_pass_and_reads_the_parameters_of_the_case():
    make, args = SWAPS["append_and_attend"]
    swapped = make(*args())
    ids = swap.ids_like(drawn(2, 4, 1))
    in_one_pass = swapped.model(ids)
    swapped.put(reference("append_and_attend"))
    torch.testing.assert_close(swapped.outcome()["logits"], in_one_pass)
    for key in parameters():
        changed = parameters()
        changed[key] = changed[key] + 0.5 * drawn(*changed[key].shape, seed=91)
        assert not exact({"l": make(*args()[:3], changed).model(ids)}, {"l": in_one_pass})


def test_a_step_with_the_tied_gradient_is_one_of_gradient_descent():
    args = [integers(V, 2, T), drawn(2, T, C), drawn(2, T, C, seed=1), drawn(2, T, V, seed=2)]
    found = gpt2.in_a_tied_model(reference("tied_gradient"), args)["model"]
    model, ids = gpt2._small(args[1], C, 1, T, vocabulary=V), args[0]

    def loss():
        return F.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())

    before = loss()
    before.backward()
    torch.testing.assert_close(found["gradient"], model.embedding.weight.grad)
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    torch.testing.assert_close([found["loss"], found["loss after a step"]], [before, loss()])
    assert found["loss after a step"] < found["loss"]
    half = gpt2.in_a_tied_model(lambda *given: reference("tied_gradient")(*given) / 2, args)["model"]
    assert half["loss after a step"] > found["loss after a step"]
    assert gpt2.in_a_tied_model(lambda *given: torch.zeros(V), args)["model"] is None


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["shifted_loss", "causal_weights", "tied_gradient", "append_and_attend"])
def test_one_public_case_has_a_model(name):
    question = exercises.get(name).question(seed=1)
    have = [case for case, want in zip(question.cases, question.expected, strict=True)
            if isinstance(want.value, dict) and "model" in want.value]  # fmt: skip
    assert len(have) == 1
    assert have[0].public


# GPT-2 itself, where it is installed


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A small GPT-2 in the place of the real one."""
    tokenizer = BPE.train("the keys to the old house are on the table, and the door " * 3, 280)
    model = GPT(GPTConfig(len(tokenizer), max_length=99, dim=8, heads=2, layers=2, activation="gelu_tanh", std=0.5))
    pretrained.save_gpt2(tmp_path, swap.drawn(model, torch.ones(1)), tokenizer)
    monkeypatch.setattr(pretrained, "installed", lambda name: tmp_path)
    gpt2._gpt2.cache_clear()
    yield
    gpt2._gpt2.cache_clear()


@pytest.mark.usefixtures("installed", "unchecked")
def test_gpt2_with_the_reference_reads_and_goes_on_as_it_does_by_itself_and_only_with_it():
    exercise, device = exercises.get("append_and_attend"), torch.device("cpu")
    model, tokenizer = gpt2._gpt2(device)
    ids = torch.tensor([tokenizer.encode(gpt2.TEXT)])
    logits = model(ids)[0]
    loss, best = F.cross_entropy(logits[:-1], ids[0, 1:]).item(), tokenizer.decode([int(logits[-1].argmax())])
    for answer in (exercise.reference, *exercise.right):
        found = gpt2.in_gpt2(answer, device)
        assert found["loss"] == pytest.approx(loss, abs=1e-5)
        assert found["likeliest"] == best
    same = {"new_tokens_in_front", "caches_exchanged", "only_the_new_returned", "cache_left_as_it_was"}  # not from the values
    for answer in exercise.wrong:
        # Read token by token, nothing behind a cache needs a mask.
        if answer.__name__ not in same | {"cache_detached", "no_mask_behind_a_cache"}:
            assert gpt2.in_gpt2(answer, device)["loss"] != pytest.approx(loss, abs=1e-5), answer.__name__

    def raises(*given):
        raise KeyError("no")

    with pytest.raises(KeyError):
        gpt2.in_gpt2(raises, device)
    torch.testing.assert_close(model(ids)[0], logits)
    assert "2 layers, width 8, 280 tokens" in gpt2.real_gpt2()


@pytest.mark.usefixtures("installed", "unchecked")
def test_the_answer_for_two_texts_says_what_gpt2_does_with_it():
    args = [drawn(2, 3, C).float(), *(part.float() for part in kept_before())]
    args += [{name: part.float() for name, part in parameters().items()}]
    answer = run_case(reference("append_and_attend"), Case(tuple(args), "a case"), probe="cached")
    assert list(answer.value) == ["value", "gradients", "model", "GPT-2"]
    assert set(answer.value["GPT-2"]) == {"loss", "likeliest"}


@pytest.mark.usefixtures("unchecked")
def test_without_gpt2_the_answer_and_a_sentence_say_so(monkeypatch):
    monkeypatch.setattr(pretrained, "installed", lambda name: None)
    gpt2._gpt2.cache_clear()
    assert gpt2.in_gpt2(reference("append_and_attend"), torch.device("cpu")) == NOT_INSTALLED
    assert 'pretrained.load("gpt2")' in gpt2.real_gpt2()
    gpt2._gpt2.cache_clear()


def test_a_model_is_installed_where_all_of_its_files_are(tmp_path, monkeypatch):
    monkeypatch.setenv("LMCORE_DATA", str(tmp_path / "ours"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "theirs"))
    model = pretrained.MODELS["gpt2"]
    assert pretrained.installed("gpt2") is None
    ours = tmp_path / "ours/models" / model.repository
    theirs = tmp_path / "theirs" / f"models--{model.repository.replace('/', '--')}" / "snapshots" / model.revision
    for where in (ours, theirs):
        where.mkdir(parents=True)
        for file in model.files:
            assert pretrained.installed("gpt2") == (None if where is ours else ours)
            (where / file).touch()
        assert pretrained.installed(model.repository) == where
    with pytest.raises(ValueError, match="'gpt5' is no model"):
        pretrained.installed("gpt5")


# Ready-made functions


def attended_by_torch(x, keys, values, parameters):
    together = x @ parameters["c_attn.weight"] + parameters["c_attn.bias"]
    q, k, v = together.unflatten(2, (3, keys.shape[1], -1)).permute(2, 0, 3, 1, 4)
    keys, values = torch.cat([keys, k], 2), torch.cat([values, v], 2)
    mask = torch.ones(q.shape[2], keys.shape[2], dtype=torch.bool).tril(keys.shape[2] - q.shape[2])
    found = F.scaled_dot_product_attention(q, keys, values, mask).transpose(1, 2).flatten(2)
    return found @ parameters["c_proj.weight"] + parameters["c_proj.bias"], keys, values


def weighed_by_the_package(scores):
    T, S = scores.shape[2:]
    return attention.masked_softmax(scores, attention.causal_mask(T, S))


def lost_by_the_package(logits, ids, lengths):
    targets = torch.where(torch.arange(1, ids.shape[1]) < lengths[:, None], ids[:, 1:], -100)
    return bert.masked_loss(logits[:, :-1], targets)


def through_the_package(name):
    """The right answer, after a look at what the package would do."""

    def cheat(*args):
        generate.temperature(torch.zeros(1, 2), 1.0)
        return reference(name)(*args)

    return cheat


CHEATS = {
    "shifted_loss": [lost_by_the_package],
    "causal_weights": [weighed_by_the_package],
    "tied_gradient": [through_the_package("tied_gradient")],
    "residual_init": [through_the_package("residual_init")],
    "temperature_and_top_k": [lambda z, t, k: generate.filtered(z, temperature=t, top_k=k).softmax(1)],
    "nucleus": [through_the_package("nucleus")],
    "repetition_penalty": [lambda z, ids, penalty: generate.repetition_penalty(z, ids, penalty)],
    "batched_beams": [through_the_package("batched_beams")],
    "append_and_attend": [attended_by_torch],
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", CHEATS)
def test_what_is_ready_made_is_no_answer(name):
    question = exercises.get(name).question(seed=1)
    for cheat in CHEATS[name]:
        allowed = examine(replace(question, ready=()), cheat)
        assert allowed.passed, allowed
        result = examine(question, cheat)
        assert not any(ok for _, _, ok in result.cases)
        assert "ReadyMadeError" in str(result)


def test_every_exercise_of_these_chapters_refuses_the_package():
    for chapter in ("ch16_gpt", "ch17_decoding"):
        for exercise in exercises.bank(chapter):
            assert "lmcore" in exercise.ready
            assert exercise.name in CHEATS
