"""Pairs for next-sentence prediction (Devlin et al. 2019, section 3.1): half are neighbours, the second sentence of the others
comes from another document. The draws are given, so the result is certain."""

import random
from itertools import pairwise

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.run import Case


def sentence_pairs(documents, coins, draws, cls, sep):
    examples = []
    for d, document in enumerate(documents):
        others = [sentence for e, other in enumerate(documents) if e != d for sentence in other[1:]]
        for first, following in pairwise(document):
            label = int(coins[len(examples)] >= 0.5)
            second = others[int(draws[len(examples)] * len(others))] if label else following
            ids = [cls, *first, sep, *second, sep]
            segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
            examples.append((ids, segments, label))
    return examples


# Right, written differently


def by_index(documents, coins, draws, cls, sep):
    found, n = [], 0
    for d in range(len(documents)):
        for i in range(1, len(documents[d])):
            first, second, label = documents[d][i - 1], documents[d][i], 0
            if not coins[n] < 0.5:
                urn = []
                for e in range(len(documents)):
                    if e != d:
                        urn += documents[e][1:]
                second, label = urn[int(len(urn) * draws[n])], 1
            left, right = [cls, *first, sep], [*second, sep]
            found.append((left + right, [0 for _ in left] + [1 for _ in right], label))
            n += 1
    return found


def pairs_first(documents, coins, draws, cls, sep):
    """All neighbours with the number of their document, then what becomes of them."""
    pairs = [(d, a, b) for d, text in enumerate(documents) for a, b in pairwise(text)]

    def example(pair, coin, draw):
        d, first, second = pair
        if coin >= 0.5:
            urn = [b for e, _, b in pairs if e != d]
            second = urn[int(draw * len(urn))]
        ids = sum(([cls], first, [sep], second, [sep]), [])  # noqa: RUF017
        return ids, [int(place >= len(first) + 2) for place in range(len(ids))], 1 if coin >= 0.5 else 0

    return [example(*given) for given in zip(pairs, coins, draws, strict=True)]


def with_an_iterator(documents, coins, draws, cls, sep):
    given, found = iter(list(zip(coins, draws, strict=True))), []
    for document in documents:
        previous = None
        for sentence in document:
            if previous is not None:
                coin, draw = next(given)
                elsewhere = [later for other in documents if other is not document for later in other[1:]]
                second = sentence if coin < 0.5 else elsewhere[int(draw * len(elsewhere))]
                segments = [0] * len([cls, *previous, sep])
                segments.extend([1] * len([*second, sep]))
                found.append(([cls, *previous, sep, *second, sep], segments, 0 if coin < 0.5 else 1))
            previous = sentence
    return found


# Wrong: the docstring is the hint


def _join(first, second, cls, sep):
    return [cls, *first, sep, *second, sep], [0] * (len(first) + 2) + [1] * (len(second) + 1)


def _examples(documents, coins, draws, cls, sep, urn, join=_join, limit=0.5):
    """The examples, where ``urn(d, i)`` holds the sentences that may stand in for number i + 1 of document d."""
    found = []
    for d, document in enumerate(documents):
        for i in range(len(document) - 1):
            n, choice = len(found), urn(d, i)
            label = int(coins[n] >= limit)
            second = choice[int(draws[n] * len(choice))] if label else document[i + 1]
            found.append((*join(document[i], second, cls, sep), label))
    return found


def _elsewhere(documents, first=1):
    return lambda d, _: [sentence for e, other in enumerate(documents) if e != d for sentence in other[first:]]


def labels_exchanged(documents, coins, draws, cls, sep):
    """The labels are exchanged. As in the code of BERT, 0 stands for a pair that belongs together, and 1 for one that does
    not."""
    return [(ids, kinds, 1 - label) for ids, kinds, label in sentence_pairs(documents, coins, draws, cls, sep)]


def labels_as_truth_values(documents, coins, draws, cls, sep):
    """The label is a truth value, True for neighbours. Asked for is a number, which names a class: 0 for neighbours, 1 for
    others."""
    return [(ids, kinds, label == 0) for ids, kinds, label in sentence_pairs(documents, coins, draws, cls, sep)]


