"""The loss of instruction tuning (Ouyang et al. 2022, section 3.5, step 1): the cross-entropy of the answers' tokens alone."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case

READY = (
    "torch.nn.functional.cross_entropy",
    "torch._C._nn.cross_entropy_loss",
    "torch.nn.functional.nll_loss",
    "torch._C._nn.nll_loss_nd",
    "lmcore",
)


def answer_loss(logits, ids, begins, lengths):
    place = torch.arange(1, ids.shape[1]).to(ids.device)
    asked = (begins[:, None] <= place) & (place < lengths[:, None])
    z, y = logits[:, :-1][asked], ids[:, 1:][asked]
    return -z.log_softmax(dim=1).gather(1, y[:, None]).mean()


# Right, written differently


def text_by_text(logits, ids, begins, lengths):
    losses = []
    for z, text, begin, length in zip(logits, ids, begins.tolist(), lengths.tolist(), strict=True):
        answer, said = text[begin:length], z[begin - 1 : length - 1].log_softmax(-1)
        losses.append(-said[torch.arange(len(answer)), answer])
    return torch.cat(losses).mean()


def token_by_token(logits, ids, begins, lengths):
    total, count = 0.0, 0
    for b, (begin, length) in enumerate(zip(begins.tolist(), lengths.tolist(), strict=True)):
        for t in range(begin, length):
            z = logits[b, t - 1]
            largest = z.detach().max()
            total = total + largest + (z - largest).exp().sum().log() - z[ids[b, t]]
            count += 1
    return total / count


def with_weights(logits, ids, begins, lengths):
    """Every place has a loss; what is not asked has the weight 0."""
    place = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    weight = torch.logical_and(place >= begins.unsqueeze(1), place < lengths.unsqueeze(1)).to(logits.dtype)
    before = torch.roll(logits, 1, dims=1)  # the first place gets the last one's, and is never asked
    one_hot = torch.nn.functional.one_hot(ids, logits.shape[2]).to(logits.dtype)
    said = (torch.log_softmax(before, dim=2) * one_hot).sum(2)
    return -(said * weight).sum() / weight.sum()


def with_minus_100(logits, ids, begins, lengths):
    """What is not asked is marked in a copy of the texts."""
    targets = ids.clone()
    for row, begin, length in zip(targets, begins, lengths, strict=True):
        row[:begin], row[length:] = -100, -100
    targets, said = targets[:, 1:].flatten(), logits[:, :-1].log_softmax(-1).flatten(0, 1)
    kept = torch.nonzero(targets != -100)[:, 0]
    return -said[kept, targets[kept]].mean()


# Wrong: the docstring is the hint


def _losses(logits, ids, asked):
    """The loss of every next token that is asked."""
    z, y = logits[:, :-1][asked], ids[:, 1:][asked]
    return z.logsumexp(1) - z.gather(1, y[:, None])[:, 0]


def _place(ids):
    return torch.arange(1, ids.shape[1]).to(ids.device)


def _asked(ids, begins, lengths):
    return (_place(ids) >= begins[:, None]) & (_place(ids) < lengths[:, None])


def prompts_too(logits, ids, begins, lengths):
    """The prompts carry loss too: this is the ordinary loss of a language model. What does `begins` say of the tokens before
    it?"""
    return _losses(logits, ids, _place(ids) < lengths[:, None]).mean()


def padding_too(logits, ids, begins, lengths):
    """The padding after the answers carries loss too. A text ends at `lengths`; what stands behind it is no text."""
    return _losses(logits, ids, _place(ids) >= begins[:, None]).mean()


def everything(logits, ids, begins, lengths):
    """Every token of the table carries loss, prompts and padding with the rest. Only the answers are asked for: from `begins`
    up to, but not including, `lengths`."""
    return _losses(logits, ids, torch.ones_like(ids[:, 1:]) > 0).mean()


def not_shifted(logits, ids, begins, lengths):
    """A token was asked of the logits at its own place. There the model has read it already: it would learn to copy. Which
    logits were made before the token was read?"""
    place = torch.arange(ids.shape[1]).to(ids.device)
    asked = (place >= begins[:, None]) & (place < lengths[:, None])
    z, y = logits[asked], ids[asked]
    return (z.logsumexp(1) - z.gather(1, y[:, None])[:, 0]).mean()


def shifted_the_wrong_way(logits, ids, begins, lengths):
    """The shift goes the wrong way: the logits at a place were asked for the token before it. They speak of the next one."""
    asked = _asked(ids, begins, lengths)
    z, y = logits[:, 1:][asked], ids[:, :-1][asked]
    return (z.logsumexp(1) - z.gather(1, y[:, None])[:, 0]).mean()


def begins_not_shifted(logits, ids, begins, lengths):
    """The first token of every answer is not asked for: the mask was made for the places that read, and used for the tokens
    that are predicted. The logits at the last token of the prompt speak of the answer's first."""
    return _losses(logits, ids, (_place(ids) > begins[:, None]) & (_place(ids) < lengths[:, None])).mean()


