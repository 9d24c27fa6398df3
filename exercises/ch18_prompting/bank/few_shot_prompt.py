"""A prompt with examples (Brown et al. 2020, figure 2.1) that fits into a model's window and does not hold its own answer."""

import random

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.run import Case


def few_shot_prompt(title, shots, question, limit):
    first = [*title.split(), ":"] if title else []
    last = [*question.split(), "→"]
    lines = [[*x.split(), "→", *y.split(), "."] for x, y in shots if x.split() != question.split()]
    while len(first) + sum(map(len, lines)) + len(last) > limit:
        lines = lines[1:]
    return [*first, *(word for line in lines for word in line), *last]


# Right, written differently


def from_the_newest_back(title, shots, question, limit):
    head = f"{title} :".split() if title else []
    tail = f"{question} →".split()
    room = limit - len(head) - len(tail)
    middle = []
    for x, y in reversed(shots):
        if x.split() == question.split():
            continue
        line = f"{x} → {y} .".split()
        if len(line) > room:
            break
        middle, room = line + middle, room - len(line)
    return head + middle + tail


def all_suffixes(title, shots, question, limit):
    """The longest of all prompts that fit."""
    asked = question.split()
    kept = [(x, y) for x, y in shots if x.split() != asked]
    for start in range(len(kept) + 1):
        text = (title + " : ") * (title != "") + "".join(f"{x} → {y} . " for x, y in kept[start:]) + question + " →"
        if len(text.split()) <= limit:
            return text.split()
    return None


def with_words_removed(title, shots, question, limit):
    """Everything is put together once, and then whole lines are taken away from behind the title."""
    asked, prompt, lengths = question.split(), [], []
    if title:
        prompt.extend(title.split())
        prompt.append(":")
    begin = len(prompt)
    for x, y in shots:
        words = x.split()
        if words == asked:
            continue
        line = [*words, "→", *y.split(), "."]
        prompt += line
        lengths.append(len(line))
    prompt += [*asked, "→"]
    for length in lengths:
        if len(prompt) <= limit:
            break
        del prompt[begin : begin + length]
    return prompt


# Wrong: the docstring is the hint


def _line(x, y):
    return [*x.split(), "→", *y.split(), "."]


def _first(title):
    return [*title.split(), ":"] if title else []


def _last(question):
    return [*question.split(), "→"]


def _unasked(shots, question):
    return [(x, y) for x, y in shots if x.split() != question.split()]


def _joined(first, lines, last):
    return [*first, *(word for line in lines for word in line), *last]


def _fitted(first, lines, last, limit):
    """The oldest lines go first."""
    while lines and len(_joined(first, lines, last)) > limit:
        lines = lines[1:]
    return _joined(first, lines, last)


def _right(title, shots, question, limit):
    return _fitted(_first(title), [_line(x, y) for x, y in _unasked(shots, question)], _last(question), limit)


def the_answer_is_in_the_prompt(title, shots, question, limit):
    """An example asks the very question that stands at the end, and its answer is in the prompt: the model only has to copy
    it. Whoever measures accuracy with such prompts measures nothing. Which examples have to go, whatever the limit?"""
    return _fitted(_first(title), [_line(x, y) for x, y in shots], _last(question), limit)


def left_out_after_the_cut(title, shots, question, limit):
    """The prompt was shortened first, and the example with the same question left out afterwards. It had taken the room of
    another one that would have fitted. In which order do the two steps have to come?"""
    room, kept = limit - len(_first(title)) - len(_last(question)), [_line(x, y) for x, y in shots]
    while kept and sum(map(len, kept)) > room:
        kept = kept[1:]
    kept = list(shots)[len(shots) - len(kept) :]
    return _right(title, kept, question, limit)


def first_of_its_kind_alone(title, shots, question, limit):
    """Only one of the examples with the same question was left out. There may be several, and each gives the answer away."""
    kept, found = [], False
    for x, y in shots:
        if x.split() == question.split() and not found:
            found = True
        else:
            kept.append(_line(x, y))
    return _fitted(_first(title), kept, _last(question), limit)


def questions_that_share_a_word(title, shots, question, limit):
    """Examples were left out whose question holds the question asked, or shares words with it. Only the same question, all
    words of it, gives the answer away: the others are useful examples."""
    kept = [_line(x, y) for x, y in shots if not set(x.split()) & set(question.split())]
    return _fitted(_first(title), kept, _last(question), limit)


def any_with_the_same_answer(title, shots, question, limit):
    """Examples were left out because their answer is that of the question asked. Another question may well have the same
    answer: what has to be equal for an example to be left out?"""
    answers = [y for x, y in shots if x.split() == question.split()]
    kept = [_line(x, y) for x, y in shots if y not in answers]
    return _fitted(_first(title), kept, _last(question), limit)


def one_example_per_question(title, shots, question, limit):
    """Of several examples with the same question only one is in the prompt, as in a dictionary, where a question has one
    place. Nothing says that other examples may not come twice: only those with the question asked have to go."""
    kept = [_line(x, y) for x, y in dict(_unasked(shots, question)).items()]
    return _fitted(_first(title), kept, _last(question), limit)