def coins_exchanged(documents, coins, draws, cls, sep):
    """The coin is read the other way round: where it is below 0.5, you took a stranger. What does the statement say of such a
    coin?"""
    return sentence_pairs(documents, [0.0 if coin >= 0.5 else 0.5 for coin in coins], draws, cls, sep)


def always_neighbours(documents, coins, draws, cls, sep):
    """All pairs are neighbours: `coins` plays no part. A model would learn to say 0, whatever it reads."""
    return sentence_pairs(documents, [0.0 for _ in coins], draws, cls, sep)


def always_others(documents, coins, draws, cls, sep):
    """No pair was left as it is: `coins` plays no part. Where the coin is below 0.5, the second sentence is the one that
    follows."""
    return sentence_pairs(documents, [0.5 for _ in coins], draws, cls, sep)


def label_without_a_change(documents, coins, draws, cls, sep):
    """The label says 1, but the second sentence is still the one that follows. Where the coin is 0.5 or more, it comes from
    another document."""
    return _examples(documents, coins, draws, cls, sep, lambda d, i: documents[d][i + 1 : i + 2])


def from_all_documents(documents, coins, draws, cls, sep):
    """The stranger was drawn from all documents, its own among them. It may be the true neighbour, with the label 1; and a
    sentence of the same text is no stranger."""
    return _examples(documents, coins, draws, cls, sep, lambda d, i: [s for other in documents for s in other[1:]])


def from_its_own_document(documents, coins, draws, cls, sep):
    """The stranger was drawn from the document of the first sentence. It comes from the others."""
    return _examples(documents, coins, draws, cls, sep, lambda d, i: documents[d][1:])


def opening_sentences_too(documents, coins, draws, cls, sep):
    """The stranger was drawn from all sentences of the other documents, those that open them among them. The paper did so. But
    an opening sentence follows nothing, so it would tell the answer by itself: leave the first of each document out."""
    return _examples(documents, coins, draws, cls, sep, _elsewhere(documents, 0))


def opening_sentences_only(documents, coins, draws, cls, sep):
    """The stranger is the opening sentence of another document. Those are the ones to leave out: they follow nothing."""
    return _examples(
        documents, coins, draws, cls, sep, lambda d, _: [t[0] for e, t in enumerate(documents) if e != d and t]
    )  # fmt: skip


def from_the_next_document(documents, coins, draws, cls, sep):
    """The stranger was drawn from the document that follows. The sentences of all other documents stand in one row, in
    their order."""

    def urn(d, _):
        after = [t[1:] for t in documents[d + 1 :] + documents[:d] if len(t) > 1]
        return after[0]

    return _examples(documents, coins, draws, cls, sep, urn)


def sentence_before(documents, coins, draws, cls, sep):
    """The pairs run backwards: the sentence that comes later stands first. The second sentence is the one that follows."""

    def turned(first, second, cls, sep):
        return _join(second, first, cls, sep)

    return _examples(documents, coins, draws, cls, sep, _elsewhere(documents), turned)


def every_second_pair(documents, coins, draws, cls, sep):
    """Every second pair is missing. A sentence stands in two pairs, once as the second and once as the first: by how much does
    your place in the document grow?"""
    found, n = [], 0
    for d, document in enumerate(documents):
        for i in range(0, len(document) - 1, 2):
            urn = _elsewhere(documents)(d, i)
            label = int(coins[n] >= 0.5)
            second = urn[int(draws[n] * len(urn))] if label else document[i + 1]
            found.append((*_join(document[i], second, cls, sep), label))
            n += 1
    return found


def across_documents(documents, coins, draws, cls, sep):
    """The last sentence of a document was paired with the first one of the next, as if it followed. No pair crosses from one
    document into another: how many pairs has a document of n sentences?"""
    flat = [(d, sentence) for d, document in enumerate(documents) for sentence in document]
    found = []
    for ((d, first), (_, second)), coin, draw in zip(pairwise(flat), coins, draws, strict=False):
        urn = _elsewhere(documents)(d, 0)
        label = int(coin >= 0.5)
        found.append((*_join(first, urn[int(draw * len(urn))] if label else second, cls, sep), label))
    return found


