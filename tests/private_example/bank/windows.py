"""Overlapping windows of a text that arrives token by token: a generator."""

import random
from collections import deque
from itertools import islice

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.run import Case


def windows(tokens, size, step):
    window, fresh = [], False
    for token in tokens:
        window.append(token)
        fresh = True
        if len(window) == size:
            yield window
            window, fresh = window[step:], False
    if fresh:
        yield window


# Right, written differently


def with_deque(tokens, size, step):
    window, missing = deque(maxlen=size), size
    for token in tokens:
        window.append(token)
        missing -= 1
        if missing == 0:
            yield list(window)
            missing = step
    if 0 < len(window) < size:
        yield list(window)
    elif window and missing < step:
        yield list(window)[missing:]


def with_islice(tokens, size, step):
    source = iter(tokens)
    window = list(islice(source, size))
    while window:
        yield list(window)
        new = list(islice(source, step)) if len(window) == size else []
        window = window[step:] + new if new else []


def by_position(tokens, size, step):
    source, seen, start, done = iter(tokens), [], 0, 0
    while True:
        while len(seen) < start + size:
            try:
                seen.append(next(source))
            except StopIteration:
                if len(seen) > done:
                    yield seen[start:]
                return
        yield seen[start : start + size]
        start, done = start + step, len(seen)


# Wrong: the docstring is the hint


def reads_everything_first(tokens, size, step):
    """All tokens are read before the first window is yielded. The text may be endless: how many tokens are needed for one
    window?"""
    yield from windows(list(tokens), size, step)


def one_ahead(tokens, size, step):
    """One token more is read than a window needs. Whoever waits for the window waits for that token too: when is a window
    complete?"""
    window, fresh = [], False
    for token in tokens:
        if len(window) == size:
            yield window
            window, fresh = window[step:], False
        window.append(token)
        fresh = True
    if fresh:
        yield window


def same_list(tokens, size, step):
    """Every window is the same list, and you change it after you have yielded it. Call `list(windows(...))`: what has become
    of the first window?"""
    window, fresh = [], False
    for token in tokens:
        window.append(token)
        fresh = True
        if len(window) == size:
            yield window
            del window[:step]
            fresh = False
    if fresh:
        yield window


def drops_the_rest(tokens, size, step):
    """Tokens at the end that fill no window are lost. Where do they go, once the loop is over?"""
    for window in windows(tokens, size, step):
        if len(window) == size:
            yield window


def rest_without_overlap(tokens, size, step):
    """The last, shorter window holds only the tokens that were in no window before. Does it overlap with the one before it,
    as the others do?"""
    window, fresh = [], []
    for token in tokens:
        window.append(token)
        fresh.append(token)
        if len(window) == size:
            yield window
            window, fresh = window[step:], []
    if fresh:
        yield fresh


def rest_without_news(tokens, size, step):
    """At the end comes a window whose tokens all stood in the window before. What would it add?"""
    window = []
    for token in tokens:
        window.append(token)
        if len(window) == size:
            yield window
            window = window[step:]
    if window:
        yield window


def rest_is_padded(tokens, size, step):
    """The last window is filled with zeros. The question asks for a shorter one: 0 may be a token."""
    for window in windows(tokens, size, step):
        yield window + [0] * (size - len(window))


def no_overlap(tokens, size, step):
    """Each window starts where the one before ends. How far apart are the starts of two windows, by the third argument?"""
    yield from windows(tokens, size, size)


def always_one_further(tokens, size, step):
    """Each window starts one token after the one before, whatever `step` says."""
    yield from windows(tokens, size, 1)


def keeps_step_tokens(tokens, size, step):
    """You keep the last `step` tokens of a window for the next. `step` is the distance from start to start: how many tokens
    do two windows share then?"""
    window, fresh = [], False
    for token in tokens:
        window.append(token)
        fresh = True
        if len(window) == size:
            yield window
            window, fresh = window[len(window) - step :] if step < size else [], False
    if fresh:
        yield window


def one_too_many(tokens, size, step):
    """A window holds `size + 1` tokens. At what length is it complete?"""
    yield from windows(tokens, size + 1, step)


def stops_after_the_first(tokens, size, step):
    """Only one window comes. A `return` ends a generator for good: where should it go on?"""
    for window in windows(tokens, size, step):
        yield window
        return


def cases(rng: random.Random) -> list[Case]:
    size = rng.randint(3, 5)
    drawn = [rng.randrange(100) for _ in range(rng.randint(14, 18))]
    return [
        public("seven tokens, windows of four", [1, 2, 3, 4, 5, 6, 7], 4, 3),
        public("one token is left over", [5, 6, 7, 8, 9, 10, 11, 12], 3, 2),
        public("steps as long as the window", [3, 1, 4, 1, 5], 2, 2),
        hidden("nothing", [], 3, 1),
        hidden("fewer tokens than a window holds", drawn[:2], size, 2),
        hidden("one token", drawn[:1], 2, 1),
        hidden("exactly one window", drawn[:size], size, 2),
        hidden("windows of one", drawn[:4], 1, 1),
        hidden("one token left over after windows that do not overlap", drawn[: 2 * size + 1], size, size),
        hidden("drawn", drawn, size, rng.randint(2, size)),
        hidden("drawn, much overlap", drawn, size, 1),
    ]


EXERCISE = Exercise(
    chapter="private_example",
    minutes=25,
    difficulty=2,
    points=3,
    reference=windows,
    right=[with_deque, with_islice, by_position],
    wrong=[
        reads_everything_first, one_ahead, same_list, drops_the_rest, rest_without_overlap, rest_without_news, rest_is_padded,
        no_overlap, always_one_further, keeps_step_tokens, one_too_many, stops_after_the_first,
    ],
    cases=cases,
    probe="stream",
    seconds=2.0,
)  # fmt: skip
