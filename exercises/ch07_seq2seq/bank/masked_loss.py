"""The cross-entropy of a padded batch: the mean over its real tokens, whatever rows they stand in."""

import random

import torch
import torch.nn.functional as F

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case

IGNORE = -100
READY = ("torch.nn.functional.cross_entropy", "torch._C._nn.cross_entropy_loss", "lmcore")


def masked_loss(logits, targets):
    real = targets != IGNORE
    z, y = logits[real], targets[real]
    chosen = z[torch.arange(len(y)), y]
    return (z.logsumexp(dim=1) - chosen).mean()


# Right, written differently


def with_a_mask(logits, targets):
    real = (targets != IGNORE).to(logits.dtype)
    log_q = logits.log_softmax(-1).gather(-1, targets.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return -(log_q * real).sum() / real.sum()


def in_loops(logits, targets):
    total, count = logits.new_zeros(()), 0
    for b in range(targets.shape[0]):
        for t in range(targets.shape[1]):
            y = int(targets[b, t])
            if y >= 0:
                largest = logits[b, t].detach().max()
                total = total + torch.log(torch.exp(logits[b, t] - largest).sum()) + largest - logits[b, t, y]
                count += 1
    return total / count


def with_one_hot_targets(logits, targets):
    y = torch.where(targets == IGNORE, 0, targets)
    one_hot = F.one_hot(y, logits.shape[2]) * (targets != IGNORE)[..., None]
    return -(one_hot * F.log_softmax(logits, dim=2)).sum() / one_hot.sum()


def rows_weighted_by_their_tokens(logits, targets):
    counts = (targets != IGNORE).sum(1)
    rows = [
        F.nll_loss(row[:0] if n == 0 else row.log_softmax(1)[y != IGNORE], y[y != IGNORE], reduction="sum")
        for row, y, n in zip(logits, targets, counts, strict=True)
        if n > 0
    ]
    return torch.stack(rows).sum() / counts.sum()


# Wrong: the docstring is the hint


def _losses(logits, targets):
    """The loss at every place, 0 where it does not count; and where it counts."""
    real = targets != IGNORE
    chosen = logits.gather(2, targets.clamp(min=0).unsqueeze(2)).squeeze(2)
    return torch.where(real, logits.logsumexp(2) - chosen, 0.0), real


def mean_of_row_means(logits, targets):
    """You averaged within each sentence, and then over the sentences. A word of a short sentence then weighs more than a word
    of a long one. All real tokens of the batch count alike: divide once, by their number."""
    losses, real = _losses(logits, targets)
    return (losses.sum(1) / real.sum(1)).mean()


def mean_over_rows(logits, targets):
    """The sum was divided by the number of sentences. That is the loss per sentence; asked for is the loss per token."""
    losses, _ = _losses(logits, targets)
    return losses.sum(1).mean()


def padding_in_the_count(logits, targets):
    """The padding adds no loss, but you divided by all B·T places. The more padding, the smaller your loss looks. By how many
    tokens should the sum be divided?"""
    losses, _ = _losses(logits, targets)
    return losses.mean()


def padding_counted(logits, targets):
    """The padded places are in your mean, as if their target were token 0. A target of −100 says that nothing is asked there:
    neither a loss nor a place in the count."""
    return _losses(logits, targets.clamp(min=0))[0].mean()


def last_token_counted(logits, targets):
    """The padded places are in your mean, as if their target were the last token of the vocabulary, which is what the index −1
    means in Python. A target of −100 says that nothing is asked there."""
    last = logits.shape[2] - 1
    return _losses(logits, targets.masked_fill(targets == IGNORE, last))[0].mean()


def padded_logits_set_to_zero(logits, targets):
    """You set the logits of the padding to 0. Equal logits are no missing loss: with V tokens, what is the cross-entropy of a
    uniform distribution? Your count is right; leave these places out of the sum too."""
    real = targets != IGNORE
    cleared = logits * real[..., None]
    return _losses(cleared, targets.clamp(min=0))[0].sum() / real.sum()


def summed(logits, targets):
    """The losses were added up. With a sum, the step of training grows with the batch: divide by the number of real tokens."""
    return _losses(logits, targets)[0].sum()


def one_loss_per_token(logits, targets):
    """You return a loss for every place. Training needs one number: their mean over the real tokens."""
    return _losses(logits, targets)[0]


def one_loss_per_sentence(logits, targets):
    """You return a loss for every sentence. Training needs one number: the mean over all real tokens of the batch."""
    losses, real = _losses(logits, targets)
    return losses.sum(1) / real.sum(1)


def likelihood(logits, targets):
    """The sign is turned round: this is the mean log-probability, which training would make as small as it can. A loss is its
    negative."""
    return -masked_loss(logits, targets)


def softmax_over_time(logits, targets):
    """The probabilities were normalised over the places of a sentence. At each place the V tokens compete: which axis of
    `logits` is theirs?"""
    real = targets != IGNORE
    log_q = logits.log_softmax(1).gather(2, targets.clamp(min=0).unsqueeze(2)).squeeze(2)
    return -(log_q * real).sum() / real.sum()


def softmax_over_batch(logits, targets):
    """The probabilities were normalised over the batch. At each place the V tokens compete: which axis of `logits` is
    theirs?"""
    real = targets != IGNORE
    log_q = logits.log_softmax(0).gather(2, targets.clamp(min=0).unsqueeze(2)).squeeze(2)
    return -(log_q * real).sum() / real.sum()


def not_normalised(logits, targets):
    """The logits of the right tokens were averaged as if they were log-probabilities. Log-sum-exp over the vocabulary is
    missing, without which raising every logit would lower the loss."""
    real = targets != IGNORE
    return -logits[real].gather(1, targets[real][:, None]).mean()


def no_logarithm(logits, targets):
    """The probabilities of the right tokens were averaged, without the logarithm."""
    real = targets != IGNORE
    return -logits[real].softmax(1).gather(1, targets[real][:, None]).mean()


def logarithm_of_the_mean(logits, targets):
    """You took the logarithm of the mean probability. The logarithm comes first, token by token, and the mean after it: only
    then is the loss that of the probability of the whole text."""
    real = targets != IGNORE
    return -logits[real].softmax(1).gather(1, targets[real][:, None]).mean().log()


def exponentials_overflow(logits, targets):
    """With large logits the result is no finite number. exp(200) is too large for floating point, and exp(−200) too small.
    Log-sum-exp takes the largest logit out first; torch has it in one function."""
    real = targets != IGNORE
    z = logits[real]
    q = z.exp() / z.exp().sum(1, keepdim=True)
    return -q.gather(1, targets[real][:, None]).log().mean()


def logarithm_of_softmax(logits, targets):
    """With large logits the result is infinite: the softmax rounds a small probability to 0, and its logarithm is −∞. Compute
    the logarithm and the normalisation in one step."""
    real = targets != IGNORE
    return -logits[real].softmax(1).log().gather(1, targets[real][:, None]).mean()


def small_number_added(logits, targets):
    """A small number was added to the probability before the logarithm. The loss is finite then, but wrong and without a
    gradient just where the model is most wrong. Log-sum-exp needs no such number."""
    real = targets != IGNORE
    return -(logits[real].softmax(1).gather(1, targets[real][:, None]) + 1e-8).log().mean()


def logits_clipped(logits, targets):
    """Large logits were cut off before the exponential. The loss is finite then, but it does not see by how much the model is
    wrong. Log-sum-exp needs no limit."""
    return masked_loss(logits.clamp(-50, 50), targets)


def in_bits(logits, targets):
    """Your result is in bits, with the logarithm to base 2. Losses are in nats, with the natural logarithm; bits are for
    reports."""
    return masked_loss(logits, targets) / torch.log(torch.tensor(2.0))


def perplexity(logits, targets):
    """You return the perplexity, the exponential of the loss. Return the loss itself."""
    return masked_loss(logits, targets).exp()


def last_real_token_left_out(logits, targets):
    """The last real token of every sentence is missing: ⟨end⟩. It is a target like every other, and the only one that teaches
    the model to stop."""
    real = targets != IGNORE
    last = real & ~torch.cat([real[:, 1:], torch.zeros_like(real[:, :1])], dim=1)
    losses, _ = _losses(logits, targets)
    return torch.where(last, 0.0, losses).sum() / (real & ~last).sum().clamp(min=1)


def token_zero_ignored(logits, targets):
    """Targets of token 0 were left out too. Token 0 is a token like any other here: only −100 marks a place that does not
    count."""
    return masked_loss(logits, targets.masked_fill(targets == 0, IGNORE))


def without_a_graph(logits, targets):
    """The loss is right, but no gradient can flow through it: it was computed under no_grad, or from numbers taken out of their
    tensors. Training would stand still."""
    return masked_loss(logits.detach(), targets)


def a_plain_number(logits, targets):
    """You return a Python number. The loss is right, but a number has no graph, so no gradient can flow: return the tensor
    itself, and take its number out only to report it."""
    return masked_loss(logits, targets).item()


def sum_of_exponentials_overflows(logits, targets):
    """With large logits the result is infinite: exp(200) is too large for floating point. The logarithm comes too late then.
    Take the largest logit out of the sum first; log-sum-exp does, and torch has it in one function."""
    real = targets != IGNORE
    z = logits[real]
    return (z.exp().sum(1).log() - z.gather(1, targets[real][:, None])[:, 0]).mean()


def one_largest_for_all_places(logits, targets):
    """The largest logit was taken out, but one and the same at all places. Where the logits are far below it, every exponential
    is 0 and the logarithm −∞. Log-sum-exp is computed at each place by itself: over which axis is its largest logit found?"""
    real = targets != IGNORE
    z = logits[real] - logits[real].max()
    return (z.exp().sum(1).log() - z.gather(1, targets[real][:, None])[:, 0]).mean()


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.tensor([[[0.0, 1.0], [2.0, 0.0]], [[1.0, 1.0], [0.5, -0.5]]])
    padded = torch.tensor([[2, 0, 4, 1], [3, 1, -100, -100], [0, -100, -100, -100]])
    large = torch.tensor([[[300.0, 100.0, 0.0], [0.0, 200.0, 260.0]], [[-400.0, 0.0, -90.0], [7.0, 7.0, 7.0]]])
    return [
        public("two sentences, two tokens", by_hand, torch.tensor([[1, 0], [1, -100]])),
        public("three sentences, five tokens", normal(rng, 3, 4, 5), padded),
        public("large logits", large, torch.tensor([[1, 2], [0, -100]])),
        hidden("small logits", large - 700.0, torch.tensor([[0, 2], [1, -100]])),
        hidden("no padding", normal(rng, 2, 3, 7), torch.tensor([[6, 0, 3], [1, 2, 5]])),
        hidden("a sentence of padding alone", normal(rng, 3, 2, 4), torch.tensor([[1, -100], [-100, -100], [3, 0]])),
        hidden("the padding in front", normal(rng, 2, 5, 3), torch.tensor([[-100, -100, 2, 0, 1], [-100, 1, 1, 0, 2]])),
        hidden("double precision", *_batch(rng, 5, 3, 11, torch.float64)),
        hidden("a larger batch", *_batch(rng, 7, 11, 3)),
    ]


def _batch(rng: random.Random, rows: int, columns: int, size: int, dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = [rng.randint(1, columns) for _ in range(rows)]
    targets = [[rng.randrange(size) if t < n else IGNORE for t in range(columns)] for n in lengths]
    return normal(rng, rows, columns, size).to(dtype), torch.tensor(targets)


EXERCISE = Exercise(
    chapter="ch07_seq2seq",
    minutes=20,
    difficulty=2,
    points=3,
    reference=masked_loss,
    right=[with_a_mask, in_loops, with_one_hot_targets, rows_weighted_by_their_tokens],
    wrong=[
        mean_of_row_means,
        mean_over_rows,
        padding_in_the_count,
        padding_counted,
        last_token_counted,
        padded_logits_set_to_zero,
        summed,
        one_loss_per_token,
        one_loss_per_sentence,
        likelihood,
        softmax_over_time,
        softmax_over_batch,
        not_normalised,
        no_logarithm,
        logarithm_of_the_mean,
        exponentials_overflow,
        logarithm_of_softmax,
        small_number_added,
        logits_clipped,
        in_bits,
        perplexity,
        last_real_token_left_out,
        token_zero_ignored,
        without_a_graph,
        a_plain_number,
        sum_of_exponentials_overflows,
        one_largest_for_all_places,
    ],
    cases=cases,
    probe="gradients",
    ready=READY,
)
