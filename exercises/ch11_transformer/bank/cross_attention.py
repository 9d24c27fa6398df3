"""Cross-attention (Vaswani et al. 2017, section 3.2.3): the decoder asks, the encoder's outputs answer, padding left out. It is
swapped into a Transformer that translates."""

import math
import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.ready import ATTENTION
from lmcore.check.run import Case


def cross_attention(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    q, k, v = (_split(part, heads) for part in (x @ W_q.T, memory @ W_k.T, memory @ W_v.T))
    real = torch.arange(memory.shape[1]).to(lengths) < lengths[:, None]
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~real[:, None, None], -math.inf)
    return (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2) @ W_o.T


def _split(x, heads):
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


# Right, written differently


def head_by_head(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """Each head with its own rows of the matrices, and its own columns of the last."""
    width, total = len(W_q) // heads, 0
    padding = torch.stack([torch.arange(memory.shape[1], device=x.device) >= n for n in lengths])
    for h in range(heads):
        own = slice(h * width, (h + 1) * width)
        q, k, v = x @ W_q[own].T, memory @ W_k[own].T, memory @ W_v[own].T
        scores = torch.where(padding[:, None], -1e30, q @ k.mT / width**0.5)
        total = total + scores.softmax(2) @ v @ W_o[:, own].T
    return total


def text_by_text(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    found = []
    for asks, says, n in zip(x, memory, lengths.tolist(), strict=True):
        q = torch.nn.functional.linear(asks, W_q).view(len(asks), heads, -1)
        k, v = (torch.nn.functional.linear(says[:n], W).view(n, heads, -1) for W in (W_k, W_v))
        weights = torch.einsum("thd,shd->hts", q, k).div(math.sqrt(q.shape[2])).softmax(-1)
        found.append(torch.einsum("hts,shd->thd", weights, v).flatten(1) @ W_o.T)
    return torch.stack(found)


def with_einsum(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    q, k, v = (torch.einsum("bnc,hdc->bhnd", part, W.unflatten(0, (heads, -1))) for part, W in
               ((x, W_q), (memory, W_k), (memory, W_v)))  # fmt: skip
    e = torch.einsum("bhtd,bhsd->bhts", q, k) * q.shape[-1] ** -0.5
    e = torch.exp(e - e.amax(-1, keepdim=True).detach())
    e = e * (torch.arange(memory.shape[1], device=x.device) < lengths.view(-1, 1, 1, 1))
    a = e / e.sum(-1, keepdim=True)
    return torch.einsum("bhts,bhsd,chd->btc", a, v, W_o.unflatten(1, (heads, -1)))


# Wrong: the docstring is the hint


def _real(memory, lengths):
    return (torch.arange(memory.shape[1]).to(lengths) < lengths[:, None])[:, None, None]


def _attended(q, k, v, mask, heads, scale=None):
    """From what was projected to the heads' results, side by side."""
    q, k, v = (_split(part, heads) for part in (q, k, v))
    scores = q @ k.mT / math.sqrt(scale or q.shape[-1])
    return (scores.masked_fill(~mask, -math.inf).softmax(-1) @ v).transpose(1, 2).flatten(2)


def looks_at_itself(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The decoder looks at its own words: keys and values were made of x. In cross-attention they come from the memory, only
    the queries come from x."""
    everything = torch.ones(1, 1, 1, x.shape[1]).to(x).bool()
    return _attended(x @ W_q.T, x @ W_k.T, x @ W_v.T, everything, heads) @ W_o.T


def encoder_asks(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The roles are exchanged: the memory asks and x answers. The result has a row for each word of the source; how many rows
    does the decoder need?"""
    everything = torch.ones(1, 1, 1, x.shape[1]).to(x).bool()
    return _attended(memory @ W_q.T, x @ W_k.T, x @ W_v.T, everything, heads) @ W_o.T


def memory_asks_itself(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """Queries, keys and values were all made of the memory: that is the encoder's self-attention, and x plays no part. Who asks
    here?"""
    return _attended(memory @ W_q.T, memory @ W_k.T, memory @ W_v.T, _real(memory, lengths), heads) @ W_o.T


def values_from_the_target(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The weights are right, but they average the decoder's own words: the values were made of x. What is looked at and what is
    read are the same words, those of the memory."""
    places = (x.repeat(1, memory.shape[1], 1)[:, : memory.shape[1]]) @ W_v.T
    return _attended(x @ W_q.T, memory @ W_k.T, places, _real(memory, lengths), heads) @ W_o.T


def padding_seen(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The padding of the source is looked at: `lengths` plays no part."""
    everything = torch.ones_like(_real(memory, lengths))
    return _attended(x @ W_q.T, memory @ W_k.T, memory @ W_v.T, everything, heads) @ W_o.T


def padded_scores_zero(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The scores of the padding were set to 0, which is a score like any other. Which score gives the weight 0?"""
    q, k, v = (_split(part, heads) for part in (x @ W_q.T, memory @ W_k.T, memory @ W_v.T))
    weights = (q @ k.mT / math.sqrt(q.shape[-1]) * _real(memory, lengths)).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2) @ W_o.T


def padding_cleared(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The padding's vectors were set to zero before they were looked at. A key of zeros has the score 0, and takes part of the
    weight: mask the scores instead."""
    cleared = memory * _real(memory, lengths)[:, 0, 0, :, None]
    return padding_seen(x, cleared, lengths, W_q, W_k, W_v, W_o, heads)


def mask_after_the_softmax(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The weights of the padding were set to 0 after the softmax, and the others add up to less than 1. Mask the scores, before
    the softmax."""
    q, k, v = (_split(part, heads) for part in (x @ W_q.T, memory @ W_k.T, memory @ W_v.T))
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1) * _real(memory, lengths)
    return (weights @ v).transpose(1, 2).flatten(2) @ W_o.T


def longest_for_all(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """All texts were masked like the longest. Each source has a length of its own."""
    return cross_attention(x, memory, lengths.max().expand(len(lengths)), W_q, W_k, W_v, W_o, heads)


def one_word_too_many(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The first place of padding may be looked at. A source of n words has them at the places 0 to n − 1."""
    return cross_attention(x, memory, lengths + 1, W_q, W_k, W_v, W_o, heads)


def not_ahead_in_the_source(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The mask of the self-attention is used here too: the word t of the target sees only the first words of the source, up to
    its own place. The whole source is known from the start, and may be looked at from everywhere."""
    causal = torch.ones(x.shape[1], memory.shape[1]).to(x).tril().bool()
    return _attended(x @ W_q.T, memory @ W_k.T, memory @ W_v.T, _real(memory, lengths) & causal, heads) @ W_o.T


def keys_and_values_exchanged(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """W_k and W_v have changed places: the keys are looked at, the values are averaged."""
    return cross_attention(x, memory, lengths, W_q, W_v, W_k, W_o, heads)


def queries_and_keys_exchanged(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """W_q and W_k have changed places: W_q belongs to who asks, the decoder."""
    return cross_attention(x, memory, lengths, W_k, W_q, W_v, W_o, heads)


def not_transposed(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The matrices were not transposed. As in torch's Linear, a row of W belongs to one number of the result: Q = X Wᵀ."""
    return cross_attention(x, memory, lengths, W_q.T, W_k.T, W_v.T, W_o.T, heads)


def without_the_last_matrix(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """W_o is missing: the heads lie side by side, and nothing has mixed them."""
    return _attended(x @ W_q.T, memory @ W_k.T, memory @ W_v.T, _real(memory, lengths), heads)


def one_head(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """One head attends with the whole width C: `heads` plays no part."""
    return cross_attention(x, memory, lengths, W_q, W_k, W_v, W_o, 1)


def root_of_the_whole_width(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The scores were divided by √C. A head multiplies vectors of width D = C / H."""
    own = x @ W_q.T, memory @ W_k.T, memory @ W_v.T
    return _attended(*own, _real(memory, lengths), heads, scale=len(W_q)) @ W_o.T


def not_scaled(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The scores are the plain dot products. Every head divides them by √D."""
    return _attended(x @ W_q.T, memory @ W_k.T, memory @ W_v.T, _real(memory, lengths), heads, scale=1) @ W_o.T


def x_added(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """x was added to the result. The residual connection is there in a layer of the decoder, but it stands outside the
    attention; with yours inside, x would be added twice."""
    return x + cross_attention(x, memory, lengths, W_q, W_k, W_v, W_o, heads)


def memory_detached(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The result is right, but no gradient reaches the memory: it was cut from the graph. The encoder learns only through what
    the decoder looks at."""
    return cross_attention(x, memory.detach(), lengths, W_q, W_k, W_v, W_o, heads)


def values_by_the_matrix_of_the_keys(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The values were made with W_k, like the keys: W_v plays no part and gets no gradient. An example in which both are the
    identity does not show it."""
    return cross_attention(x, memory, lengths, W_q, W_k, 0 * W_v + W_k, W_o, heads)


def heads_interleaved(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    """The columns were dealt out to the heads in turn, one to each, and put back in the same way. A head owns D columns that
    stand next to each other: the first head the first D, the second head the next."""
    dealt = torch.arange(len(W_q)).view(-1, heads).T.flatten()
    return cross_attention(x, memory, lengths, W_q[dealt], W_k[dealt], W_v[dealt], W_o[:, dealt], heads)


def cases(rng: random.Random) -> list[Case]:
    two = torch.eye(2)
    asks, says = torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[2.0, 0.0], [0.0, 1.0], [9.0, 9.0]]])
    turned = torch.tensor([[0.0, 1.0], [10.0, 0.0]])
    return [
        public("one text, by hand", asks, says, torch.tensor([2]), two, two, two, turned, 1),
        public("three texts", *_texts(rng, 3, 3, 4, 4), torch.tensor([2, 4, 3]), *_matrices(rng, 4), 2),
        public("one text, as many words", *_texts(rng, 1, 3, 3, 4), torch.tensor([2]), *_matrices(rng, 4), 2),
        hidden("one word each", *_texts(rng, 1, 1, 1, 3), torch.tensor([1]), *_matrices(rng, 3), 3),
        hidden("long sources", *_texts(rng, 1, 2, 9, 6), torch.tensor([rng.randint(2, 7)]), *_matrices(rng, 6), 3),
        hidden("double precision", *_doubled(*_texts(rng, 2, 4, 3, 2), torch.tensor([1, 3]), *_matrices(rng, 2)), 1),
    ]


def _texts(rng: random.Random, batch: int, target: int, source: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    return normal(rng, batch, target, width), normal(rng, batch, source, width)


def _matrices(rng: random.Random, width: int) -> list[torch.Tensor]:
    return [normal(rng, width, width) / width**0.5 for _ in range(4)]


def _doubled(*parts: torch.Tensor) -> list[torch.Tensor]:
    return [part.double() if part.is_floating_point() else part for part in parts]


EXERCISE = Exercise(
    chapter="ch11_transformer",
    minutes=25,
    difficulty=2,
    points=4,
    reference=cross_attention,
    right=[head_by_head, text_by_text, with_einsum],
    wrong=[
        looks_at_itself,
        encoder_asks,
        memory_asks_itself,
        values_from_the_target,
        padding_seen,
        padded_scores_zero,
        padding_cleared,
        mask_after_the_softmax,
        longest_for_all,
        one_word_too_many,
        not_ahead_in_the_source,
        keys_and_values_exchanged,
        queries_and_keys_exchanged,
        not_transposed,
        without_the_last_matrix,
        one_head,
        root_of_the_whole_width,
        not_scaled,
        x_added,
        memory_detached,
        values_by_the_matrix_of_the_keys,
        heads_interleaved,
    ],
    cases=cases,
    probe="cross",
    rtol=1e-3,
    atol=1e-4,
    ready=(*ATTENTION, "lmcore"),
)