def newest_first_to_go(title, shots, question, limit):
    """Examples were taken away from the end. Those next to the question stay: take from the beginning of the list, the
    oldest."""
    lines = [_line(x, y) for x, y in _unasked(shots, question)]
    while lines and len(_joined(_first(title), lines, _last(question))) > limit:
        lines = lines[:-1]
    return _right(title, [], question, limit) if not lines else _joined(_first(title), lines, _last(question))


def words_cut_off(title, shots, question, limit):
    """Words were cut from the front of the prompt until it fitted. The title is gone, and an example may begin in its middle.
    Take away whole examples, and leave the title and the question alone."""
    return _joined(_first(title), [_line(x, y) for x, y in _unasked(shots, question)], _last(question))[-limit:]


def words_cut_off_and_a_leak(title, shots, question, limit):
    """Two things are not as they should be. Words were cut from the front of the prompt, where whole examples have to go and
    the title stays. And an example with the very question asked is still there, with its answer."""
    return _joined(_first(title), [_line(x, y) for x, y in shots], _last(question))[-limit:]


def words_cut_from_the_examples(title, shots, question, limit):
    """The title and the question are whole, and the examples were cut in the middle of one. What is left of it teaches a
    wrong form. Take away whole examples."""
    room = limit - len(_first(title)) - len(_last(question))
    words = _joined([], [_line(x, y) for x, y in _unasked(shots, question)], [])
    return [*_first(title), *words[max(0, len(words) - room) :], *_last(question)]


def end_cut_off(title, shots, question, limit):
    """The end of the prompt was cut off, and the question with it. Then nothing is asked. Take away whole examples from the
    front."""
    return _joined(_first(title), [_line(x, y) for x, y in _unasked(shots, question)], _last(question))[:limit]


def whatever_fits(title, shots, question, limit):
    """A long example was left out, and an older, shorter one kept. The newest are to stay, without a gap: where one does not
    fit, the older ones go too."""
    room, lines = limit - len(_first(title)) - len(_last(question)), []
    for x, y in reversed(_unasked(shots, question)):
        if len(_line(x, y)) <= room:
            lines, room = [_line(x, y), *lines], room - len(_line(x, y))
    return _fitted(_first(title), lines, _last(question), limit)


def all_examples_or_none(title, shots, question, limit):
    """All examples were left out as soon as they did not fit together. Leave out one at a time, and look each time whether
    the rest fits."""
    whole = _joined(_first(title), [_line(x, y) for x, y in _unasked(shots, question)], _last(question))
    return whole if len(whole) <= limit else _right(title, [], question, limit)


def limit_not_reached(title, shots, question, limit):
    """The prompt was kept shorter than the limit. It may be exactly so long: which of < and ≤ says *at most*?"""
    short = len(_first(title)) + len(_last(question))
    return _right(title, shots, question, max(short, limit - 1))


def limit_counts_examples(title, shots, question, limit):
    """The limit was taken for a number of examples. It is a number of words, of the whole prompt."""
    return _right(title, _unasked(shots, question)[-limit:], question, 10**6)


def limit_forgotten(title, shots, question, limit):
    """The limit plays no part. What does a model do with a prompt that is longer than its window?"""
    return _right(title, shots, question, 10**6)


def limit_for_the_examples(title, shots, question, limit):
    """Only the examples were counted. The title with its colon and the question with its arrow take room too."""
    lines = [_line(x, y) for x, y in _unasked(shots, question)]
    while sum(map(len, lines)) > limit:
        lines = lines[1:]
    return _joined(_first(title), lines, _last(question))


def limit_in_characters(title, shots, question, limit):
    """Characters were counted, not words."""
    lines, short = [_line(x, y) for x, y in _unasked(shots, question)], _right(title, [], question, limit)
    while lines and len(" ".join(_joined(_first(title), lines, _last(question)))) > limit:
        lines = lines[1:]
    return _joined(_first(title), lines, _last(question)) if lines else short


def without_the_last_arrow(title, shots, question, limit):
    """The arrow after the question is missing. The model goes on where the prompt ends: what would it write after the bare
    question?"""
    return _fitted(_first(title), [_line(x, y) for x, y in _unasked(shots, question)], question.split(), limit)


def full_stop_at_the_end(title, shots, question, limit):
    """The prompt ends with a full stop, as the examples do. A model takes the question for answered, and begins another line.
    The arrow is the last word: the answer comes next."""
    lines = [_line(x, y) for x, y in _unasked(shots, question)]
    return _fitted(_first(title), lines, [*_last(question), "."], limit)


def without_full_stops(title, shots, question, limit):
    """The full stops after the answers are missing. They tell where an answer ends, and the next question begins."""
    lines = [_line(x, y)[:-1] for x, y in _unasked(shots, question)]
    return _fitted(_first(title), lines, _last(question), limit)


