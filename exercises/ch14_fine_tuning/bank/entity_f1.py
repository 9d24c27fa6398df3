"""Precision, recall and F₁ of whole entities (Tjong Kim Sang and De Meulder 2003, section 2.2), read from IOB tags as CoNLL's
script conlleval reads them."""

import random

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.run import Case


def entity_f1(truth, predicted):
    true, found = _entities(truth), _entities(predicted)
    right = len(true & found)
    precision = right / len(found) if found else 0.0
    recall = right / len(true) if true else 0.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return precision, recall, f1


def _entities(sentences):
    entities = set()
    for number, tags in enumerate(sentences):
        kind = begin = None
        for place, tag in enumerate([*tags, "O"]):
            if kind and tag != "I-" + kind:
                entities.add((number, begin, place, kind))
                kind = None
            if not kind:
                begin, kind = place, tag[2:]  # an O has no type, and begins nothing
    return entities


# Right, written differently


def with_lists(truth, predicted):
    def spans(tags):
        found = []
        for t, tag in enumerate(tags):
            kind = tag[2:]
            if tag == "O":
                continue
            if tag[0] == "I" and found and found[-1][1:] == [t, kind]:
                found[-1][1] = t + 1
            else:
                found.append([t, t + 1, kind])
        return found

    counts = [0, 0, 0]
    for ours, theirs in zip(truth, predicted, strict=True):
        a, b = spans(ours), spans(theirs)
        counts[0] += sum(span in a for span in b)
        counts[1] += len(b)
        counts[2] += len(a)
    right, guessed, there = counts
    return right / max(guessed, 1), right / max(there, 1), 2 * right / max(guessed + there, 1)


def with_begins_and_ends(truth, predicted):
    """First where an entity begins, then how far it goes."""

    def begins(tags, t):
        previous = tags[t - 1] if t > 0 else "O"
        return tags[t].startswith("B-") or (tags[t] != "O" and previous[2:] != tags[t][2:])

    def entities(sentences):
        for number, tags in enumerate(sentences):
            for t in range(len(tags)):
                if begins(tags, t):
                    end = t + 1
                    while end < len(tags) and tags[end] != "O" and not begins(tags, end):
                        end += 1
                    yield number, t, end, tags[t][2:]

    true, found = list(entities(truth)), list(entities(predicted))
    right = len([entity for entity in found if entity in true])
    wrong, missed = len(found) - right, len(true) - right
    if right == 0:
        return 0.0, 0.0, 0.0
    return right / (right + wrong), right / (right + missed), right / (right + 0.5 * (wrong + missed))


def joined_with_gaps(truth, predicted):
    """All sentences one behind the other, with an O between them."""

    def entities(sentences):
        flat = [tag for tags in sentences for tag in ("O", *tags)]
        flat.append("O")
        starts = {i for i in range(1, len(flat)) if flat[i] != "O" and flat[i] != f"I-{flat[i - 1][2:]}"}
        found = {}
        for i, tag in enumerate(flat):
            if i in starts:
                current = i
            if tag != "O":
                found[current] = (i, tag[2:])
        return set(found.items())

    true, found = entities(truth), entities(predicted)
    shared = true.intersection(found)
    p, r = (len(shared) / len(part) if len(part) > 0 else 0.0 for part in (found, true))
    return p, r, 0.0 if p + r == 0 else 2 / (1 / p + 1 / r)


# Wrong: the docstring is the hint


def _scores(right, guessed, there):
    precision, recall = right / guessed if guessed else 0.0, right / there if there else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0


def _of_sets(true, found):
    return _scores(len(true & found), len(found), len(true))


def _cut(sentences, continues):
    """Entities as (sentence, begin, end, type), where ``continues(before, tag)`` says whether one goes on; its type is that of
    its first tag."""
    found = set()
    for number, tags in enumerate(sentences):
        begin = None
        for place, tag in enumerate([*tags, "O"]):
            before = tags[place - 1] if place else "O"
            if begin is not None and not (tag != "O" and continues(before, tag)):
                found.add((number, begin, place, tags[begin][2:]))
                begin = None
            if tag != "O" and begin is None:
                begin = place
    return found


