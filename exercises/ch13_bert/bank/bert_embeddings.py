"""BERT's embeddings (Devlin et al. 2019, section 3, figure 2): token, position and segment, added and normalised. The function
is swapped into a random BERT and, where it is installed, into MiniLM."""

import random

import torch

from exercises.ch10_transformer_block.bank.layer_norm import READY
from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def bert_embeddings(ids, segments, E, P, S, weight, bias, eps):
    x = E[ids] + P[: ids.shape[1]] + S[segments]
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = centred.square().mean(dim=-1, keepdim=True)
    return weight * (centred / (variance + eps).sqrt()) + bias


# Right, written differently


def with_embedding(ids, segments, E, P, S, weight, bias, eps):
    look_up = torch.nn.functional.embedding
    places = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    x = torch.stack([look_up(ids, E), look_up(places, P), look_up(segments, S)]).sum(0)
    variance, mean = torch.var_mean(x, dim=2, keepdim=True, correction=0)
    return torch.addcmul(bias, (x - mean) * torch.rsqrt(variance + eps), weight)


def token_by_token(ids, segments, E, P, S, weight, bias, eps):
    rows = []
    for text, kinds in zip(ids.tolist(), segments.tolist(), strict=True):
        for t, (word, kind) in enumerate(zip(text, kinds, strict=True)):
            x = E[word] + P[t] + S[kind]
            x = x - x.sum() / len(x)
            rows.append(weight * x / torch.sqrt((x**2).sum() / len(x) + eps) + bias)
    return torch.stack(rows).view(*ids.shape, -1)


def with_one_hot(ids, segments, E, P, S, weight, bias, eps):
    words, kinds = (torch.nn.functional.one_hot(part, len(table)).to(E) for part, table in ((ids, E), (segments, S)))
    x = (words @ E + kinds @ S).add(P.narrow(0, 0, ids.size(1)))
    x = x - x.mean(-1)[..., None]
    return x * (x.pow(2).mean(-1)[..., None] + eps) ** -0.5 * weight + bias


# Wrong: the docstring is the hint


def _normalised(x, weight, bias, eps, dims=-1):
    centred = x - x.mean(dims, keepdim=True)
    return weight * centred / torch.sqrt(centred.square().mean(dims, keepdim=True) + eps) + bias


def _sum(ids, segments, E, P, S):
    return E[ids] + P[: ids.shape[1]] + S[segments]


def not_normalised(ids, segments, E, P, S, weight, bias, eps):
    """The three vectors were added, and then nothing more: the LayerNorm is missing."""
    return _sum(ids, segments, E, P, S)


def only_the_tokens_normalised(ids, segments, E, P, S, weight, bias, eps):
    """The vectors of the tokens were normalised before position and segment were added. First the sum of all three, then the
    LayerNorm."""
    return _normalised(E[ids], weight, bias, eps) + P[: ids.shape[1]] + S[segments]


def each_normalised(ids, segments, E, P, S, weight, bias, eps):
    """Each of the three vectors was normalised by itself, and then they were added. The LayerNorm comes once, after the sum."""
    parts = E[ids], P[: ids.shape[1]].expand(*ids.shape, -1), S[segments]
    return sum(_normalised(part, weight, bias, eps) for part in parts)


def without_positions(ids, segments, E, P, S, weight, bias, eps):
    """The positions are missing: P plays no part. Without them a text is a bag of words to the layers that follow."""
    return _normalised(E[ids] + S[segments], weight, bias, eps)


def without_segments(ids, segments, E, P, S, weight, bias, eps):
    """The segments are missing: S plays no part. Is nothing added to a text that has a single segment?"""
    return _normalised(E[ids] + P[: ids.shape[1]], weight, bias, eps)


def first_segment_for_all(ids, segments, E, P, S, weight, bias, eps):
    """Every token got the vector of segment 0: `segments` plays no part."""
    return _normalised(E[ids] + P[: ids.shape[1]] + S[0], weight, bias, eps)


def segments_exchanged(ids, segments, E, P, S, weight, bias, eps):
    """The rows of S have changed places: segment 0 has the first row."""
    return _normalised(_sum(ids, segments, E, P, S.flip(0)), weight, bias, eps)