def without_arrows(title, shots, question, limit):
    """The examples have no arrow between a question and its answer, the question at the end has one. All lines need the same
    form, or the examples show something else than what is asked."""
    lines = [[*x.split(), *y.split(), "."] for x, y in _unasked(shots, question)]
    return _fitted(_first(title), lines, _last(question), limit)


def newest_at_the_front(title, shots, question, limit):
    """The examples stand in the opposite order, the newest first. Which one is to stand next to the question?"""
    lines = [_line(x, y) for x, y in _unasked(shots, question)]
    while lines and len(_joined(_first(title), lines, _last(question))) > limit:
        lines = lines[1:]
    return _fitted(_first(title), lines[::-1], _last(question), limit)


def colon_without_a_title(title, shots, question, limit):
    """A prompt without a title begins with a colon. No title, no colon."""
    return _fitted([*title.split(), ":"], [_line(x, y) for x, y in _unasked(shots, question)], _last(question), limit)


def title_without_a_colon(title, shots, question, limit):
    """The colon after the title is missing."""
    return _fitted(title.split(), [_line(x, y) for x, y in _unasked(shots, question)], _last(question), limit)


def title_left_out(title, shots, question, limit):
    """The title is missing. It says in a word which task is meant."""
    return _right("", shots, question, limit)


def title_before_every_example(title, shots, question, limit):
    """The title stands before every example. It comes once, at the beginning."""
    lines = [[*_first(title), *_line(x, y)] for x, y in _unasked(shots, question)]
    return _fitted(_first(title) if not lines else [], lines, _last(question), limit)


def one_string(title, shots, question, limit):
    """You return one string. Asked for is a list of words: the tokens that the model reads."""
    return " ".join(_right(title, shots, question, limit))


def strings_not_words(title, shots, question, limit):
    """The list holds whole questions and answers. A question of two words is two entries: each entry is one word."""
    first = [title, ":"] if title else []
    lines = [[x, "→", y, "."] for x, y in _unasked(shots, question)]
    return _fitted(first, lines, [question, "→"], limit)


def capitals_ignored(title, shots, question, limit):
    """An example was left out whose question differs from yours in a capital. Capitals count: turkey and Turkey are two
    questions."""
    kept = [_line(x, y) for x, y in shots if x.lower().split() != question.lower().split()]
    return _fitted(_first(title), kept, _last(question), limit)


def cases(rng: random.Random) -> list[Case]:
    lines = [("France", "Paris"), ("New Zealand", "Wellington"), ("Kenya", "Nairobi"), ("Peru", "Lima")]
    leak = [("Italy", "Rome"), ("South Korea", "Seoul"), ("Italy", "Rome"), ("Korea", "Seoul"), ("North Korea", "Pyongyang")]
    return [
        public("everything fits", "the capital", lines, "South Africa", 23),
        public("one word too many", "the capital", lines, "South Africa", 22),
        public("without a title", "", lines[:2], "Kenya", 7),
        public("a question that was shown", "capital", leak, "South Korea", 30),
        public("shown twice, and short of room", "", leak, "Italy", 16),
        public("capitals count", "what it is", [("turkey", "bird"), ("Turkey", "country"), ("china", "cup")], "Turkey", 16),
        public("a long example in the way", "", [("cat", "kitten"), ("big brown bear", "cub"), ("dog", "puppy")], "cow", 11),
        public("no example fits", "", lines, "Chad", 3),
        hidden("no examples", "", [], "goose", 2),
        hidden("no room for more", "young", [("cow", "calf")], "goose", 4),
        hidden("only the question itself", "young", [("goose", "gosling")], "goose", 99),
        hidden("random examples, random limits", *_drawn(rng, 9)),
        hidden("more random examples", *_drawn(rng, 17)),
    ]


def _drawn(rng: random.Random, count: int) -> tuple:
    def words(most: int) -> str:
        return " ".join(rng.choice("abc") for _ in range(rng.randint(1, most)))

    shots = [(words(3), words(2)) for _ in range(count)]
    return words(2), shots, words(2), rng.randint(8, 5 * count)


EXERCISE = Exercise(
    chapter="ch18_prompting",
    minutes=20,
    difficulty=2,
    points=3,
    reference=few_shot_prompt,
    right=[from_the_newest_back, all_suffixes, with_words_removed],
    wrong=[
        the_answer_is_in_the_prompt,
        left_out_after_the_cut,
        first_of_its_kind_alone,
        questions_that_share_a_word,
        any_with_the_same_answer,
        one_example_per_question,
        newest_first_to_go,
        words_cut_off,
        words_cut_off_and_a_leak,
        words_cut_from_the_examples,
        end_cut_off,
        whatever_fits,
        all_examples_or_none,
        limit_not_reached,
        limit_counts_examples,
        limit_forgotten,
        limit_for_the_examples,
        limit_in_characters,
        without_the_last_arrow,
        full_stop_at_the_end,
        without_full_stops,
        without_arrows,
        newest_at_the_front,
        colon_without_a_title,
        title_without_a_colon,
        title_left_out,
        title_before_every_example,
        one_string,
        strings_not_words,
        capitals_ignored,
    ],
    cases=cases,
    ready=("lmcore",),
)