def tag_by_tag(truth, predicted):
    """You counted tags, not entities. An entity of three words, of which two are found, is not two thirds right: it counts as
    wrong. Build the entities first, then compare them as wholes."""
    tagged = [{(i, t, tag) for i, tags in enumerate(part) for t, tag in enumerate(tags) if tag != "O"}
              for part in (truth, predicted)]  # fmt: skip
    return _of_sets(*tagged)


def tags_with_the_outside(truth, predicted):
    """You counted tags, and the tag O among them. Most words are outside of any entity, so this score is high for a model that
    finds nothing. Count entities."""
    tagged = [{(i, t, tag) for i, tags in enumerate(part) for t, tag in enumerate(tags)} for part in (truth, predicted)]
    return _of_sets(*tagged)


def inside_after_outside_ignored(truth, predicted):
    """An entity that begins with I- was ignored. A model that writes I- without B- before it has found something all the same:
    after O, after another type and at the beginning of a sentence, I- begins an entity."""
    found = []
    for part in (truth, predicted):
        spans = _entities(part)
        found.append({span for span in spans if part[span[0]][span[1]].startswith("B-")})
    return _of_sets(*found)


def begin_does_not_part(truth, predicted):
    """Two entities of the same type, side by side, were taken for one. B- begins a new entity, whatever stands before it."""
    same = [_cut(part, lambda before, tag: before[2:] == tag[2:]) for part in (truth, predicted)]
    return _of_sets(*same)


def type_does_not_part(truth, predicted):
    """I- of another type was taken for the continuation of an entity. An entity has one type: I-LOC after B-PER begins a new
    one."""
    return _of_sets(*(_cut(part, lambda _, tag: tag.startswith("I-")) for part in (truth, predicted)))


def every_tag_an_entity(truth, predicted):
    """Every word inside an entity was taken for an entity of its own. I- of the same type continues the entity before it."""
    return _of_sets(*(_cut(part, lambda _, __: False) for part in (truth, predicted)))


def first_words_only(truth, predicted):
    """An entity counts as right if its first word and its type are. Its end counts too."""
    return _of_sets(*({(i, begin, kind) for i, begin, _, kind in _entities(part)} for part in (truth, predicted)))


def last_words_only(truth, predicted):
    """An entity counts as right if its last word and its type are. Its beginning counts too."""
    return _of_sets(*({(i, end, kind) for i, _, end, kind in _entities(part)} for part in (truth, predicted)))


def types_ignored(truth, predicted):
    """An entity counts as right if it stands at the right place, whatever its type. A place is no person: the type counts
    too."""
    return _of_sets(*({span[:3] for span in _entities(part)} for part in (truth, predicted)))


def places_ignored(truth, predicted):
    """Only the types of the entities were counted, sentence by sentence. A person at one place is not found by a person at
    another: where it begins and ends counts."""
    right = guessed = there = 0
    for i in range(len(truth)):
        true, found = ([kind for n, _, _, kind in _entities(part) if n == i] for part in (truth, predicted))
        right += sum(min(true.count(kind), found.count(kind)) for kind in set(true))
        guessed, there = guessed + len(found), there + len(true)
    return _scores(right, guessed, there)


def overlap_is_enough(truth, predicted):
    """An entity counts as right if it shares a word with one of the same type. Both its ends have to be right."""
    true, found = _entities(truth), _entities(predicted)

    def meets(a, b):
        return a[0] == b[0] and a[3] == b[3] and a[1] < b[2] and b[1] < a[2]

    return _scores(sum(any(meets(a, b) for b in true) for a in found), len(found), len(true))


def tags_at_the_true_places(truth, predicted):
    """The predicted tags were compared with the true ones at the words of every true entity, and nowhere else. Does the
    predicted entity end where the true one does? And is it another one if it begins with I- after O? Build the entities of
    both sides first, then compare these."""
    true = _entities(truth)
    right = sum(truth[i][begin:end] == predicted[i][begin:end] for i, begin, end, _ in true)
    return _scores(right, len(_entities(predicted)), len(true))


def sentences_forgotten(truth, predicted):
    """Entities of different sentences were taken for the same, as they stand at the same place and have the same type. The
    number of the sentence belongs to an entity."""
    return _of_sets(*({span[1:] for span in _entities(part)} for part in (truth, predicted)))


