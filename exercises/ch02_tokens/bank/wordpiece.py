"""WordPiece: cut a word into the longest known pieces from the left (Devlin et al. 2019; Wu et al. 2016, section 4.1)."""

import random

from exercises.grader.exercise import Exercise, hidden, public
from lmcore import UNK
from lmcore.check.ready import TOKENIZERS
from lmcore.check.run import Case


def wordpiece(word, vocabulary):
    pieces, start = [], 0
    while start < len(word):
        mark = "##" if pieces else ""
        known = [end for end in range(len(word), start, -1) if mark + word[start:end] in vocabulary]
        if not known:
            return [UNK]
        pieces.append(mark + word[start : known[0]])
        start = known[0]
    return pieces


# Right, written differently


def shrinking_window(word, vocabulary):
    pieces = []
    start = 0
    while start < len(word):
        end = len(word)
        while end > start:
            piece = word[start:end]
            if start > 0:
                piece = "##" + piece
            if piece in vocabulary:
                pieces.append(piece)
                break
            end -= 1
        if end == start:
            return ["<unk>"]
        start = end
    return pieces


def by_recursion(word, vocabulary):
    def split(rest, mark):
        if not rest:
            return []
        for length in range(len(rest), 0, -1):
            if mark + rest[:length] in vocabulary:
                tail = split(rest[length:], "##")
                return None if tail is None else [mark + rest[:length], *tail]
        return None

    pieces = split(word, "")
    return ["<unk>"] if pieces is None else pieces


def eat_from_the_left(word, vocabulary):
    pieces = []
    while word:
        fitting = [t for t in vocabulary if t.startswith("##") == bool(pieces) and word.startswith(t[2:] if pieces else t)]
        longest = max((t for t in fitting if t not in ("", "##")), key=len, default=None)
        if longest is None:
            return ["<unk>"]
        word = word[len(longest) - (2 if pieces else 0) :]
        pieces.append(longest)
    return pieces


# Wrong: the docstring is the hint


def _longest(word, start, candidates):
    """The end of the longest candidate that begins at ``start``, or nothing."""
    return next((end for end in range(len(word), start, -1) if word[start:end] in candidates), None)


def _inner(vocabulary):
    return {token[2:] for token in vocabulary if token.startswith("##")}


def no_marks(word, vocabulary):
    """Pieces inside the word were looked up without their mark. ed begins a word, ##ed continues one: they are different
    tokens of the vocabulary."""
    pieces, start = [], 0
    while start < len(word):
        end = _longest(word, start, vocabulary)
        if end is None:
            return [UNK]
        pieces.append(word[start:end])
        start = end
    return pieces


def marks_added_afterwards(word, vocabulary):
    """You looked a piece up without ## and then wrote ## before it. That makes tokens which may not be in the vocabulary: look
    up exactly what you write."""
    pieces = no_marks(word, vocabulary)
    return pieces if pieces == [UNK] else [*pieces[:1], *("##" + piece for piece in pieces[1:])]


def marks_not_written(word, vocabulary):
    """The pieces are right, but the ones inside the word lack ## in your result. Without it nobody can tell where a word
    begins."""
    return [piece.removeprefix("##") for piece in wordpiece(word, vocabulary)]


def marks_the_first_piece(word, vocabulary):
    """The first piece was looked up with ##. Which pieces does the mark stand before, and does the first continue anything?"""
    known, pieces, start = _inner(vocabulary), [], 0
    while start < len(word):
        end = _longest(word, start, known)
        if end is None:
            return [UNK]
        pieces.append("##" + word[start:end])
        start = end
    return pieces


def shortest_match(word, vocabulary):
    """You took the shortest known piece. WordPiece takes the longest: from which end do you try the lengths?"""
    pieces, start = [], 0
    while start < len(word):
        mark = "##" if pieces else ""
        known = [end for end in range(start + 1, len(word) + 1) if mark + word[start:end] in vocabulary]
        if not known:
            return [UNK]
        pieces.append(mark + word[start : known[0]])
        start = known[0]
    return pieces


def unknown_rest(word, vocabulary):
    """You kept the pieces found so far and marked only the rest as unknown. If one part of a word cannot be found, the whole
    word becomes one unknown token."""
    pieces, start = [], 0
    while start < len(word):
        end = _longest(word, start, _inner(vocabulary) if pieces else vocabulary)
        if end is None:
            return [*pieces, UNK]
        pieces.append(("##" if pieces else "") + word[start:end])
        start = end
    return pieces


def skips_unknown_characters(word, vocabulary):
    """A character that no piece covers was left out, and the search went on behind it. The pieces must cover the whole word;
    if they cannot, the word is unknown."""
    pieces, start = [], 0
    while start < len(word):
        end = _longest(word, start, _inner(vocabulary) if start else vocabulary)
        if end is not None:
            pieces.append(("##" if start else "") + word[start:end])
        start = end or start + 1
    return pieces


def unknown_character(word, vocabulary):
    """A character that no piece covers became an unknown token of its own. The unknown token stands for the whole word."""
    pieces, start = [], 0
    while start < len(word):
        end = _longest(word, start, _inner(vocabulary) if start else vocabulary)
        pieces.append(("##" if start else "") + word[start:end] if end is not None else UNK)
        start = end or start + 1
    return pieces


def nothing_for_unknown(word, vocabulary):
    """For a word that cannot be cut into known pieces you returned an empty list. A model must see that there was a word:
    which special token says so?"""
    pieces = wordpiece(word, vocabulary)
    return [] if pieces == [UNK] else pieces


