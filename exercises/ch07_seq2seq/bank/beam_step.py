"""One step of beam search (Sutskever et al. 2014, section 3.2): extend, keep the best, bring the states along."""

import heapq
import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def beam_step(hypotheses, scores, state, logits, width, end):
    log_probs = logits.log_softmax(dim=1)
    finished, extended = [], []
    for k, tokens in enumerate(hypotheses):
        if tokens[-1] == end:
            finished.append((scores[k], k, []))
        else:
            extended += [(scores[k] + log_prob, k, [token]) for token, log_prob in enumerate(log_probs[k])]
    extended.sort(reverse=True)
    best = sorted(finished + extended[: width - len(finished)], reverse=True)
    rows = [k for _, k, _ in best]
    return [hypotheses[k] + new for _, k, new in best], torch.stack([score for score, _, _ in best]), state[rows]


# Right, written differently


def with_topk(hypotheses, scores, state, logits, width, end):
    done = torch.tensor([tokens[-1] == end for tokens in hypotheses], device=scores.device)
    total = (scores[:, None] + logits.log_softmax(1)).masked_fill(done[:, None], float("-inf"))
    free = min(width - int(done.sum()), int((~done).sum()) * logits.shape[1])
    best = total.flatten().topk(free)
    parents = torch.cat([done.nonzero()[:, 0], best.indices // logits.shape[1]])
    ranked = torch.cat([scores[done], best.values]).sort(descending=True)
    tokens = [[] for _ in range(int(done.sum()))] + [[token] for token in (best.indices % logits.shape[1]).tolist()]
    order = ranked.indices.tolist()
    return [hypotheses[int(parents[i])] + tokens[i] for i in order], ranked.values, state.index_select(0, parents[order])


def with_a_heap(hypotheses, scores, state, logits, width, end):
    before = scores.tolist()
    normalised = (logits - logits.logsumexp(1, keepdim=True)).tolist()
    kept = [(before[k], k, list(text)) for k, text in enumerate(hypotheses) if text[-1] == end]
    candidates = [
        (before[k] + log_prob, k, [*text, token])
        for k, text in enumerate(hypotheses)
        if text[-1] != end
        for token, log_prob in enumerate(normalised[k])
    ]
    kept += heapq.nlargest(width - len(kept), candidates)
    kept.sort(reverse=True)
    found = torch.tensor([score for score, _, _ in kept], dtype=scores.dtype, device=scores.device)
    return [text for _, _, text in kept], found, torch.stack([state[k] for _, k, _ in kept])


def one_place_after_another(hypotheses, scores, state, logits, width, end):
    chosen = [(scores[k], k, None) for k, text in enumerate(hypotheses) if text[-1] == end]
    total = (logits.T - torch.logsumexp(logits, dim=1) + scores).T.clone()
    for _, k, _ in chosen:
        total[k] = float("-inf")
    while len(chosen) < width and total.max() > float("-inf"):
        k, token = divmod(int(total.argmax()), total.shape[1])
        chosen.append((total[k, token].clone(), k, token))
        total[k, token] = float("-inf")
    chosen.sort(key=lambda one: float(one[0]), reverse=True)
    texts = [hypotheses[k] + ([] if token is None else [token]) for _, k, token in chosen]
    return texts, torch.stack([score for score, _, _ in chosen]), torch.cat([state[k : k + 1] for _, k, _ in chosen])


# Wrong: the docstring is the hint


def _candidates(hypotheses, scores, log_probs, end):
    """The finished hypotheses as they are, and all extensions of the others: (score, row, new tokens)."""
    rows = [(float(scores[k]), k, tokens[-1] == end) for k, tokens in enumerate(hypotheses)]
    finished = [(score, k, []) for score, k, done in rows if done]
    extended = [
        (score + log_prob, k, [token])
        for score, k, done in rows
        if not done
        for token, log_prob in enumerate(log_probs[k].tolist())
    ]
    return finished, sorted(extended, reverse=True)


def _packed(best, hypotheses, scores, state):
    """The result, the best first."""
    best = sorted(best, reverse=True)
    found = torch.tensor([score for score, _, _ in best], dtype=scores.dtype, device=scores.device)
    return [hypotheses[k] + new for _, k, new in best], found, state[[k for _, k, _ in best]]


def _by(hypotheses, scores, state, log_probs, width, end):
    """A step by other numbers than the log-probabilities."""
    finished, extended = _candidates(hypotheses, scores, log_probs, end)
    return _packed(finished + extended[: width - len(finished)], hypotheses, scores, state)


def state_left_as_it_was(hypotheses, scores, state, logits, width, end):
    """The state was not brought into the new order. Each new hypothesis goes on from the state of the one it extends: which row
    is that? Without it a text continues with the memory of another."""
    texts, found, _ = beam_step(hypotheses, scores, state, logits, width, end)
    return texts, found, torch.cat([state] * len(texts))[: len(texts)]


def state_by_token(hypotheses, scores, state, logits, width, end):
    """The rows of the state were chosen by the new tokens. They follow the old hypotheses: where the token comes from, not
    which one it is."""
    finished, extended = _candidates(hypotheses, scores, logits.log_softmax(1), end)
    best = sorted(finished + extended[: width - len(finished)], reverse=True)
    rows = [new[0] % len(state) if new else k for _, k, new in best]
    return *_packed(best, hypotheses, scores, state)[:2], state[rows]


def state_in_order_of_age(hypotheses, scores, state, logits, width, end):
    """The right rows of the state are there, in the order of the old hypotheses. Row i belongs to the new hypothesis i: rank
    the states together with the scores."""
    finished, extended = _candidates(hypotheses, scores, logits.log_softmax(1), end)
    best = finished + extended[: width - len(finished)]
    return *_packed(best, hypotheses, scores, state)[:2], state[sorted(k for _, k, _ in best)]


def each_extended_by_its_best(hypotheses, scores, state, logits, width, end):
    """Every hypothesis was extended by its own best token only. That is greedy search, several times side by side. All
    extensions of all hypotheses compete for the places."""
    finished, extended = _candidates(hypotheses, scores, logits.log_softmax(1), end)
    own = [max(one for one in extended if one[1] == k) for k in {k for _, k, _ in extended}]
    return _packed(finished + sorted(own, reverse=True)[: width - len(finished)], hypotheses, scores, state)


def only_the_best_extended(hypotheses, scores, state, logits, width, end):
    """All new hypotheses extend the same old one, the best. A beam exists to keep the others in the race: their extensions
    compete too."""
    finished, extended = _candidates(hypotheses, scores, logits.log_softmax(1), end)
    first = max((one[1] for one in extended), key=lambda k: float(scores[k]), default=0)
    own = [one for one in extended if one[1] == first]
    return _packed(finished + own[: width - len(finished)], hypotheses, scores, state)


def width_for_each(hypotheses, scores, state, logits, width, end):
    """You kept `width` extensions of every hypothesis, and the beam grows from step to step. `width` hypotheses remain in
    all."""
    finished, extended = _candidates(hypotheses, scores, logits.log_softmax(1), end)
    own = [one for k in range(len(hypotheses)) for one in [e for e in extended if e[1] == k][:width]]
    return _packed(finished + own, hypotheses, scores, state)


def last_token_alone(hypotheses, scores, state, logits, width, end):
    """The hypotheses were ranked by the log-probability of the new token alone. A text's score is the sum over all its tokens:
    what was there before counts."""
    finished, extended = _candidates(hypotheses, torch.zeros_like(scores), logits.log_softmax(1), end)
    finished = [(float(scores[k]), k, new) for _, k, new in finished]
    return _packed(finished + extended[: width - len(finished)], hypotheses, scores, state)


def logits_added(hypotheses, scores, state, logits, width, end):
    """The logits were added as they are. Logits of two hypotheses cannot be compared: turn each row into log-probabilities
    first."""
    return _by(hypotheses, scores, state, logits, width, end)


def probabilities_added(hypotheses, scores, state, logits, width, end):
    """The probabilities were added to scores that are logarithms. The logarithm of a product is a sum of logarithms: take the
    logarithm of the probabilities too."""
    return _by(hypotheses, scores, state, logits.softmax(1), width, end)


def normalised_over_the_beam(hypotheses, scores, state, logits, width, end):
    """The softmax ran over the hypotheses. Each hypothesis has a distribution of its own over the V tokens: which axis of
    `logits` is that?"""
    return _by(hypotheses, scores, state, logits.log_softmax(0), width, end)


def finished_extended(hypotheses, scores, state, logits, width, end):
    """A hypothesis that had ended was extended. Nothing comes after ⟨end⟩: it stays as it is, with its score."""
    _, extended = _candidates(hypotheses, scores, logits.log_softmax(1), end=None)
    return _packed(extended[:width], hypotheses, scores, state)


def finished_dropped(hypotheses, scores, state, logits, width, end):
    """A hypothesis that had ended is gone. It may well be the best in the end: it stays, with its score, and takes one of the
    places."""
    finished, extended = _candidates(hypotheses, scores, logits.log_softmax(1), end)
    return _packed(extended[:width] or finished, hypotheses, scores, state)


def finished_take_no_place(hypotheses, scores, state, logits, width, end):
    """The finished hypotheses were kept beside `width` open ones. They take places too: the more have ended, the fewer are
    extended."""
    finished, extended = _candidates(hypotheses, scores, logits.log_softmax(1), end)
    return _packed(finished + extended[:width], hypotheses, scores, state)


def finished_pushed_out(hypotheses, scores, state, logits, width, end):
    """A finished hypothesis lost its place to an open one with a better score. The score of an open one can only fall from here
    on, so that comparison comes too early: what has ended stays."""
    finished, extended = _candidates(hypotheses, scores, logits.log_softmax(1), end)
    return _packed(sorted(finished + extended, reverse=True)[:width], hypotheses, scores, state)


def finished_pay_again(hypotheses, scores, state, logits, width, end):
    """The score of a finished hypothesis has changed: log q of a further ⟨end⟩ was added. It was counted when the text ended;
    the score stays as it is."""
    log_probs = logits.log_softmax(1)
    finished, extended = _candidates(hypotheses, scores, log_probs, end)
    finished = [(score + float(log_probs[k, end]), k, new) for score, k, new in finished]
    return _packed(finished + extended[: width - len(finished)], hypotheses, scores, state)


def finished_first(hypotheses, scores, state, logits, width, end):
    """The finished hypotheses stand first, whatever their score. Rank all that remain together, the best first."""
    finished, extended = _candidates(hypotheses, scores, logits.log_softmax(1), end)
    parts = [_packed(part, hypotheses, scores, state) for part in (finished, extended[: width - len(finished)]) if part]
    return [text for part in parts for text in part[0]], *(torch.cat([part[i] for part in parts]) for i in (1, 2))


def mean_log_probability(hypotheses, scores, state, logits, width, end):
    """The scores were divided by the length of the text. That is a remedy for beams that prefer short texts, and comes after
    the search. Here the score is the sum of the log-probabilities."""
    finished, extended = _candidates(hypotheses, scores, logits.log_softmax(1), end)
    kept = finished + extended[: width - len(finished)]
    return _packed([(s / len(hypotheses[k] + new), k, new) for s, k, new in kept], hypotheses, scores, state)


def worst_first(hypotheses, scores, state, logits, width, end):
    """The right hypotheses are there, the worst first. Log-probabilities are negative: the best is the one closest to 0."""
    texts, found, rows = beam_step(hypotheses, scores, state, logits, width, end)
    return texts[::-1], found.flip(0), rows.flip(0)


def hypotheses_left_as_they_were(hypotheses, scores, state, logits, width, end):
    """The scores and states belong to the new hypotheses, but the texts are in the old order: each new token was put behind the
    hypothesis at its own rank. It goes behind the one it extends."""
    texts, found, rows = beam_step(hypotheses, scores, state, logits, width, end)
    old = [hypotheses[i % len(hypotheses)] for i in range(len(texts))]
    return [before if before[-1] == end else [*before, new[-1]] for before, new in zip(old, texts, strict=True)], found, rows


def lists_shared(hypotheses, scores, state, logits, width, end):
    """The new tokens were appended to the old lists themselves, so that two hypotheses with the same beginning share one
    list, and the input changed. Make a new list for every hypothesis."""
    finished, extended = _candidates(hypotheses, scores, logits.log_softmax(1), end)
    best = sorted(finished + extended[: width - len(finished)], reverse=True)
    _, found, rows = _packed(best, hypotheses, scores, state)
    texts = []
    for _, k, new in best:
        text = hypotheses[k]
        text += new
        texts.append(text)
    return texts, found, rows


def state_counted_among_the_open(hypotheses, scores, state, logits, width, end):
    """The rows of the state are wrong where a finished hypothesis stands above an open one. The open ones were put into a list
    of their own, and their places in that list are not their rows in `state`."""
    finished, extended = _candidates(hypotheses, scores, logits.log_softmax(1), end)
    best = sorted(finished + extended[: width - len(finished)], reverse=True)
    going = [k for k, tokens in enumerate(hypotheses) if tokens[-1] != end]
    rows = [going.index(k) if new else k for _, k, new in best]
    return *_packed(best, hypotheses, scores, state)[:2], state[rows]


def state_not_ranked(hypotheses, scores, state, logits, width, end):
    """Texts and scores were ranked, but the rows of the state were chosen before that, the finished hypotheses first. Row i
    belongs to the hypothesis that stands at place i in the end: what else must the ranking bring along?"""
    finished, extended = _candidates(hypotheses, scores, logits.log_softmax(1), end)
    best = finished + extended[: width - len(finished)]
    return *_packed(best, hypotheses, scores, state)[:2], state[[k for _, k, _ in best]]


def places_lost_to_the_finished(hypotheses, scores, state, logits, width, end):
    """Extensions of finished hypotheses took places before you threw them away, so fewer hypotheses remain than there is room
    for. Which hypotheses have extensions that may compete, and when must that be decided?"""
    log_probs = logits.log_softmax(1)
    finished, _ = _candidates(hypotheses, scores, log_probs, end)
    _, everything = _candidates(hypotheses, scores, log_probs, end=None)
    best = [one for one in everything[: width - len(finished)] if hypotheses[one[1]][-1] != end]
    return _packed(finished + best, hypotheses, scores, state)


def cases(rng: random.Random) -> list[Case]:
    start, one, two = [[0]], [[0, 2], [0, 3]], [[0, 3, 2], [0, 1], [0, 2, 3]]
    first = torch.tensor([[-1.0, 0.0, 2.0, 1.0]])
    both = torch.tensor([[0.0, 1.0, 1.5, -1.0], [1.0, 2.0, 0.0, 5.0]])
    three = torch.tensor([[0.0, 0.5, 2.25, 2.5], [2.0, 1.0, 0.0, 0.0], [0.5, 1.0, 0.0, 0.75]])
    late = torch.tensor([[0.0, 1.0, 3.0, 6.0], [4.0, 2.0, 0.0, 0.0], [2.0, 7.0, 0.0, 4.0]])
    return [
        public("the first step", start, torch.zeros(1), torch.tensor([[5.0, 6.0]]), first, 2, 1),
        public("two open hypotheses", one, torch.tensor([-0.5, -1.0]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), both, 2, 1),
        public("one has ended", two, torch.tensor([-1.0, -1.25, -1.5]), normal(rng, 3, 2), three, 3, 1),
        public("one has ended, far behind", two, torch.tensor([-1.0, -7.5, -1.75]), normal(rng, 3, 2), late, 3, 1),
        hidden("all have ended", [[0, 2, 1], [0, 1]], torch.tensor([-1.5, -0.75]), *_numbers(rng, 2, 3, 5), 2, 1),
        hidden("fewer extensions than places", [[4]], torch.tensor([-0.5]), *_numbers(rng, 1, 3, 5), 7, 1),
        hidden("a width of one", [[4, 2]], torch.tensor([-2.5]), *_numbers(rng, 1, 3, 7), 1, 6),
        hidden("large logits", [[0, 2], [0, 3]], torch.tensor([-0.5, -1.5]), normal(rng, 2, 3), 30 * normal(rng, 2, 5), 2, 4),
        *[hidden(f"random beam {i}", *_random_beam(rng)) for i in (1, 2, 3)],
        hidden("double precision", *_random_beam(rng, torch.float64)),
    ]


def _numbers(rng: random.Random, beam: int, size: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    return normal(rng, beam, size), 2 * normal(rng, beam, tokens)


def _random_beam(rng: random.Random, dtype: torch.dtype = torch.float32) -> tuple:
    width, tokens, end = rng.randint(3, 6), rng.randint(5, 8), rng.randint(1, 4)
    open_tokens = [token for token in range(tokens) if token != end]
    texts = [[0 if end else 1, *rng.choices(open_tokens, k=rng.randint(2, 4))] for _ in range(width)]
    for text in rng.sample(texts, rng.randint(1, width - 2)):
        text[-1] = end
    scores = -2 * normal(rng, width).abs() - 0.5
    state, logits = _numbers(rng, width, 3, tokens)
    return texts, scores.to(dtype), state.to(dtype), logits.to(dtype), width, end


EXERCISE = Exercise(
    chapter="ch07_seq2seq",
    minutes=30,
    difficulty=3,
    points=5,
    reference=beam_step,
    right=[with_topk, with_a_heap, one_place_after_another],
    wrong=[
        state_left_as_it_was,
        state_by_token,
        state_in_order_of_age,
        each_extended_by_its_best,
        only_the_best_extended,
        width_for_each,
        last_token_alone,
        logits_added,
        probabilities_added,
        normalised_over_the_beam,
        finished_extended,
        finished_dropped,
        finished_take_no_place,
        finished_pushed_out,
        finished_pay_again,
        finished_first,
        mean_log_probability,
        worst_first,
        hypotheses_left_as_they_were,
        lists_shared,
        state_counted_among_the_open,
        state_not_ranked,
        places_lost_to_the_finished,
    ],
    cases=cases,
    ready=("lmcore",),
)
