"""A decoder of ours beside one of Hugging Face's: equal logits, loss, gradients and generated texts, in 64 bits."""

from itertools import permutations
from typing import Any

import torch
from torch.nn import functional as F

from lmcore.generate import beam, generate, length_power
from lmcore.gpt import GPT, next_token_loss
from lmcore.pretrained import NameTable, Part

B, T = 3, 11


def some_ids(vocab_size: int, rows: int = B, length: int = T, seed: int = 5) -> torch.Tensor:
    return torch.randint(0, vocab_size, (rows, length), generator=torch.Generator().manual_seed(seed))


def lively(model: torch.nn.Module, seed: int = 7) -> torch.nn.Module:
    """Random numbers everywhere, since the zeros and ones of a fresh model would hide mistakes, and texts that wander."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            gain = "bias" not in name and parameter.ndim == 1
            parameter.normal_(mean=float(gain), std=0.2 if parameter.ndim == 1 else 0.5)
    return model.eval()


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return set(ours) == set(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


def compare(ours: GPT, theirs: Any, table: NameTable) -> None:
    """States of every layer, logits, loss, and the gradient of every parameter."""
    ids = some_ids(ours.config.vocab_size)
    want = theirs(ids, labels=ids, output_hidden_states=True)
    close = {"atol": 1e-12, "rtol": 1e-11}
    states = ours.look(ids).states
    assert len(states) == len(want.hidden_states)
    for have, other in zip((*states[:-1], ours.norm(states[-1])), want.hidden_states, strict=True):
        torch.testing.assert_close(have, other, **close)
    torch.testing.assert_close(ours(ids), want.logits, **close)
    loss = next_token_loss(ours, (ids[:, :-1], ids[:, 1:]))
    torch.testing.assert_close(loss.float(), want.loss)  # theirs shifts the labels itself, and goes on in 32 bits
    exact = F.cross_entropy(want.logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    torch.testing.assert_close(loss, exact, **close)
    loss.backward()
    exact.backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        parts = [part if isinstance(part, Part) else Part(part) for part in table[name]]
        expected = torch.cat([gradients[p.name].T if p.transposed else gradients[p.name] for p in parts])
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
        torch.testing.assert_close(parameter.grad, expected, msg=lambda m, name=name: f"{name}: {m}", **close)


@torch.no_grad()
def compare_generation(ours: GPT, theirs: Any, new: int = 13) -> None:
    """Greedy search and beam search, with and without an ⟨end⟩, give the same tokens."""
    prompts = some_ids(ours.config.vocab_size, length=4)
    how = {"attention_mask": torch.ones_like(prompts), "max_new_tokens": new, "do_sample": False, "pad_token_id": 0}

    def search(**more: Any) -> list[list[int]]:
        return theirs.generate(prompts, **how, **more)[:, prompts.shape[1] :].tolist()

    long = search(eos_token_id=None)
    end = next(token for one, other in permutations(long, 2) for token in one if token not in other)
    texts = search(eos_token_id=end)
    found = generate(ours, list(prompts), max_new=new, end=end)
    assert [text.ids for text in found] == [tuple(ids[: ids.index(end)] if end in ids else ids) for ids in texts]
    assert {text.ended for text in found} == {True, False}
    state, first, ended = ours.begin(prompts[:, :-1]), prompts[:, -1], []
    for width in (3, 4):
        beams = search(eos_token_id=None, num_beams=width, num_return_sequences=width)
        best = beam(ours, state, first, end=(), max_length=new, width=width)
        assert [list(text.ids) for row in best for text in row] == beams
        assert all(len({text.ids for text in row}) == width for row in best)
        for alpha in (0.0, 1.0):
            how |= {"length_penalty": alpha, "early_stopping": "never"}
            beams = search(eos_token_id=end, num_beams=width, num_return_sequences=width)
            power = {"alpha": alpha, "normalizer": length_power, "refill": True}
            best = beam(ours, state, first, end=end, max_length=new, width=width, **power)
            found = [text for row in best for text in row]
            assert [text.ids for text in found] == [tuple(ids[: ids.index(end)] if end in ids else ids) for ids in beams]
            ended += [text.ended for text in found]
    assert {*ended} == {True, False}