def one_token_of_the_prompt(logits, ids, begins, lengths):
    """One token too many is asked for: the last of every prompt. An answer's first token stands at `begins`, not before
    it."""
    return _losses(logits, ids, (_place(ids) >= begins[:, None] - 1) & (_place(ids) < lengths[:, None])).mean()


def without_the_end(logits, ids, begins, lengths):
    """The last token of every answer is missing. It is the token that says that the answer is over: a model that is never
    asked for it does not learn to stop."""
    return _losses(logits, ids, (_place(ids) >= begins[:, None]) & (_place(ids) < lengths[:, None] - 1)).mean()


def one_token_of_padding(logits, ids, begins, lengths):
    """One token of padding is asked for after each answer. The places of a text are 0 to its length minus 1."""
    return _losses(logits, ids, (_place(ids) >= begins[:, None]) & (_place(ids) <= lengths[:, None])).mean()


def only_the_first_token(logits, ids, begins, lengths):
    """Only the first token of each answer is asked for. The answer goes on to `lengths`, and every token of it counts."""
    return _losses(logits, ids, _place(ids) == begins[:, None]).mean()


def only_the_prompts(logits, ids, begins, lengths):
    """The mask is turned round: the prompts are asked for, and the answers are not."""
    return _losses(logits, ids, _place(ids) < begins[:, None]).mean()


def one_beginning_for_all(logits, ids, begins, lengths):
    """The beginning of the first text's answer was used for all texts. Every prompt has a length of its own."""
    return _losses(logits, ids, _asked(ids, begins[:1].expand_as(begins), lengths)).mean()


def mean_over_texts(logits, ids, begins, lengths):
    """You took the mean within each answer, and then over the answers. A token of a short answer weighs more then than one of
    a long answer. All N tokens count alike: divide once."""
    each = [
        _losses(z[None], y[None], _asked(y[None], b[None], n[None]))
        for z, y, b, n in zip(logits, ids, begins, lengths, strict=True)
    ]
    return torch.stack([losses.mean() for losses in each]).mean()


def divided_by_the_texts(logits, ids, begins, lengths):
    """The sum was divided by the number of texts. Divide by N, the number of tokens of all answers."""
    return _losses(logits, ids, _asked(ids, begins, lengths)).sum() / len(ids)


def divided_by_all_places(logits, ids, begins, lengths):
    """The sum was divided by the number of all next tokens in the table. The prompts and the padding are not asked for, so
    they must not be counted either: what is N in your example?"""
    return _losses(logits, ids, _asked(ids, begins, lengths)).sum() / ids[:, 1:].numel()


def divided_by_all_tokens(logits, ids, begins, lengths):
    """The sum was divided by the lengths of the texts, prompts included. With a long prompt the loss would seem small. N
    counts the tokens of the answers."""
    return _losses(logits, ids, _asked(ids, begins, lengths)).sum() / lengths.sum()


def summed(logits, ids, begins, lengths):
    """The losses of the tokens were added up. Asked for is their mean."""
    return _losses(logits, ids, _asked(ids, begins, lengths)).sum()


def one_loss_per_token(logits, ids, begins, lengths):
    """You return a loss for every token of an answer. Training needs one number: their mean."""
    return _losses(logits, ids, _asked(ids, begins, lengths))


def logits_cleared(logits, ids, begins, lengths):
    """The logits of the prompts were set to zero, and then these places counted all the same: with equal logits each costs
    log V. Leave them out."""
    kept = logits[:, :-1] * _asked(ids, begins, lengths)[..., None]
    return _losses(torch.cat([kept, logits[:, -1:]], 1), ids, _place(ids) < lengths[:, None]).mean()


def not_normalised(logits, ids, begins, lengths):
    """The logits themselves were taken for log-probabilities: the softmax is missing. Such a loss falls without limit when
    all logits rise."""
    asked = _asked(ids, begins, lengths)
    return -logits[:, :-1][asked].gather(1, ids[:, 1:][asked][:, None]).mean()


def softmax_over_the_places(logits, ids, begins, lengths):
    """The softmax ran over the places of the answers. At each place the V words compete: which axis is theirs?"""
    asked = _asked(ids, begins, lengths)
    return -logits[:, :-1][asked].log_softmax(0).gather(1, ids[:, 1:][asked][:, None]).mean()


def logarithm_of_softmax(logits, ids, begins, lengths):
    """With large logits the result is infinite or nan: the softmax rounds a small probability to 0, and its logarithm is −∞.
    Compute both in one step."""
    asked = _asked(ids, begins, lengths)
    return -logits[:, :-1][asked].softmax(1).gather(1, ids[:, 1:][asked][:, None]).log().mean()