def backtracks(word, vocabulary):
    """You took a shorter piece when the longest led nowhere. WordPiece never goes back: it takes the longest piece, and if
    nothing fits behind it, the word is unknown."""

    def split(start):
        if start == len(word):
            return []
        mark = "##" if start else ""
        for end in range(len(word), start, -1):
            if mark + word[start:end] in vocabulary and (rest := split(end)) is not None:
                return [mark + word[start:end], *rest]
        return None

    pieces = split(0)
    return [UNK] if pieces is None else pieces


def fewest_pieces(word, vocabulary):
    """You searched for the split with the fewest pieces. WordPiece only takes the longest piece at each step, even where that
    leads to more pieces in the end."""
    best = {0: []}
    for end in range(1, len(word) + 1):
        for start in range(end):
            piece = ("##" if start else "") + word[start:end]
            if start in best and piece in vocabulary and len(best[start]) + 1 < len(best.get(end, word + "##")):
                best[end] = [*best[start], piece]
    return best.get(len(word), [UNK])


def from_the_end(word, vocabulary):
    """You cut pieces off from the end of the word. Start at the beginning: the first piece is the longest one the word begins
    with."""
    pieces, end = [], len(word)
    while end > 0:
        known = [start for start in range(end) if ("##" if start else "") + word[start:end] in vocabulary]
        if not known:
            return [UNK]
        pieces.insert(0, ("##" if known[0] else "") + word[known[0] : end])
        end = known[0]
    return pieces


def whole_words_only(word, vocabulary):
    """A word that is not in the vocabulary was unknown at once. That is a vocabulary of words; WordPiece looks for pieces of
    it first."""
    return [word] if word in vocabulary else [UNK] if word else []


def two_pieces_only(word, vocabulary):
    """You stopped after the second piece. What if the rest of the word is not one piece either? Repeat the search until the
    word is used up."""
    if word in vocabulary or not word:
        return [word] if word else []
    end = _longest(word, 0, vocabulary)
    rest = "" if end is None else "##" + word[end:]
    return [word[:end], rest] if rest in vocabulary else [UNK]


def string_for_unknown(word, vocabulary):
    """For an unknown word you returned the token itself. The result is always a list of tokens, also when it holds only
    one."""
    pieces = wordpiece(word, vocabulary)
    return UNK if pieces == [UNK] else pieces


COOK = {"cook", "coo", "c", "ed", "er", "##k", "##e", "##r", "##ed", "##er", "##s", "##d"}


def marks_taken_off_the_vocabulary(word, vocabulary):
    """You took the marks off the vocabulary, and wrote ## before every piece but the first. So a token that only begins a
    word could stand inside one, or the other way round: ne and ##ne are two tokens. Is each piece you return in the
    vocabulary as it stands?"""
    known, pieces, start = {token.removeprefix("##") for token in vocabulary}, [], 0
    while start < len(word):
        end = _longest(word, start, known)
        if end is None:
            return [UNK]
        pieces.append(("##" if start else "") + word[start:end])
        start = end
    return pieces


def grows_while_known(word, vocabulary):
    """You let a piece grow letter by letter and stopped at the first length that is not in the vocabulary. A longer piece may
    be known all the same: if c and cook are known, co is not, and the word begins with cook, which piece is the longest?"""
    pieces, start = [], 0
    while start < len(word):
        mark, end = "##" if start else "", start
        while end < len(word) and mark + word[start : end + 1] in vocabulary:
            end += 1
        if end == start:
            return [UNK]
        pieces.append(mark + word[start:end])
        start = end
    return pieces


def cases(rng: random.Random) -> list[Case]:
    greedy = {"abc", "ab", "##c", "##d", "##e", "##cde"}
    return [
        public("two pieces", "cooks", COOK),
        public("a known longer ending", "cooked", COOK),
        public("three pieces", "cookers", COOK),
        public("a whole word", "cook", COOK),
        public("an ending that begins a word", "ered", COOK),
        public("a character that no piece covers", "cooxers", COOK),
        public("the longest piece leads to more pieces", "abcde", greedy),
        public("the longest piece leads nowhere", "undone", {"un", "undo", "und", "ne", "##done", "##one", "##ndone"}),
        hidden("the empty word", "", COOK),
        hidden("an unknown first character", "xcook", COOK),
        hidden("the mark itself is a token", "ab", {"a", "##"}),
        *[hidden(f"random pieces {i}", *_random(rng)) for i in (1, 2, 3, 4, 5, 6)],
    ]


def _random(rng: random.Random) -> tuple[str, set[str]]:
    """A word over a, b and c, and a vocabulary of short pieces that covers most words."""

    def piece() -> str:
        return "".join(rng.choices("abc", k=rng.randint(1, 4)))

    first = {piece() for _ in range(8)}
    inner = {"##" + piece() for _ in range(14)} | {"##" + letter for letter in rng.sample("abc", k=rng.randint(2, 3))}
    return rng.choice(sorted(first)) + piece() + piece() + piece(), first | inner


EXERCISE = Exercise(
    chapter="ch02_tokens",
    minutes=20,
    difficulty=3,
    points=4,
    reference=wordpiece,
    right=[shrinking_window, by_recursion, eat_from_the_left],
    wrong=[
        no_marks,
        marks_added_afterwards,
        marks_not_written,
        marks_the_first_piece,
        shortest_match,
        unknown_rest,
        skips_unknown_characters,
        unknown_character,
        nothing_for_unknown,
        backtracks,
        fewest_pieces,
        from_the_end,
        whole_words_only,
        two_pieces_only,
        string_for_unknown,
        marks_taken_off_the_vocabulary,
        grows_while_known,
    ],
    cases=cases,
    ready=(*TOKENIZERS, "lmcore"),
)