def found_in_any_sentence(truth, predicted):
    """A predicted entity counts as right if any sentence has one of its type at its place. It must be the same sentence: a
    person in the first is not found by one in the second. What has to be noted of an entity beside type, begin and end?"""
    true, found = ([span[1:] for span in _entities(part)] for part in (truth, predicted))
    return _scores(sum(span in true for span in found), len(found), len(true))


def sentences_joined(truth, predicted):
    """The sentences were joined, and an entity at the end of one went on in the next. No entity crosses from one sentence into
    another."""
    return _of_sets(*(_entities([[tag for tags in part for tag in tags]]) for part in (truth, predicted)))


def end_of_sentence_lost(truth, predicted):
    """An entity at the end of a sentence is missing: it was only noted when a further tag came. What happens after the last
    tag?"""
    return _of_sets(
        *({span for span in _entities(part) if span[2] < len(part[span[0]])} for part in (truth, predicted))
    )  # fmt: skip


def mean_over_the_types(truth, predicted):
    """You computed the scores for each type, and took their mean: that is the macro average. Here all entities are counted
    together, whatever their type: the micro average."""
    true, found = _entities(truth), _entities(predicted)
    kinds = sorted({span[3] for span in true | found})
    each = [_of_sets(*({span for span in part if span[3] == kind} for part in (true, found))) for kind in kinds]
    return tuple(sum(column) / len(kinds) for column in zip(*each, strict=True)) if kinds else (0.0, 0.0, 0.0)


def mean_over_the_sentences(truth, predicted):
    """You computed the scores for each sentence, and took their mean. Here the entities of all sentences are counted
    together."""
    each = [entity_f1([ours], [theirs]) for ours, theirs in zip(truth, predicted, strict=True)]
    return tuple(sum(column) / len(each) for column in zip(*each, strict=True)) if each else (0.0, 0.0, 0.0)


def precision_and_recall_exchanged(truth, predicted):
    """Precision and recall have changed places. Precision is the share of what was predicted that is right, recall the share of
    what is there that was found."""
    precision, recall, f1 = entity_f1(truth, predicted)
    return recall, precision, f1


def arithmetic_mean(truth, predicted):
    """F₁ is the arithmetic mean of precision and recall. It is their harmonic mean, which is low if one of the two is."""
    precision, recall, _ = entity_f1(truth, predicted)
    return precision, recall, (precision + recall) / 2


def without_the_two(truth, predicted):
    """F₁ is half as large as it should be: a perfect prediction has 1. A factor is missing."""
    precision, recall, f1 = entity_f1(truth, predicted)
    return precision, recall, f1 / 2


def shared_by_all(truth, predicted):
    """F₁ is what is right, divided by everything that is there or was predicted. That is the Jaccard index, which is lower."""
    precision, recall, _ = entity_f1(truth, predicted)
    true, found = _entities(truth), _entities(predicted)
    return precision, recall, len(true & found) / len(true | found) if true | found else 0.0


def nothing_is_perfect(truth, predicted):
    """Where there is nothing to find and nothing was predicted, you count that as perfect. A score of 0/0 is 0 here, as in
    conlleval."""
    true, found = _entities(truth), _entities(predicted)
    if not true and not found:
        return 1.0, 1.0, 1.0
    return _of_sets(true, found)


def division_by_nothing(truth, predicted):
    """Somewhere you divide by 0. A score of 0/0 is 0 here, and there are three fractions: when is the divisor of each of them
    0, that of F₁ too?"""
    true, found = _entities(truth), _entities(predicted)
    right = len(true & found)
    precision, recall = right / len(found), right / len(true)
    return precision, recall, 2 * precision * recall / (precision + recall)


def in_per_cent(truth, predicted):
    """The scores are in per cent. Asked for are numbers from 0 to 1."""
    return tuple(100 * score for score in entity_f1(truth, predicted))


def f1_alone(truth, predicted):
    """You return F₁ alone. Asked for are three numbers: precision, recall and F₁."""
    return entity_f1(truth, predicted)[2]