def probability_kept_above_zero(logits, ids, begins, lengths):
    """The probabilities were kept above a small number, or one was added to them, so that the logarithm stays finite. But now
    a token that was thought impossible costs the same however wrong the logits are, and has no gradient: just there nothing
    is learnt. Compute logarithm and softmax in one step."""
    asked = _asked(ids, begins, lengths)
    q = logits[:, :-1][asked].softmax(1).gather(1, ids[:, 1:][asked][:, None])
    return -q.clamp(min=1e-12).log().mean()


def exponentials_overflow(logits, ids, begins, lengths):
    """With large logits the result is infinite or nan: e to the power of some hundred is more than a float can hold. Take the
    largest logit away first, or use a function that does."""
    asked = _asked(ids, begins, lengths)
    z = logits[:, :-1][asked]
    return (z.exp().sum(1).log() - z.gather(1, ids[:, 1:][asked][:, None])[:, 0]).mean()


def without_a_graph(logits, ids, begins, lengths):
    """The loss is right, but no gradient can flow through it: it was computed under no_grad, or from numbers taken out of
    their tensors."""
    return _losses(logits, ids, _asked(ids, begins, lengths)).mean().detach()


def sign_turned_round(logits, ids, begins, lengths):
    """The sign is turned round: training would make the answers improbable. A loss is the negative of the mean
    log-probability."""
    return -_losses(logits, ids, _asked(ids, begins, lengths)).mean()


def probability(logits, ids, begins, lengths):
    """The result is the mean probability of the answers' tokens, with a minus sign. The loss is the negative logarithm."""
    return -torch.exp(-_losses(logits, ids, _asked(ids, begins, lengths))).mean()


def in_bits(logits, ids, begins, lengths):
    """The logarithm has the base 2. Losses are in nats here: use the natural logarithm."""
    return _losses(logits, ids, _asked(ids, begins, lengths)).mean() / torch.log(torch.tensor(2.0)).to(logits)


def cases(rng: random.Random) -> list[Case]:
    steps = [[0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [3.0, 0.0, 0.0], [0.0, 1.0, 1.0], [2.0, 1.0, 0.0], [1.0, 0.0, 4.0]]
    one, two = torch.tensor([steps[:4]]), torch.tensor([steps, steps[::-1]])
    large = torch.tensor([[[0.0, 0.0], [300.0, 0.0], [-250.0, 0.0], [0.0, 0.0]]])
    texts = torch.tensor([[1, 2, 0, 2, 1, 0], [1, 0, 2, 0, 0, 0]])
    return [
        public("one text, by hand", one, torch.tensor([[1, 2, 0, 2]]), torch.tensor([2]), torch.tensor([4])),
        public("two texts, with padding", two, texts, torch.tensor([2, 3]), torch.tensor([6, 4])),
        public("large logits", large, torch.tensor([[0, 1, 1, 0]]), torch.tensor([2]), torch.tensor([4])),
        public("the longer prompt first", two.flip(1), texts.flip(0), torch.tensor([2, 1]), torch.tensor([5, 3])),
        hidden("the end alone", normal(rng, 2, 3, 4), torch.tensor([[1, 3, 2], [1, 2, 0]]), torch.tensor([2, 1]),
            torch.tensor([3, 2])),
        hidden("no prompt but the start", normal(rng, 1, 4, 2), torch.tensor([[0, 1, 1, 0]]), torch.tensor([1]),
            torch.tensor([4])),
        hidden("many texts", normal(rng, 5, 11, 13), *_texts(rng, 5, 11, 13)),
        hidden("double precision", normal(rng, 3, 7, 5).double(), *_texts(rng, 3, 7, 5)),
    ]  # fmt: skip


def _texts(rng: random.Random, texts: int, longest: int, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random tokens, and for every text where its answer begins and ends."""
    ids = torch.tensor([[rng.randrange(size) for _ in range(longest)] for _ in range(texts)])
    begins = [rng.randint(1, longest - 1) for _ in range(texts)]
    return ids, torch.tensor(begins), torch.tensor([rng.randint(begin + 1, longest) for begin in begins])


EXERCISE = Exercise(
    chapter="ch18_prompting",
    minutes=20,
    difficulty=2,
    points=3,
    reference=answer_loss,
    right=[text_by_text, token_by_token, with_weights, with_minus_100],
    wrong=[
        prompts_too,
        padding_too,
        everything,
        not_shifted,
        shifted_the_wrong_way,
        begins_not_shifted,
        one_token_of_the_prompt,
        without_the_end,
        one_token_of_padding,
        only_the_first_token,
        only_the_prompts,
        one_beginning_for_all,
        mean_over_texts,
        divided_by_the_texts,
        divided_by_all_places,
        divided_by_all_tokens,
        summed,
        one_loss_per_token,
        logits_cleared,
        not_normalised,
        softmax_over_the_places,
        logarithm_of_softmax,
        probability_kept_above_zero,
        exponentials_overflow,
        without_a_graph,
        sign_turned_round,
        probability,
        in_bits,
    ],
    cases=cases,
    probe="gradients",
    ready=READY,
)