def draws_of_the_strangers(documents, coins, draws, cls, sep):
    """The draws were used up one by one by the pairs with a stranger. Each pair has a draw of its own, at the same place of the
    list as its coin, whether it needs it or not."""
    used = iter(draws)
    return sentence_pairs(documents, coins, [next(used) if coin >= 0.5 else 0.0 for coin in coins], cls, sep)


def second_separator_in_segment_0(documents, coins, draws, cls, sep):
    """The last [SEP] is in segment 0. It closes the second sentence, and belongs to its segment, 1."""
    found = sentence_pairs(documents, coins, draws, cls, sep)
    return [(ids, [*kinds[:-1], 0], label) for ids, kinds, label in found]


def first_separator_in_segment_1(documents, coins, draws, cls, sep):
    """The first [SEP] is in segment 1. It closes the first sentence, and belongs to its segment, 0."""

    def join(first, second, cls, sep):
        return _join(first, second, cls, sep)[0], [0] * (len(first) + 1) + [1] * (len(second) + 2)

    return _examples(documents, coins, draws, cls, sep, _elsewhere(documents), join)


def start_without_a_segment(documents, coins, draws, cls, sep):
    """There is one segment fewer than there are tokens: a 0 is missing. Take a first sentence of one word: which tokens are in
    segment 0, and how many are they?"""
    found = sentence_pairs(documents, coins, draws, cls, sep)
    return [(ids, kinds[1:], label) for ids, kinds, label in found]


def segments_of_words_only(documents, coins, draws, cls, sep):
    """The segments are those of the words alone. Every token has one, [CLS] and both [SEP] too: are the two lists equally
    long?"""

    def join(first, second, cls, sep):
        return _join(first, second, cls, sep)[0], [0] * len(first) + [1] * len(second)

    return _examples(documents, coins, draws, cls, sep, _elsewhere(documents), join)


def segments_from_one(documents, coins, draws, cls, sep):
    """The segments are numbered 1 and 2. The table of segments has two rows, 0 and 1."""
    found = sentence_pairs(documents, coins, draws, cls, sep)
    return [(ids, [kind + 1 for kind in kinds], label) for ids, kinds, label in found]


def one_segment(documents, coins, draws, cls, sep):
    """All tokens are in segment 0. The second sentence is in segment 1, so that the model can tell the two apart."""
    found = sentence_pairs(documents, coins, draws, cls, sep)
    return [(ids, [0] * len(ids), label) for ids, _, label in found]


def no_last_separator(documents, coins, draws, cls, sep):
    """The second [SEP] is missing. Each of the two sentences is closed by one."""
    found = sentence_pairs(documents, coins, draws, cls, sep)
    return [(ids[:-1], kinds[:-1], label) for ids, kinds, label in found]


def no_separator_between(documents, coins, draws, cls, sep):
    """There is no [SEP] between the two sentences. Each of them is closed by one."""

    def join(first, second, cls, sep):
        return [cls, *first, *second, sep], [0] * (len(first) + 1) + [1] * (len(second) + 1)

    return _examples(documents, coins, draws, cls, sep, _elsewhere(documents), join)


def a_start_for_each(documents, coins, draws, cls, sep):
    """Both sentences begin with [CLS]. A pair is one text for the model, and has one [CLS], at its beginning."""

    def join(first, second, cls, sep):
        return [cls, *first, sep, cls, *second, sep], [0] * (len(first) + 2) + [1] * (len(second) + 2)

    return _examples(documents, coins, draws, cls, sep, _elsewhere(documents), join)


def equal_documents_left_out(documents, coins, draws, cls, sep):
    """Another document with the same sentences was left out too: documents were compared by what is in them. Which one is the
    own is a matter of its place in the list."""
    return _examples(
        documents, coins, draws, cls, sep, lambda d, i: [s for other in documents if other != documents[d] for s in other[1:]]
    )  # fmt: skip


def openings_known_by_their_words(documents, coins, draws, cls, sep):
    """A sentence was left out of the row because its tokens are those of an opening sentence. Later in a document the same
    words do follow something. Is it the words or the place of a sentence that makes it the first?"""

    def urn(d, _):
        return [s for e, other in enumerate(documents) if e != d for s in other if s != other[0]]

    return _examples(documents, coins, draws, cls, sep, urn)