def positions_from_one(ids, segments, E, P, S, weight, bias, eps):
    """The positions are counted from 1. The first token, [CLS], has the row 0 of P."""
    return _normalised(E[ids] + P.roll(-1, 0)[: ids.shape[1]] + S[segments], weight, bias, eps)


def positions_start_again(ids, segments, E, P, S, weight, bias, eps):
    """The positions of the second segment start again at 0. They go on: the two sentences are one text for the model, and it is
    the segment that tells them apart."""
    place = torch.arange(ids.shape[1]).to(ids).expand_as(ids)
    first = (segments == 0).sum(1, keepdim=True)
    return _normalised(E[ids] + P[torch.where(segments > 0, place - first, place)] + S[segments], weight, bias, eps)


def positions_backwards(ids, segments, E, P, S, weight, bias, eps):
    """The positions are counted from the end of the text. The first token has the row 0."""
    return _normalised(E[ids] + P[: ids.shape[1]].flip(0) + S[segments], weight, bias, eps)


def position_of_the_text(ids, segments, E, P, S, weight, bias, eps):
    """All tokens of a text got the same position: P was read with the number of the text in the batch. It is the place in the
    text that counts."""
    return _normalised(E[ids] + P[: len(ids)][:, None] + S[segments], weight, bias, eps)


def position_of_the_word(ids, segments, E, P, S, weight, bias, eps):
    """The positions were looked up with the numbers of the words. P has a row for each place of a text: which numbers do the
    places have?"""
    return _normalised(E[ids] + P[ids] + S[segments], weight, bias, eps)


def scaled(ids, segments, E, P, S, weight, bias, eps):
    """The vectors of the tokens were multiplied by √C before the sum. The first Transformer did so; BERT does not."""
    return _normalised(_sum(ids, segments, E * E.shape[1] ** 0.5, P, S), weight, bias, eps)


def side_by_side(ids, segments, E, P, S, weight, bias, eps):
    """The three vectors stand side by side, and make one of width 3C. They are added, which keeps the width."""
    parts = [E[ids], P[: ids.shape[1]].expand(*ids.shape, -1), S[segments]]
    return _normalised(torch.cat(parts, -1), weight.repeat(3), bias.repeat(3), eps)


def mean_of_the_three(ids, segments, E, P, S, weight, bias, eps):
    """The mean of the three vectors was taken, not their sum. The LayerNorm hides most of the difference, but not what ε
    does."""
    return _normalised(_sum(ids, segments, E, P, S) / 3, weight, bias, eps)


def epsilon_outside_the_root(ids, segments, E, P, S, weight, bias, eps):
    """ε was added to the standard deviation, after the root. It belongs to the variance, inside the root."""
    x = _sum(ids, segments, E, P, S)
    centred = x - x.mean(-1, keepdim=True)
    return weight * centred / (centred.square().mean(-1, keepdim=True).sqrt() + eps) + bias


def no_epsilon(ids, segments, E, P, S, weight, bias, eps):
    """ε plays no part. What do you divide by, if all numbers of a sum are equal?"""
    return _normalised(_sum(ids, segments, E, P, S), weight, bias, 0.0)


def divided_by_one_less(ids, segments, E, P, S, weight, bias, eps):
    """The variance was divided by C − 1, which is what torch's `var` and `std` do if nothing else is said. Here it is the mean
    of the squares."""
    x = _sum(ids, segments, E, P, S)
    return weight * (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True) + eps) + bias


def over_a_whole_text(ids, segments, E, P, S, weight, bias, eps):
    """One mean and one variance were taken for each text. Every token has its own, over the C numbers of its vector."""
    return _normalised(_sum(ids, segments, E, P, S), weight, bias, eps, (1, 2))


def without_weight_and_bias(ids, segments, E, P, S, weight, bias, eps):
    """The vectors are normalised, and then left like that: `weight` and `bias` play no part."""
    return _normalised(_sum(ids, segments, E, P, S), 1.0, 0.0, eps)


def without_bias(ids, segments, E, P, S, weight, bias, eps):
    """The bias is missing: it is added at the very end."""
    return _normalised(_sum(ids, segments, E, P, S), weight, 0.0, eps)


