"""What a GPT is trained on (Radford et al. 2018, equation 1): every position predicts the token after it. The function is the
loss of a small GPT-2."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def shifted_loss(logits, ids, lengths):
    places = torch.arange(1, ids.shape[1]).to(ids)
    real = places < lengths.unsqueeze(1)
    log_q = logits[:, :-1][real].log_softmax(dim=1)
    targets = ids[:, 1:][real]
    return -log_q.gather(1, targets.unsqueeze(1)).sum() / real.sum().clamp(min=1)


# Right, written differently


def with_cross_entropy(logits, ids, lengths):
    """What nobody asks for gets the target −100, which cross_entropy leaves out."""
    targets = ids.roll(-1, dims=1)
    for row, length in zip(targets, lengths.tolist(), strict=True):
        row[max(0, length - 1) :] = -100
    total = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    return total / max(1, int((targets != -100).sum()))


def text_by_text(logits, ids, lengths):
    total, count = 0.0 * logits.sum(), 0
    for z, text, length in zip(logits, ids.tolist(), lengths.tolist(), strict=True):
        for t in range(length - 1):
            total = total + z[t].logsumexp(0) - z[t, text[t + 1]]
            count += 1
    return total / count if count else total


def with_a_one_hot_weight(logits, ids, lengths):
    B, T, V = logits.shape
    weight = torch.zeros_like(logits)
    for b in range(B):
        for t in range(min(T, int(lengths[b])) - 1):
            weight[b, t, ids[b, t + 1]] = 1.0
    log_q = torch.nn.functional.log_softmax(logits.view(-1, V), -1).view(B, T, V)
    return -(weight * log_q).sum() / torch.clamp(weight.sum(), min=1.0)


# Wrong: the docstring is the hint


def _losses(logits, targets):
    return logits.logsumexp(2) - logits.gather(2, targets[..., None])[..., 0]


def _mean(losses, real):
    return losses[real].sum() / real.sum().clamp(min=1)


def _before(lengths, count, steps):
    """True for the first ``length − steps`` of ``count`` places of every text."""
    return torch.arange(count).to(lengths) < lengths[:, None] - steps


def not_shifted(logits, ids, lengths):
    """The logits of a position were asked for the token of the same position. The model has just read that token: what is left
    to predict? Which token do the logits z_t belong to?"""
    return _mean(_losses(logits, ids), _before(lengths, ids.shape[1], 0))


def shifted_the_other_way(logits, ids, lengths):
    """The logits of a position were asked for the token before it. A language model predicts what comes next: z_t belongs to
    the token w_{t+1}."""
    return _mean(_losses(logits[:, 1:], ids[:, :-1]), _before(lengths, ids.shape[1] - 1, 1))


def shifted_by_two(logits, ids, lengths):
    """The logits were asked for the token after the next: logits and tokens were shifted by one each. Shift one of the two."""
    return _mean(_losses(logits[:, :-2], ids[:, 2:]), _before(lengths, ids.shape[1] - 2, 2))


def padding_counted(logits, ids, lengths):
    """The padding was asked for too: the mean runs over all places. Which of the targets belong to a text?"""
    return _losses(logits[:, :-1], ids[:, 1:]).mean() if ids.shape[1] > 1 else 0.0 * logits.sum()


def first_padding_asked(logits, ids, lengths):
    """At the last token of a text, the loss asks for the padding behind it. A text of n tokens has n positions, but in how
    many of them is the next token known?"""
    return _mean(_losses(logits[:, :-1], ids[:, 1:]), _before(lengths, ids.shape[1] - 1, 0))


def last_token_forgotten(logits, ids, lengths):
    """The last token of every text was never asked for. Count with a text of two tokens: it has one prediction."""
    return _mean(_losses(logits[:, :-1], ids[:, 1:]), _before(lengths, ids.shape[1] - 1, 2))


def wrapped_round(logits, ids, lengths):
    """Where a text fills its whole row, its last position was asked for its first token: the tokens were rolled, and what
    falls out at the front comes in at the end. Nothing is known about what follows the last token."""
    return _mean(_losses(logits, ids.roll(-1, 1)), _before(lengths, ids.shape[1], (lengths[:, None] < ids.shape[1]).to(ids)))


def texts_joined(logits, ids, lengths):
    """The last token of a text was asked for the first token of the next text: the texts were joined to one row, and then the
    row was shifted. What is known about the token that follows the end of a text?"""
    real = _before(lengths, ids.shape[1], 0)
    row, targets = logits[real][:-1], ids[real][1:]
    return _mean(_losses(row[None], targets[None]), torch.ones_like(targets[None]) > 0)


def divided_by_all_places(logits, ids, lengths):
    """The sum was divided by all B·(T − 1) places. Divide by the number of tokens that were asked for."""
    real = _before(lengths, ids.shape[1] - 1, 1)
    return _losses(logits[:, :-1], ids[:, 1:])[real].sum() / max(1, real.numel())


def divided_by_the_lengths(logits, ids, lengths):
    """The sum was divided by the number of tokens in the texts. The first token of each text is read and never predicted: how
    many predictions are there?"""
    real = _before(lengths, ids.shape[1] - 1, 1)
    return _losses(logits[:, :-1], ids[:, 1:])[real].sum() / lengths.sum().clamp(min=1)


def mean_of_means(logits, ids, lengths):
    """You took the mean within each text, and then over the texts. Then a token of a short text counts more. All tokens of the
    batch count alike: divide once."""
    found = [shifted_loss(z[None], text[None], n[None]) for z, text, n in zip(logits, ids, lengths, strict=True)]
    return torch.stack(found).mean()


def summed(logits, ids, lengths):
    """The losses were added up. Asked for is their mean, so that a large batch does not weigh more than a small one."""
    return _losses(logits[:, :-1], ids[:, 1:])[_before(lengths, ids.shape[1] - 1, 1)].sum()


def nan_for_nothing(logits, ids, lengths):
    """With a single token there is nothing to predict, and the result is nan: a mean over nothing divides by 0. The loss is 0
    then."""
    return _losses(logits[:, :-1], ids[:, 1:])[_before(lengths, ids.shape[1] - 1, 1)].mean()


def token_zero_ignored(logits, ids, lengths):
    """Targets with the number 0 were left out, as if they were padding. Here 0 is a token like any other: `lengths` says where
    a text ends."""
    real = _before(lengths, ids.shape[1] - 1, 1) & (ids[:, 1:] != 0)
    return _mean(_losses(logits[:, :-1], ids[:, 1:]), real)


def padding_cleared(logits, ids, lengths):
    """The logits behind the end of a text were set to zero, and then these places counted all the same: each adds log V to the
    sum. Leave them out of it."""
    real = _before(lengths, ids.shape[1] - 1, 1)
    return _losses(logits[:, :-1] * real[..., None], ids[:, 1:]).sum() / real.sum().clamp(min=1)


def padding_cleared_and_counted(logits, ids, lengths):
    """The logits behind the end of a text were set to zero, and the mean runs over all places: each place of the padding adds
    log V to the sum and 1 to the number. Equal logits are a prediction too. Is it the logits that the mask belongs to, or
    the losses?"""
    real = _before(lengths, ids.shape[1] - 1, 1)
    losses = _losses(logits[:, :-1] * real[..., None], ids[:, 1:])
    return losses.mean() if real.any() else 0.0 * logits.sum()


def sign_turned_round(logits, ids, lengths):
    """The sign is turned round: training would make the text improbable. A loss is the negative of the mean
    log-probability."""
    return -shifted_loss(logits, ids, lengths)


def probability(logits, ids, lengths):
    """The result is the mean probability, with a minus sign. The loss is the negative logarithm, which has no limit when a
    token was thought impossible."""
    return -_mean((-_losses(logits[:, :-1], ids[:, 1:])).exp(), _before(lengths, ids.shape[1] - 1, 1))


def not_normalised(logits, ids, lengths):
    """The logits themselves were taken for log-probabilities: the softmax is missing. Such a loss falls without limit when all
    logits rise."""
    picked = logits[:, :-1].gather(2, ids[:, 1:, None])[..., 0]
    return -_mean(picked, _before(lengths, ids.shape[1] - 1, 1))


def softmax_over_the_positions(logits, ids, lengths):
    """The softmax ran over the positions of the text. At each position the V tokens compete: which axis is theirs?"""
    log_q = logits[:, :-1].log_softmax(1)
    return -_mean(log_q.gather(2, ids[:, 1:, None])[..., 0], _before(lengths, ids.shape[1] - 1, 1))


def logarithm_of_softmax(logits, ids, lengths):
    """With large logits the result is infinite or nan: the softmax rounds a small probability to 0, and its logarithm is −∞.
    Compute both in one step."""
    q = logits[:, :-1].softmax(2).gather(2, ids[:, 1:, None])[..., 0]
    return -_mean(q.log(), _before(lengths, ids.shape[1] - 1, 1))


def without_a_graph(logits, ids, lengths):
    """The loss is right, but no gradient can flow through it: it was computed under no_grad, or from numbers taken out of
    their tensors."""
    return shifted_loss(logits, ids, lengths).detach()


def in_bits(logits, ids, lengths):
    """The logarithm has the base 2. Losses are in nats here: use the natural logarithm."""
    return shifted_loss(logits, ids, lengths) / torch.log(torch.tensor(2.0)).to(logits)


def perplexity(logits, ids, lengths):
    """The result is the perplexity, e to the power of the loss. Asked for is the loss itself."""
    return shifted_loss(logits, ids, lengths).exp()


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.5, 3.0], [1.0, 1.0, 0.0]]])
    two = torch.cat([by_hand, by_hand.flip(1) + torch.tensor([0.0, 0.5, -0.5])])
    ids = torch.tensor([[0, 1, 2, 0], [2, 0, 1, 1]])
    large = torch.tensor([[[300.0, 0.0, 0.0], [0.0, -250.0, 100.0], [0.0, 0.0, 0.0]]])
    return [
        public("one text of three tokens, by hand", by_hand, ids[:1], torch.tensor([3])),
        public("two texts of different lengths", two, ids, torch.tensor([4, 2])),
        public("a single token", by_hand, ids[:1], torch.tensor([1])),
        public("large logits", large, torch.tensor([[0, 1, 2]]), torch.tensor([3])),
        hidden("one prediction", normal(rng, 1, 2, 5), torch.tensor([[3, 0]]), torch.tensor([2])),
        hidden("no column for a target", normal(rng, 1, 1, 3), torch.tensor([[2]]), torch.tensor([1])),
        hidden("some texts", normal(rng, 3, 7, 5), _drawn(rng, 3, 7, 5), torch.tensor([7, 1, 4])),
        hidden("double precision", normal(rng, 1, 11, 13).double(), _drawn(rng, 1, 11, 13), torch.tensor([9])),
    ]


def _drawn(rng: random.Random, texts: int, length: int, size: int) -> torch.Tensor:
    return torch.tensor([[rng.randrange(size) for _ in range(length)] for _ in range(texts)])


EXERCISE = Exercise(
    chapter="ch16_gpt",
    minutes=15,
    difficulty=1,
    points=2,
    reference=shifted_loss,
    right=[with_cross_entropy, text_by_text, with_a_one_hot_weight],
    wrong=[
        not_shifted,
        shifted_the_other_way,
        shifted_by_two,
        padding_counted,
        first_padding_asked,
        last_token_forgotten,
        wrapped_round,
        texts_joined,
        divided_by_all_places,
        divided_by_the_lengths,
        mean_of_means,
        summed,
        nan_for_nothing,
        token_zero_ignored,
        padding_cleared,
        padding_cleared_and_counted,
        sign_turned_round,
        probability,
        not_normalised,
        softmax_over_the_positions,
        logarithm_of_softmax,
        without_a_graph,
        in_bits,
        perplexity,
    ],
    cases=cases,
    probe="losses",
    ready=("lmcore",),
)
