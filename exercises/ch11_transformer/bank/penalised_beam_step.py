"""One step of beam search whose finished texts are ranked by a length penalty (Wu et al. 2016, equation 14), and when to
stop."""

import heapq
import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def penalised_beam_step(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    extended = []
    for k, tokens in enumerate(hypotheses):
        extended += [(scores[k] + log_q, [*tokens, token]) for token, log_q in enumerate(log_probs[k].tolist())]
    extended.sort(reverse=True)
    best = extended[: width - len(complete)]
    ended = [(tokens, score / _penalty(len(tokens), alpha)) for score, tokens in best if tokens[-1] == end]
    going = [(tokens, score) for score, tokens in best if tokens[-1] != end]
    complete = sorted(complete + ended, key=_score, reverse=True)
    hopeless = complete != [] and all(score / _penalty(limit, alpha) <= complete[0][1] for _, score in going)
    return [tokens for tokens, _ in going], [score for _, score in going], complete, hopeless


def _penalty(length, alpha):
    return ((5 + length) / 6) ** alpha


def _score(found):
    return found[1]


# Right, written differently


def with_topk(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    total = torch.tensor(scores, dtype=torch.float64)[:, None] + log_probs.double()
    best = total.flatten().topk(min(width - len(complete), total.numel()))
    length = len(hypotheses[0]) + 1
    going, values, done = [], [], list(complete)
    for place, score in zip(best.indices.tolist(), best.values.tolist(), strict=True):
        row, token = divmod(place, total.shape[1])
        text = hypotheses[row] + [token]
        if token == end:
            done.append((text, score * 6**alpha / (5 + length) ** alpha))
        else:
            going.append(text)
            values.append(score)
    done = sorted(done, key=lambda one: -one[1])
    reach = values[0] * 6**alpha / (5 + limit) ** alpha if values else -float("inf")
    return going, values, done, bool(done) and done[0][1] >= reach


def with_a_heap(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    numbers = log_probs.tolist()
    candidates = [(scores[k] + q, k, t) for k, row in enumerate(numbers) for t, q in enumerate(row)]
    going, values, done = [], [], complete.copy()
    for score, k, t in heapq.nlargest(width - len(complete), candidates):
        text = [*hypotheses[k], t]
        if t != end:
            going, values = [*going, text], [*values, score]
            continue
        ranked = (text, score * ((5 + len(text)) / 6) ** -alpha)
        done.insert(sum(one[1] > ranked[1] for one in done), ranked)
    if not done:
        return going, values, done, False
    still = [value for value in values if value * ((5 + limit) / 6) ** -alpha > done[0][1]]
    return going, values, done, not still


def one_place_after_another(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    total = [[float(score) + float(q) for q in row] for score, row in zip(scores, log_probs, strict=True)]
    chosen = []
    while len(chosen) < width - len(complete) and any(total):
        value, k, t = max((value, k, t) for k, row in enumerate(total) for t, value in enumerate(row) if value is not None)
        chosen.append((value, hypotheses[k] + [t]))
        total[k][t] = None
        total = [row if any(value is not None for value in row) else [] for row in total]
    divisor = {n: ((5 + n) / 6) ** alpha for n in (len(hypotheses[0]) + 1, limit)}
    done = [*complete, *((text, value / divisor[len(text)]) for value, text in chosen if text[-1] == end)]
    done.sort(key=lambda one: one[1], reverse=True)
    open_ones = [one for one in chosen if one[1][-1] != end]
    stop = len(done) > 0 and not any(value / divisor[limit] > done[0][1] for value, _ in open_ones)
    return [text for _, text in open_ones], [value for value, _ in open_ones], done, stop


# Wrong: the docstring is the hint


def _extensions(hypotheses, scores, log_probs):
    return sorted(
        ((s + q, [*h, t]) for h, s, row in zip(hypotheses, scores, log_probs.tolist(), strict=True) for t, q in enumerate(row)),
        reverse=True,
    )


def _sorted_out(best, complete, end, alpha, limit, penalty=_penalty, ceiling=None):
    """The rest of the step, from the extensions that stay."""
    ended = [(tokens, score / penalty(len(tokens), alpha)) for score, tokens in best if tokens[-1] == end]
    going = [(tokens, score) for score, tokens in best if tokens[-1] != end]
    complete = sorted(complete + ended, key=_score, reverse=True)
    reach = (lambda score: score / penalty(limit, alpha)) if ceiling is None else ceiling
    stop = complete != [] and all(reach(score) <= complete[0][1] for _, score in going)
    return [tokens for tokens, _ in going], [score for _, score in going], complete, stop


def no_penalty(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The scores of the finished texts are their log-probabilities: α plays no part, and short texts win."""
    return penalised_beam_step(hypotheses, scores, log_probs, complete, width, end, 0.0, limit)


def multiplied_by_the_penalty(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The log-probability was multiplied by the penalty. It is negative, so a long text was pushed down further, instead of
    being raised. Divide."""
    best = _extensions(hypotheses, scores, log_probs)[: width - len(complete)]
    return _sorted_out(best, complete, end, alpha, limit, lambda n, a: 1 / _penalty(n, a))


def divided_by_the_length(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The log-probability was divided by the length to the power of α. That is a length penalty too, and a stronger one; here
    it is (5 + n) / 6 that is raised to α."""
    best = _extensions(hypotheses, scores, log_probs)[: width - len(complete)]
    return _sorted_out(best, complete, end, alpha, limit, lambda n, a: n**a)


def end_not_counted(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The penalty is that of a text one token shorter: ⟨end⟩ was not counted. It is a token of the text, with a probability of
    its own."""
    best = _extensions(hypotheses, scores, log_probs)[: width - len(complete)]
    reach = _penalty(limit, alpha)
    return _sorted_out(best, complete, end, alpha, limit, lambda n, a: _penalty(n - 1, a), lambda score: score / reach)


def start_counted(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The penalty is that of a text one token longer. The texts come without ⟨start⟩: n is the number of tokens in the list,
    ⟨end⟩ among them."""
    best = _extensions(hypotheses, scores, log_probs)[: width - len(complete)]
    reach = _penalty(limit, alpha)
    return _sorted_out(best, complete, end, alpha, limit, lambda n, a: _penalty(n + 1, a), lambda score: score / reach)


def open_ones_penalised(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The scores of the open hypotheses were divided too. They go on as plain sums of log-probabilities: with a divided score,
    the next step would add a log-probability to something that is none."""
    texts, values, complete, stop = penalised_beam_step(
        hypotheses, scores, log_probs, complete, width, end, alpha, limit
    )  # fmt: skip
    return texts, [value / _penalty(len(hypotheses[0]) + 1, alpha) for value in values], complete, stop


def finished_take_no_place(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """`width` extensions stayed, as if no text were complete yet. A complete text has a place in the beam: the more there are,
    the fewer extensions stay."""
    best = _extensions(hypotheses, scores, log_probs)[:width]
    return _sorted_out(best, complete, end, alpha, limit)


def ended_on_top(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The beam was filled up with open hypotheses after the texts that ended in this step had left it. They take their places
    with them: choose first, and then see which of the chosen have ended."""
    every = _extensions(hypotheses, scores, log_probs)
    places = width - len(complete)
    ended = [one for one in every[:places] if one[1][-1] == end]
    going = [one for one in every if one[1][-1] != end][:places]
    return _sorted_out(ended + going, complete, end, alpha, limit)


def every_end_kept(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """Every hypothesis was also finished with ⟨end⟩, however improbable that was. An extension by ⟨end⟩ competes for the places
    like all others."""
    every = _extensions(hypotheses, scores, log_probs)
    ended = [one for one in every if one[1][-1] == end]
    going = [one for one in every[: width - len(complete)] if one[1][-1] != end]
    return _sorted_out(ended + going, complete, end, alpha, limit)


def ended_stay_open(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """A text that ended is among the open hypotheses, and would be extended in the next step. It leaves them and becomes
    complete."""
    best = _extensions(hypotheses, scores, log_probs)[: width - len(complete)]
    _, _, complete, stop = _sorted_out(best, complete, end, alpha, limit)
    return [tokens for _, tokens in best], [score for score, _ in best], complete, stop


def complete_forgotten(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The texts that were complete before are gone. They stay, and the new ones are ranked among them."""
    best = _extensions(hypotheses, scores, log_probs)[: width - len(complete)]
    return _sorted_out(best, [], end, alpha, limit)


def complete_not_ranked(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The newly completed texts stand behind the old ones, whatever their score. The best comes first."""
    texts, values, ranked, stop = penalised_beam_step(
        hypotheses, scores, log_probs, complete, width, end, alpha, limit
    )  # fmt: skip
    return texts, values, complete + [one for one in ranked if one not in complete], stop


def end_cut_off(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The complete texts have lost their ⟨end⟩. Their lists end with it: that is how they differ from texts that were cut
    off."""
    texts, values, ranked, stop = penalised_beam_step(
        hypotheses, scores, log_probs, complete, width, end, alpha, limit
    )  # fmt: skip
    return texts, values, [(t[:-1] if len(t) == len(hypotheses[0]) + 1 else t, s) for t, s in ranked], stop


def stops_at_the_first(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The search was stopped as soon as a text was complete. An open hypothesis may still become better than it: compare what
    the best of them can reach."""
    texts, values, ranked, _ = penalised_beam_step(hypotheses, scores, log_probs, complete, width, end, alpha, limit)
    return texts, values, ranked, ranked != []


def stops_when_nothing_is_open(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The search goes on as long as anything is open, even if it can no longer win. Compare the best complete text with the
    most an open one can reach."""
    texts, values, ranked, _ = penalised_beam_step(hypotheses, scores, log_probs, complete, width, end, alpha, limit)
    return texts, values, ranked, ranked != [] and not texts


def plain_scores_compared(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The stop compares the penalised score of a complete text with the log-probability of an open one. An open text may grow
    up to `limit` tokens, and its log-probability is then divided too: by how much?"""
    best = _extensions(hypotheses, scores, log_probs)[: width - len(complete)]
    return _sorted_out(best, complete, end, alpha, limit, ceiling=lambda score: score)


def length_of_now_compared(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The stop gives an open hypothesis the penalty of its present length. If it grows up to `limit` tokens, it is divided by
    more, and being negative, it rises: the search was stopped too early."""
    best = _extensions(hypotheses, scores, log_probs)[: width - len(complete)]
    present = _penalty(len(hypotheses[0]) + 1, alpha)
    return _sorted_out(best, complete, end, alpha, limit, ceiling=lambda score: score / present)


def worst_complete_compared(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    """The stop compares with the worst complete text. The search is for one translation, the best: an open hypothesis that
    cannot beat the first cannot win."""
    texts, values, ranked, _ = penalised_beam_step(hypotheses, scores, log_probs, complete, width, end, alpha, limit)
    stop = ranked != [] and all(value / _penalty(limit, alpha) <= ranked[-1][1] for value in values)
    return texts, values, ranked, stop


def cases(rng: random.Random) -> list[Case]:
    def table(*rows: list[float]) -> torch.Tensor:
        return torch.tensor(rows).log()

    two = [[2, 3], [3, 2]]
    three = table([0.1, 0.5, 0.3, 0.1], [0.05, 0.05, 0.2, 0.7])
    done = [([2, 1], -0.75), ([3, 1], -2.5)]
    return [
        public("the first step", [[]], [0.0], table([0.1, 0.2, 0.4, 0.3]), [], 3, 1, 1.0, 8),
        public("one text ends", two, [-1.0, -1.25], three, [], 3, 1, 1.0, 9),
        public("two were complete", two, [-0.625, -1.125], three, done, 5, 1, 0.75, 12),
        public("far behind the best", two, [-2.0, -2.25], three, done, 4, 1, 0.75, 5),
        public("far behind the only one", [[3, 2]], [-4.25], three[1:], done[:1], 2, 1, 0.75, 5),
        hidden("nothing ends", two, [-1.0, -2.5], table([0.5, 0.05, 0.35, 0.1], [0.1, 0.5, 0.2, 0.2]), [], 2, 1, 0.7, 6),
        hidden("the last place", [[2, 2, 2]], [-0.5], table([0.2, 0.7, 0.1, 0.0]), [([2, 1], -2.0)], 2, 1, 0.6, 10),
        hidden("as good as the best", [[2]], [-0.5], torch.tensor([[-3.0, -2.0, -1.0, -4.0]]), [([1], -1.5)], 2, 1, 0.0, 5),
        hidden("no penalty", two, [-1.0, -1.5], three, [([2, 1], -1.375)], 3, 1, 0.0, 12),
        hidden("fewer extensions than places", [[]], [0.0], table([0.6, 0.4]), [], 5, 1, 1.0, 8),
        hidden("some beam", *_beam(rng, 3, 4, 5), [], 4, 0, 1.0, 10),
        hidden("some beam with complete texts", *_beam(rng, 2, 3, 6), [([4, 0], -rng.uniform(1, 2))], 4, 0, 0.6, 20),
    ]


def _beam(rng: random.Random, count: int, length: int, size: int) -> tuple[list, list, torch.Tensor]:
    texts = [[1 + (k + t) % (size - 1) for t in range(length)] for k in range(count)]
    scores = sorted((-rng.uniform(1, 3) for _ in range(count)), reverse=True)
    return texts, scores, normal(rng, count, size).log_softmax(1)


EXERCISE = Exercise(
    chapter="ch11_transformer",
    minutes=30,
    difficulty=3,
    points=5,
    reference=penalised_beam_step,
    right=[with_topk, with_a_heap, one_place_after_another],
    wrong=[
        no_penalty,
        multiplied_by_the_penalty,
        divided_by_the_length,
        end_not_counted,
        start_counted,
        open_ones_penalised,
        finished_take_no_place,
        ended_on_top,
        every_end_kept,
        ended_stay_open,
        complete_forgotten,
        complete_not_ranked,
        end_cut_off,
        stops_at_the_first,
        stops_when_nothing_is_open,
        plain_scores_compared,
        length_of_now_compared,
        worst_complete_compared,
    ],
    cases=cases,
    ready=("lmcore",),
)