def cases(rng: random.Random) -> list[Case]:
    return [
        public(
            "one sentence, by hand",
            [["B-PER", "I-PER", "O", "B-LOC", "O", "B-ORG"]],
            [["B-PER", "I-PER", "O", "B-ORG", "O", "O"]],
        ),
        public(
            "two sentences",
            [["O", "B-PER", "I-PER"], ["B-LOC", "I-LOC", "I-LOC", "O", "B-LOC", "O", "B-PER"]],
            [["O", "B-PER", "O"], ["O", "B-LOC", "I-LOC", "O", "B-LOC", "B-PER", "B-PER"]],
        ),
        public(
            "side by side",
            [["B-PER", "B-PER", "I-PER", "O"], ["B-LOC", "I-LOC", "B-ORG"]],
            [["B-PER", "I-PER", "I-PER", "O"], ["B-LOC", "I-LOC", "B-ORG"]],
        ),
        public(
            "entities that begin with I",
            [["O", "I-LOC", "I-LOC", "O", "B-PER"], ["I-PER", "O"], ["B-PER", "I-ORG"]],
            [["O", "B-LOC", "I-LOC", "O", "I-PER"], ["B-PER", "O"], ["B-PER", "B-ORG"]],
        ),
        public(
            "the same place in another sentence",
            [["B-PER", "O", "O"], ["O", "O", "B-LOC"], ["O", "O", "O"]],
            [["O", "O", "O"], ["B-PER", "O", "B-LOC"], ["O", "O", "B-LOC"]],
        ),
        public(
            "across the end of a sentence",
            [["B-LOC", "I-LOC"], ["I-LOC", "O"]],
            [["B-LOC", "I-LOC"], ["I-LOC", "I-LOC"]],
        ),
        public("nothing there", [["O", "O"], ["O"]], [["O", "O"], ["O"]]),
        hidden("nothing predicted", [["B-PER", "O"], ["O"]], [["O", "O"], ["O"]]),
        hidden("everything predicted, nothing there", [["O", "O"]], [["B-LOC", "I-LOC"]]),
        hidden("perfect", [["B-ORG", "I-ORG", "B-ORG"], ["I-PER"]], [["B-ORG", "I-ORG", "B-ORG"], ["B-PER"]]),
        hidden(
            "types that change",
            [["B-PER", "I-LOC", "I-LOC", "I-PER", "O", "B-LOC"]],
            [["I-PER", "B-LOC", "I-LOC", "B-PER", "I-PER", "I-LOC"]],
        ),
        hidden("an empty sentence", [[], ["B-DAY"]], [[], ["B-DAY"]]),
        hidden("no sentence", [], []),
        *[hidden(f"random tags {i}", *_tags(rng)) for i in (1, 2, 3)],
    ]  # fmt: skip


def _tags(rng: random.Random) -> tuple[list, list]:
    """Random sentences, and the same with a third of the tags drawn again."""
    tags = ["O", "O", "B-PER", "I-PER", "I-PER", "B-LOC", "I-LOC", "I-LOC"]
    truth = [[rng.choice(tags) for _ in range(rng.randint(1, 9))] for _ in range(6)]
    return truth, [[rng.choice(tags) if rng.random() < 0.3 else tag for tag in row] for row in truth]


EXERCISE = Exercise(
    chapter="ch14_fine_tuning",
    minutes=35,
    difficulty=3,
    points=5,
    reference=entity_f1,
    right=[with_lists, with_begins_and_ends, joined_with_gaps],
    wrong=[
        tag_by_tag,
        tags_with_the_outside,
        inside_after_outside_ignored,
        begin_does_not_part,
        type_does_not_part,
        every_tag_an_entity,
        first_words_only,
        last_words_only,
        types_ignored,
        places_ignored,
        overlap_is_enough,
        tags_at_the_true_places,
        sentences_forgotten,
        found_in_any_sentence,
        sentences_joined,
        end_of_sentence_lost,
        mean_over_the_types,
        mean_over_the_sentences,
        precision_and_recall_exchanged,
        arithmetic_mean,
        without_the_two,
        shared_by_all,
        nothing_is_perfect,
        division_by_nothing,
        in_per_cent,
        f1_alone,
    ],
    cases=cases,
    equivalent={"'O' → ''": "what stands behind a sentence only has to be no continuation of its last entity"},
    ready=("seqeval", "lmcore"),
)
