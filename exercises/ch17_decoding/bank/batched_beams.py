"""One step of beam search for several prompts at once, with the rows that the cache has to keep."""

import math
import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def batched_beams(scores, logits, ended, end):
    N, B, V = logits.shape
    only_end = torch.full_like(logits, -math.inf)
    only_end[:, :, end] = 0.0
    log_q = torch.where(ended.unsqueeze(2), only_end, logits.log_softmax(dim=2))
    total = scores.unsqueeze(2) + log_q
    best = total.flatten(1).topk(B)
    tokens = best.indices % V
    first_rows = B * torch.arange(N).to(tokens).unsqueeze(1)
    return best.values, first_rows + best.indices // V, tokens


# Right, written differently


def prompt_by_prompt(scores, logits, ended, end):
    N, B, V = logits.shape
    values, rows, tokens = [], [], []
    for n in range(N):
        log_q = torch.log_softmax(logits[n], 1)
        for b in range(B):
            if ended[n, b]:
                log_q[b] = torch.tensor([0.0 if v == end else -math.inf for v in range(V)]).to(logits)
        value, index = torch.sort((scores[n, :, None] + log_q).view(-1), descending=True)
        values.append(value[:B])
        rows.append(n * B + torch.div(index[:B], V, rounding_mode="floor"))
        tokens.append(index[:B].remainder(V))
    return torch.stack(values), torch.stack(rows), torch.stack(tokens)


def with_lists(scores, logits, ended, end):
    N, B = scores.shape
    normalised = (logits - logits.logsumexp(2, keepdim=True)).tolist()
    found = []
    for n in range(N):
        candidates = []
        for b, score in enumerate(scores[n].tolist()):
            if bool(ended[n, b]):
                candidates.append((score, n * B + b, end))
            else:
                candidates += [(score + q, n * B + b, v) for v, q in enumerate(normalised[n][b])]
        found.append(sorted(candidates, reverse=True)[:B])
    columns = [[[one[i] for one in beam] for beam in found] for i in range(3)]
    return torch.tensor(columns[0]).to(scores), torch.tensor(columns[1]), torch.tensor(columns[2])


def hypothesis_by_hypothesis(scores, logits, ended, end):
    """No hypothesis can give more than B of the best B: first the best of each, then the best of those."""
    N, B, V = logits.shape
    log_q = torch.nn.functional.log_softmax(logits, -1)
    frozen = (torch.arange(V).to(logits.device) != end).to(logits) * -1e30
    log_q = log_q.masked_fill(ended[..., None], 0.0) + frozen * ended[..., None].to(logits)
    each = log_q.topk(min(B, V), -1)
    best = (scores[..., None] + each.values).view(N, -1).topk(B, -1)
    parents = best.indices // each.values.shape[-1]
    tokens = each.indices.view(N, -1).gather(1, best.indices)
    return best.values, parents + torch.arange(0, N * B, B).to(parents)[:, None], tokens


# Wrong: the docstring is the hint


def _log_q(logits, ended, end, dim=2):
    only_end = torch.full_like(logits, -math.inf)
    only_end[:, :, end] = 0.0
    return torch.where(ended[..., None], only_end, logits.log_softmax(dim))


def _best(total):
    """The best of every prompt: scores, rows of the cache, tokens."""
    N, B, V = total.shape
    best = total.flatten(1).topk(B)
    return best.values, best.indices // V + B * torch.arange(N).to(best.indices)[:, None], best.indices % V


def each_goes_on(scores, logits, ended, end):
    """Every hypothesis went on with its best token. That is B greedy searches side by side. A beam compares the extensions
    of all B hypotheses, and a good hypothesis may have several children, a bad one none."""
    best = _log_q(logits, ended, end).max(2)
    order = (scores + best.values).sort(1, descending=True)
    rows = order.indices + len(scores[0]) * torch.arange(len(scores)).to(order.indices)[:, None]
    return order.values, rows, best.indices.gather(1, order.indices)