def found_by_its_words(documents, coins, draws, cls, sep):
    """Where a document says the same sentence twice, you took what follows it the first time: its place was looked up by its
    words. Which place do you know already while you walk through a document?"""
    heard = [[document[document.index(s) + 1] for s in document[:-1]] for document in documents]
    found = sentence_pairs(documents, coins, draws, cls, sep)
    pairs = [pair for document, after in zip(documents, heard, strict=True) for pair in zip(document, after, strict=False)]
    return [
        example if example[2] else (*_join(first, second, cls, sep), 0)
        for example, (first, second) in zip(found, pairs, strict=True)
    ]


def goes_on_from_the_stranger(documents, coins, draws, cls, sep):
    """After a pair with a stranger, the next pair begins with the stranger. It has replaced a sentence of one example, not of
    the document: which sentence stands first in the next pair?"""
    found, n = [], 0
    for d, document in enumerate(documents):
        urn, first = _elsewhere(documents)(d, 0), document[:1]
        for second in document[1:]:
            label = int(coins[n] >= 0.5)
            pair = *first, urn[int(draws[n] * len(urn))] if label else second
            found.append((*_join(*pair, cls, sep), label))
            first, n = pair[1:], n + 1
    return found


def cases(rng: random.Random) -> list[Case]:
    again = [[17], [18], [17], [19]]
    a, b, c = [[11, 12], [13], [14, 15, 16]], [[21], [22, 23]], [[31, 32], [33], [34]]
    return [
        public("two documents, by hand", [a[:2], b], [0.2, 0.7], [0.9, 0.5], 1, 2),
        public("three documents", [a, b, c], [0.6, 0.1, 0.5, 0.9, 0.3], [0.7, 0.8, 0.7, 0.9, 0.6], 1, 2),
        public("the last of the urn", [b, a, c], [0.8, 0.95, 0.4, 0.5, 0.7], [0.999, 0.0, 0.5, 0.34, 0.65], 1, 2),
        public("a document twice", [b, c, list(b)], [0.7, 0.2, 0.8, 0.6], [0.9, 0.1, 0.3, 0.2], 1, 2),
        public("a sentence comes back", [again, [[25], [26, 27]]], [0.2, 0.3, 0.1, 0.8], [0.9, 0.4, 0.7, 0.5], 1, 2),
        hidden("documents of one sentence", [[[41, 42]], a, b, [[43]]], [0.3, 0.8, 0.5], [0.1, 0.2, 0.99], 9, 8),
        hidden("an empty sentence", [[[51], []], [[52], [], [53]]], [0.7, 0.2, 0.9], [0.3, 0.6, 0.0], 1, 2),
        hidden("no document", [], [], [], 1, 2),
        *[hidden(f"random documents {i}", *_documents(rng), 101, 102) for i in (1, 2)],
    ]


def _documents(rng: random.Random) -> tuple[list, list[float], list[float]]:
    documents = [
        [[rng.randrange(200, 900) for _ in range(rng.randint(1, 4))] for _ in range(rng.randint(2, 5))] for _ in range(5)
    ]
    count = sum(len(document) - 1 for document in documents)
    return documents, [rng.random() for _ in range(count)], [rng.random() for _ in range(count)]


EXERCISE = Exercise(
    chapter="ch13_bert",
    minutes=25,
    difficulty=2,
    points=3,
    reference=sentence_pairs,
    right=[by_index, pairs_first, with_an_iterator],
    wrong=[
        labels_exchanged,
        labels_as_truth_values,
        coins_exchanged,
        always_neighbours,
        always_others,
        label_without_a_change,
        from_all_documents,
        from_its_own_document,
        opening_sentences_too,
        opening_sentences_only,
        from_the_next_document,
        sentence_before,
        every_second_pair,
        across_documents,
        draws_of_the_strangers,
        second_separator_in_segment_0,
        first_separator_in_segment_1,
        start_without_a_segment,
        segments_of_words_only,
        segments_from_one,
        one_segment,
        no_last_separator,
        no_separator_between,
        a_start_for_each,
        equal_documents_left_out,
        openings_known_by_their_words,
        found_by_its_words,
        goes_on_from_the_stranger,
    ],
    cases=cases,
    ready=("lmcore",),
)