def statistics_detached(ids, segments, E, P, S, weight, bias, eps):
    """The values are right, their gradient is not: mean or variance were cut from the graph, by detach or no_grad."""
    x = _sum(ids, segments, E, P, S)
    variance = x.var(-1, keepdim=True, correction=0).detach()
    return weight * (x - x.mean(-1, keepdim=True).detach()) / torch.sqrt(variance + eps) + bias


def no_gradient_for_token_0(ids, segments, E, P, S, weight, bias, eps):
    """The values are right, but row 0 of E gets no gradient. That is what padding_idx does. Here padding is treated like any
    other token."""
    words = torch.where((ids == 0)[..., None], E[ids].detach(), E[ids])
    return _normalised(words + P[: ids.shape[1]] + S[segments], weight, bias, eps)


def cases(rng: random.Random) -> list[Case]:
    E = torch.tensor([[0.0, 0.0], [1.0, 4.0], [3.0, 0.0], [2.0, 2.0]])
    P, S = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 3.0]])
    weight, bias = torch.tensor([1.0, 10.0]), torch.tensor([0.0, 0.5])
    ids, segments = torch.tensor([[1, 2, 3]]), torch.tensor([[0, 0, 1]])
    return [
        public("one text, by hand", ids, segments, E, P, S, weight, bias, 0.25),
        public("two texts, then whole models", *_with_padding(*_texts(rng, 2, 5, 11)), *_tables(rng, 11, 7, 2, 4), 0.01),
        public("equal numbers", torch.tensor([[3, 3]]), torch.tensor([[0, 0]]), E, 0 * P, S, weight, bias, 0.25),
        hidden("one token", *_texts(rng, 1, 1, 3), *_tables(rng, 3, 1, 2, 5), 0.1),
        hidden("one segment", torch.tensor([[4, 0, 4, 2]]), torch.zeros(1, 4).long(), *_tables(rng, 5, 6, 1, 3), 1e-5),
        hidden("three texts, three segments", torch.tensor([[7, 1, 0], [2, 2, 5], [0, 6, 3]]),
            torch.tensor([[0, 1, 2], [0, 0, 0], [2, 1, 1]]), *_tables(rng, 8, 3, 3, 6), 1e-4),
        hidden("double precision", *_texts(rng, 1, 6, 9), *(part.double() for part in _tables(rng, 9, 13, 2, 7)), 1e-12),
    ]  # fmt: skip


def _texts(rng: random.Random, texts: int, length: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random words, and in every text a first and a second segment of random lengths, at least one token each."""
    ids = torch.tensor([[rng.randrange(size) for _ in range(length)] for _ in range(texts)])
    ends = torch.tensor([[rng.randint(1, max(1, length - 1))] for _ in range(texts)])
    return ids, (torch.arange(length) >= ends).long()


def _with_padding(ids: torch.Tensor, segments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The token 0, the padding of BERT, at the end of the first text."""
    ids[0, -1] = 0
    return ids, segments


def _tables(rng: random.Random, size: int, places: int, segments: int, width: int) -> list[torch.Tensor]:
    return [
        normal(rng, size, width),
        normal(rng, places, width),
        normal(rng, segments, width),
        normal(rng, width),
        normal(rng, width),
    ]


EXERCISE = Exercise(
    chapter="ch13_bert",
    minutes=20,
    difficulty=2,
    points=4,
    reference=bert_embeddings,
    right=[with_embedding, token_by_token, with_one_hot],
    wrong=[
        not_normalised,
        only_the_tokens_normalised,
        each_normalised,
        without_positions,
        without_segments,
        first_segment_for_all,
        segments_exchanged,
        positions_from_one,
        positions_start_again,
        positions_backwards,
        position_of_the_text,
        position_of_the_word,
        scaled,
        side_by_side,
        mean_of_the_three,
        epsilon_outside_the_root,
        no_epsilon,
        divided_by_one_less,
        over_a_whole_text,
        without_weight_and_bias,
        without_bias,
        statistics_detached,
        no_gradient_for_token_0,
    ],
    cases=cases,
    probe="embeddings",
    equal="where_installed",
    rtol=1e-3,
    atol=1e-4,
    seconds=30.0,  # the first call reads MiniLM from the disk
    ready=READY,
)