def prompts_mixed(scores, logits, ended, end):
    """The extensions of all prompts were compared with each other. Each prompt has a beam of its own: B of its own extensions
    stay."""
    total = scores[..., None] + _log_q(logits, ended, end)
    best = total.flatten().topk(scores.numel())
    shape = scores.shape
    return best.values.view(shape), (best.indices // logits.shape[2]).view(shape), (best.indices % logits.shape[2]).view(shape)


def rows_from_zero_for_each(scores, logits, ended, end):
    """The rows are counted from 0 for each prompt. The cache holds N·B texts one below the other: in which row does the first
    hypothesis of the second prompt stand?"""
    values, rows, tokens = batched_beams(scores, logits, ended, end)
    return values, rows % scores.shape[1], tokens


def rows_prompt_last(scores, logits, ended, end):
    """The rows are those of a cache in which the hypotheses of a prompt do not stand together. Hypothesis b of prompt n
    stands in row nB + b."""
    values, rows, tokens = batched_beams(scores, logits, ended, end)
    N, B = scores.shape
    return values, rows % B * N + rows // B, tokens


def rows_of_as_many_as_prompts(scores, logits, ended, end):
    """The rows are right only where there are as many hypotheses as prompts. A prompt has B rows in the cache: how many rows
    lie above those of prompt n?"""
    values, rows, tokens = batched_beams(scores, logits, ended, end)
    N, B = scores.shape
    return values, rows + (N - B) * torch.arange(N).to(rows)[:, None], tokens


def rows_as_they_were(scores, logits, ended, end):
    """Scores and tokens are right, but the rows say that each hypothesis goes on from its own cache. A hypothesis that has two
    children gives its cache to both: which hypothesis does each token extend?"""
    values, rows, tokens = batched_beams(scores, logits, ended, end)
    return values, torch.arange(scores.numel()).to(rows).view(scores.shape), tokens


def row_and_token_exchanged(scores, logits, ended, end):
    """A place among B·V was taken apart with B. The V extensions of one hypothesis stand next to each other: which places are
    those of hypothesis 1, and by what must one divide to get its number?"""
    N, B = scores.shape
    best = (scores[..., None] + _log_q(logits, ended, end)).flatten(1).topk(B)
    return best.values, best.indices % B + B * torch.arange(N).to(best.indices)[:, None], best.indices // B


def quotient_and_rest_exchanged(scores, logits, ended, end):
    """Hypothesis and token were exchanged when a place among B·V was taken apart. The V extensions of one hypothesis stand next
    to each other: which of the two is the quotient by V, and which is what is left?"""
    N, B = scores.shape
    V = logits.shape[2]
    best = (scores[..., None] + _log_q(logits, ended, end)).flatten(1).topk(B)
    return best.values, best.indices % V + B * torch.arange(N).to(best.indices)[:, None], best.indices // V


def place_for_token(scores, logits, ended, end):
    """The tokens are places among all B·V extensions. Some are larger than any token: what is left when whole hypotheses are
    taken away?"""
    values, rows, tokens = batched_beams(scores, logits, ended, end)
    return values, rows, rows % scores.shape[1] * logits.shape[2] + tokens


def history_forgotten(scores, logits, ended, end):
    """The extensions were ranked by their last token alone. The score of a text is the sum of all of its log-probabilities:
    what about those before?"""
    return _best(_log_q(logits, ended, end))


def logits_added(scores, logits, ended, end):
    """The logits were added as they are. A score is a sum of log-probabilities: logits of two hypotheses have their zero in
    different places."""
    only_end = torch.full_like(logits, -math.inf)
    only_end[:, :, end] = 0.0
    return _best(scores[..., None] + torch.where(ended[..., None], only_end, logits))


def probabilities_added(scores, logits, ended, end):
    """Probabilities were added to the scores. Scores are logarithms: where probabilities are multiplied, what is done with
    their logarithms?"""
    return _best(
        scores[..., None] + _log_q(logits, ended, end).exp().masked_fill(_log_q(logits, ended, end) == -math.inf, -math.inf)
    )


def softmax_over_the_hypotheses(scores, logits, ended, end):
    """The softmax ran over the hypotheses. Each hypothesis has a distribution over the V tokens of its own."""
    return _best(scores[..., None] + _log_q(logits, ended, end, dim=1))


def ended_extended(scores, logits, ended, end):
    """Hypotheses that have ended were extended like the others, and go on behind ⟨end⟩. With which token alone may they go
    on, and what does it cost?"""
    return _best(scores[..., None] + logits.log_softmax(2))


def ended_pays(scores, logits, ended, end):
    """A hypothesis that has ended paid for another ⟨end⟩. It is only filled up, so that all rows have one length: its score
    stays."""
    log_q = logits.log_softmax(2)
    others = torch.arange(logits.shape[2]).to(ended.device) != end
    return _best(scores[..., None] + log_q.masked_fill(ended[..., None] & others, -math.inf))


def ended_lost(scores, logits, ended, end):
    """Hypotheses that have ended are gone. They stay in the beam, with their score, for as long as nothing better pushes them
    out."""
    found = scores[..., None] + logits.log_softmax(2).masked_fill(ended[..., None], -1e4)
    return _best(found)


def ended_with_any_token(scores, logits, ended, end):
    """A hypothesis that has ended may go on with every token for nothing, and takes several places of the beam. It has one
    continuation: which token?"""
    log_q = logits.log_softmax(2).masked_fill(ended[..., None], 0.0)
    return _best(scores[..., None] + log_q - 1e-6 * torch.arange(logits.shape[2]).to(logits) * ended[..., None])


def ended_of_the_first_prompt(scores, logits, ended, end):
    """What has ended in the first prompt was taken for all prompts. Each has its own hypotheses."""
    return _best(scores[..., None] + _log_q(logits, ended[:1].expand_as(ended), end))


def worst_first(scores, logits, ended, end):
    """The beam is in the wrong order: the best hypothesis stands last. It is to come first."""
    return tuple(part.flip(1) for part in batched_beams(scores, logits, ended, end))


def in_the_order_of_the_rows(scores, logits, ended, end):
    """The beam stands in the order of the hypotheses that were extended. Bring it into the order of the scores, the best
    first."""
    values, rows, tokens = batched_beams(scores, logits, ended, end)
    order = (rows * logits.shape[2] + tokens).argsort(1)
    return tuple(part.gather(1, order) for part in (values, rows, tokens))


def old_scores(scores, logits, ended, end):
    """The scores are those of the hypotheses that were extended. The new token has to be in them."""
    _, rows, tokens = batched_beams(scores, logits, ended, end)
    return scores.flatten()[rows], rows, tokens


def mean_instead_of_sum(scores, logits, ended, end):
    """Score and log-probability were averaged. A score is a sum; whoever wants to reward length does it at the end."""
    return _best((scores[..., None] + _log_q(logits, ended, end)) / 2)


def cases(rng: random.Random) -> list[Case]:
    none = torch.tensor([[False, False], [False, False]])
    first = torch.tensor([[0.4375, 0.3125, 0.125, 0.125], [0.125, 0.0625, 0.75, 0.0625]])
    second = torch.tensor([[0.1875, 0.5625, 0.125, 0.125], [0.03125, 0.46875, 0.25, 0.25]])
    logits = torch.stack([first, second]).log() + torch.tensor([[[1.0], [0.0]], [[0.0], [2.0]]])
    scores = torch.tensor([[0.5, 0.3125], [0.25, 0.125]]).log()
    begin = torch.tensor([[0.0, -math.inf], [0.0, -math.inf]])
    far = torch.tensor([[0.5, 0.3125], [0.25, 0.0001]]).log()
    one = torch.tensor([[False, True], [False, False]])
    three = torch.tensor([[0.5], [0.25], [0.125]]).log()
    return [
        public("two prompts, two hypotheses each", scores, logits, none, 3),
        public("the first step", begin, logits, none, 3),
        public("one hypothesis has ended", scores, logits, one, 3),
        public("two have ended, one of them far behind", far, logits, torch.tensor([[False, True], [False, True]]), 2),
        public("three prompts, beams of one", three, logits.view(4, 1, 4)[:3], three > 0, 3),
        hidden("one prompt, beam of one", *_drawn(rng, 1, 1, 5), 2),
        hidden("three prompts", *_drawn(rng, 3, 2, 7), 0),
        hidden("a wide beam", *_drawn(rng, 2, 5, 11), 1),
        hidden("everything has ended", *_drawn(rng, 2, 3, 5)[:2], torch.ones(2, 3, dtype=torch.bool), 4),
        hidden("double precision", *(part.double() if part.is_floating_point() else part for part in _drawn(rng, 3, 3, 5)), 3),
    ]


def _drawn(rng: random.Random, prompts: int, width: int, size: int) -> list[torch.Tensor]:
    scores = normal(rng, prompts, width).sort(1, descending=True).values - 3
    ended = torch.tensor([[rng.random() < 0.3 for _ in range(width)] for _ in range(prompts)])
    return [scores, normal(rng, prompts, width, size), ended]


EXERCISE = Exercise(
    chapter="ch17_decoding",
    minutes=30,
    difficulty=3,
    points=5,
    reference=batched_beams,
    right=[prompt_by_prompt, with_lists, hypothesis_by_hypothesis],
    wrong=[
        each_goes_on,
        prompts_mixed,
        rows_from_zero_for_each,
        rows_prompt_last,
        rows_of_as_many_as_prompts,
        rows_as_they_were,
        row_and_token_exchanged,
        quotient_and_rest_exchanged,
        place_for_token,
        history_forgotten,
        logits_added,
        probabilities_added,
        softmax_over_the_hypotheses,
        ended_extended,
        ended_pays,
        ended_lost,
        ended_with_any_token,
        ended_of_the_first_prompt,
        worst_first,
        in_the_order_of_the_rows,
        old_scores,
        mean_instead_of_sum,
    ],
    cases=cases,
    ready=("lmcore",),
)
