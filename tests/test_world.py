"""The generated language: its probabilities against enumeration, its samples against its probabilities."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from scipy import stats

from lmcore import END, MASK
from lmcore.world import KINDS_OF_TEXT, World, detokenize, relations
from lmcore.world.automaton import Automaton
from lmcore.world.grammar import Rule
from lmcore.world.kinds import KINDS
from lmcore.world.program import Program

# Nothing here has a shape to check, and checking every step of a walk through a grammar costs more than the walk.
pytestmark = pytest.mark.usefixtures("unchecked")

# Two rules share a beginning and even whole texts, so that a prefix, and a text, may come from several derivations.
AMBIGUOUS = [
    Rule("g:gender n:amount", "{!n} {She(g)} saw [0.4: {a sense} | 0.6: one river ] . [0.5: {She(g)} {were(n)} there . ]", 3),
    Rule("g:gender m:meal", "{She(g)} saw one [0.7: river | 0.3: {m} ] . [0.2: {M} {she(g)} saw . ]", 2),
]


def ambiguous() -> Automaton:
    program = Program(KINDS, {"text": AMBIGUOUS}, [(1.0, ("text",))])
    return Automaton(program, sorted(program.words()))


def derivations(program: Program) -> list[tuple[tuple[str, ...], float]]:
    """Every derivation, by walking the undetermined machine: the reference, which never merges beliefs."""
    out, stack = [], [((), program.start, 1.0)]
    while stack:
        text, state, p = stack.pop()
        for edge in program.row(state).edges:
            if edge.target < 0:
                out.append((text, p * edge.probability))
            else:
                stack.append(((*text, edge.word), edge.target, p * edge.probability))
    return out


def languages() -> dict[str, tuple[Automaton, dict[tuple[str, ...], float]]]:
    out = {}
    for name, automaton in {"tiny": World.tiny()._automaton, "ambiguous": ambiguous()}.items():
        texts: dict[tuple[str, ...], float] = defaultdict(float)
        for text, p in derivations(automaton.program):
            texts[text] += p
        out[name] = (automaton, dict(texts))
    return out


@pytest.fixture(scope="module", params=["tiny", "ambiguous"])
def language(request):
    return languages()[request.param]


def test_the_ambiguous_language_is_ambiguous():
    automaton, texts = languages()["ambiguous"]
    assert len(derivations(automaton.program)) > 1.1 * len(texts)


def test_probabilities_of_all_texts_sum_to_one(language):
    automaton, texts = language
    assert math.fsum(texts.values()) == pytest.approx(1, abs=1e-12)
    listed = dict(automaton.enumerate())
    assert listed.keys() == texts.keys()
    for text, p in texts.items():
        assert listed[text] == pytest.approx(p, rel=1e-10)
        assert automaton.log_prob(text) == pytest.approx(math.log(p), abs=1e-10)
        assert len(automaton.log_probs(text)) == len(text) + 1


def test_probabilities_worked_out_by_hand():
    """The references of the other tests share the compiled machine; these numbers come from the rules alone."""
    assert World.tiny().log_prob("She likes apples .") == pytest.approx(math.log(3 / 4 * 1 / 2 * 0.5 * 0.7))
    assert World.tiny().log_prob("She likes tea . She is happy .") == pytest.approx(math.log(3 / 4 * 1 / 2 * 0.3 * 0.3))
    assert World.tiny().log_prob("He licks apples .") == pytest.approx(math.log(1 / 4 * 1 / 2 * 0.2))
    # One hidden number decides "was" or "were"; both rules write "one river", the second without a second sentence.
    start = 1 / 2 * 3 / 5 * 0.6
    assert ambiguous().log_prob("She saw one river . She were there .") == pytest.approx(math.log(start * 0.5 * 0.45))
    assert ambiguous().log_prob("She saw one river .") == pytest.approx(math.log(start * 0.5 + 1 / 2 * 2 / 5 * 0.7 * 0.8))
    # A meal is written twice: the second is the first.
    assert ambiguous().log_prob("He saw one lunch . Lunch he saw .") == pytest.approx(
        math.log(1 / 2 * 2 / 5 * 0.3 * 0.35 * 0.2)
    )
    assert ambiguous().log_prob("He saw one dinner . Dinner she saw .") == -math.inf


def test_next_distribution_equals_summation_over_texts(language):
    automaton, texts = language
    prefixes = {text[:i] for text in texts for i in range(len(text) + 1)}
    for prefix in prefixes:
        mass: Counter = Counter()
        for text, p in texts.items():
            if text[: len(prefix)] == prefix:
                mass[(*text, END)[len(prefix)]] += p
        truth = {word: p / sum(mass.values()) for word, p in mass.items()}
        assert automaton.next_distribution(prefix) == pytest.approx(truth, rel=1e-10)


def test_entropy_equals_enumeration(language):
    automaton, texts = language
    entropy, length = automaton.entropy()
    assert entropy == pytest.approx(-sum(p * math.log(p) for p in texts.values()), rel=1e-10)
    assert length == pytest.approx(sum(p * (len(text) + 1) for text, p in texts.items()), rel=1e-10)


def test_path_entropy_is_not_text_entropy_when_derivations_share_texts():
    automaton, _ = languages()["ambiguous"]
    path = -sum(p * math.log(p) for _, p in derivations(automaton.program))
    assert path > automaton.entropy()[0] + 0.1


WORLDS = [World(), World(distance=1), World(kinds=("comments", "messages", "instructions")), World(topics=("travel", "hobby"))]


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_entropy_is_the_mean_surprise_of_samples(world):
    surprise = np.array([-world.log_prob(s.tokens) for s in world.sample(6_000, seed=11)])
    assert np.isfinite(surprise).all(), "every sampled text parses"
    z = (surprise.mean() - world.entropy()) / (surprise.std() / math.sqrt(len(surprise)))
    assert abs(z) < 4
    assert world.entropy("token") == pytest.approx(world.entropy() / world.expected_length())


def chi_squared(counts: Counter, truth: dict[str, float]) -> float:
    """The p-value of counts under a distribution, cells with less than 5 expected joined."""
    total = sum(counts.values())
    assert set(counts) <= set(truth)
    large = [w for w, p in truth.items() if p * total >= 5]
    observed, expected = [counts[w] for w in large], [truth[w] * total for w in large]
    if len(large) < len(truth):
        observed.append(total - sum(observed))
        expected.append(total - sum(expected))
        if expected[-1] < 1:
            observed[-2:], expected[-2:] = [sum(observed[-2:])], [sum(expected[-2:])]
    return stats.chisquare(observed, expected, sum_check=False).pvalue


def test_samples_follow_the_probabilities_of_texts():
    world = World.tiny()
    truth = {" ".join(text): p for text, p in world.enumerate_texts()}
    counts = Counter(s.text for s in world.sample(20_000, seed=5))
    assert chi_squared(counts, truth) > 1e-4


@pytest.mark.parametrize("prefix", ["", "On", "She", "Alice", "Alice went to the", "There he", "The"])
def test_sampled_next_words_follow_next_distribution(prefix):
    world, prefix = World(), tuple(prefix.split())
    counts: Counter = Counter()
    for story in world.sample(20_000, seed=7):
        if story.tokens[: len(prefix)] == prefix:
            counts[(*story.tokens, END)[len(prefix)]] += 1
    assert sum(counts.values()) > 20
    assert chi_squared(counts, world.next_distribution(prefix)) > 1e-4


def test_next_distributions_sum_to_one_along_samples():
    world = World(distance=1, kinds=("stories", "comments"))
    for story in world.sample(50, seed=2):
        total = 0.0
        for i, word in enumerate((*story.tokens, END)):
            ahead = world.next_distribution(story.tokens[:i])
            assert math.fsum(ahead.values()) == pytest.approx(1, abs=1e-9)
            assert list(ahead.values()) == sorted(ahead.values(), reverse=True)
            total += math.log(ahead[word])
        assert world.log_prob(story.text) == pytest.approx(total, abs=1e-8)


def test_seeds():
    world = World()
    assert world.sample(30, 4) == World().sample(30, 4)
    assert world.sample(30, 4)[:7] == world.sample(7, 4)
    assert world.sample(30, 4) != world.sample(30, 5)
    assert world.sample(0, 4) == []


@pytest.mark.parametrize("world", [World(), World(distance=1), World(kinds=("comments", "messages", "instructions"))], ids=str)
def test_vocabulary(world):
    words = set(world.vocabulary)
    assert list(world.vocabulary) == sorted(words)
    assert not words & {END, MASK, "<pad>", "<start>", "<unk>"}
    reached = {world.vocabulary[i] for i in world._automaton.arrays.word if i >= 0}
    assert reached == words
    assert 500 < len(words) < 1_600


def test_distance_is_honoured():
    """The gap holds exactly ``distance`` sentences more, and no sentence less, than with distance 0."""
    for distance in (0, 2):
        seen: Counter = Counter()
        for story in World(distance=distance).sample(500, seed=1):
            if story.kind in ("making", "lost", "job", "animal", "weather", "meal", "bank (river)", "opposite"):
                assert story.cause is not None
                assert story.effect is not None
                between = story.tokens[story.cause : story.effect]
                assert between.count(".") == distance + 1, story.text
                seen[story.kind] += 1
        assert len(seen) == 8


def test_effect_depends_on_cause():
    """A sentence later the country still decides the capital."""
    world = World(distance=1)
    table: dict[str, set[str]] = defaultdict(set)
    for story in world.sample(1_500, seed=3):
        if story.kind == "travel" and "capital ," in story.text and story.tokens[story.effect - 1] == ",":
            country = story.tokens[story.cause : story.tokens.index(".", story.cause)]
            table[" ".join(country)].update(world.next_distribution(story.tokens[: story.effect]))
    assert len(table) >= 20
    assert all(len(capitals) == 1 for capitals in table.values())
    assert table["France"] == {"Paris"}


def test_what_chapter_one_says():
    world = World()
    likes, licks = world.log_prob("He likes apples ."), world.log_prob("He licks apples .")
    assert likes > licks > -math.inf
    assert world.log_prob("apples likes he .") == -math.inf
    short = world.next_distribution("There she built a")
    long = world.next_distribution("Alice went to the beach . There she built a")
    assert long["sandcastle"] > short["sandcastle"] > 0
    assert len(short) > len(long)
    assert "tea" in world.next_distribution("I love to drink")
    assert set(world.next_distribution("The keys that the man lost")) >= {"were", "are", "seem"}
    assert not set(world.next_distribution("The key that the man lost")) & {"were", "are", "seem"}


def test_articles_and_punctuation():
    for story in World(distance=1, kinds=("stories", "comments", "messages", "instructions")).sample(1_000, seed=8):
        assert story.tokens[0][0].isupper()
        assert story.tokens[-1] in ".!?"
        for a, b in zip(story.tokens, story.tokens[1:], strict=False):
            if a in ("a", "A"):
                assert b[0] not in "aeiouAEIOU" or b == "useless", story.text
            if a in ("an", "An"):
                assert b[0] in "aeiou", story.text
            if a in ".!?":
                assert b[0].isupper(), story.text


def test_labels():
    stories = World(kinds=("stories", "comments", "messages")).sample(6_000, seed=9)
    names, places = set(), set()
    for story in stories:
        assert len(story.tags) == len(story.tokens)
        for i, tag in enumerate(story.tags):
            assert tag == "O" or tag[:2] in ("B-", "I-")
            if tag.startswith("I-"):
                assert story.tags[i - 1][2:] == tag[2:]
            if tag == "B-PER":
                names.add(story.tokens[i])
            if tag == "B-LOC":
                places.add(story.tokens[i])
    assert {"Georgia", "Jordan", "Florence"} <= names & places, "some words are a person here and a place there"
    assert "the" not in places
    sentiments = Counter(s.sentiment for s in stories if s.kind == "review")
    assert set(sentiments) == {"positive", "negative", "neutral"}
    assert all(s.sentiment == "" for s in stories if s.kind != "review")
    assert 0 < sum(s.toxic for s in stories) < sum(s.kind == "remark" for s in stories)
    assert 0 < sum(s.spam for s in stories) < sum(s.kind == "message" for s in stories)
    for story in stories:
        if story.sentiment == "positive" and "not" not in story.tokens:
            assert "awful" not in story.tokens


def test_instructions_are_texts_of_their_world():
    world = World(kinds=("instructions",))
    capitals = {}
    for i in World().instructions(3_000, seed=1):
        assert math.isfinite(world.log_prob(i.text))
        assert i.instruction[-1] in "?."
        assert i.answer[-1] == "."
        if i.instruction[:5] == tuple(["What", "is", "the", "capital", "of"]):
            capitals[" ".join(i.instruction[5:-1])] = " ".join(i.answer[:-1])
        assert (i.kind == "capital") == (i.instruction[3:4] == ("capital",))
    assert capitals["France"] == "Paris"
    assert len(capitals) >= 20


def test_relations():
    pairs = relations()
    assert ("France", "Paris") in pairs["country : capital"]
    assert ("mouse", "mice") in pairs["animal : plural"]
    assert all(len(rows) >= 6 for rows in pairs.values())
    words = set(World().vocabulary)
    assert sum(a in words and b in words for a, b in pairs["country : capital"]) >= 20


def test_detokenize():
    assert detokenize("She saw Rome , Paris . It is 5 o'clock !") == "She saw Rome, Paris. It is 5 o'clock!"
    assert detokenize([]) == ""


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: World(distance=-1), "distance=-1"),
        (lambda: World(distance=1.5), "distance=1.5"),  # type: ignore[arg-type]
        (lambda: World(kinds=("novels",)), "stories, comments"),
        (lambda: World(kinds="stories"), "tuple"),  # type: ignore[arg-type]
        (lambda: World(kinds=()), "one or more"),
        (lambda: World(kinds=("pairs", "stories")), "not mixed"),
        (lambda: World(clauses=(3, 2)), "least"),
        (lambda: World(topics=("travel", "love")), "'love'.*animal, .*weather"),
        (lambda: World(topics="travel"), "tuple of topics"),  # type: ignore[arg-type]
        (lambda: World(kinds=("comments",), topics=("travel",)), "leave topics out"),
        (lambda: World().sample(-1, 0), "n=-1"),
        (lambda: World().sample(2.5, 0), "n=2.5"),  # type: ignore[arg-type]
        (lambda: World().next_distribution("Alice went xyzzy"), "'xyzzy' \\(word 3 of 3\\) is not in"),
        (lambda: World().next_distribution("Alice went went"), "with 'went' \\(word 3\\)"),
        (lambda: World().log_prob("Alice xyzzy"), "xyzzy"),
        (lambda: World().entropy("word"), "per='word'"),
        (lambda: World().posterior("Alice xyzzy", [0]), "xyzzy"),
        (lambda: World.tiny().posterior("She likes tea .", [4]), "position 4"),
        (lambda: World().translate("Alice went ."), "no English sentence"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_the_limit_on_states_is_an_error_that_says_what_to_do():
    program = World(distance=2)._program
    with pytest.raises(ValueError, match="smaller distance"):
        _ = Automaton(program, World(distance=2).vocabulary, limit=100).arrays


def test_topics_keep_their_share_and_their_texts():
    some, whole = World(topics=("travel", "job", "bank (river)")), World()
    stories = some.sample(4_000, seed=13)
    counts = Counter(story.kind for story in stories)
    assert set(counts) == set(some.topics)
    assert set(some.vocabulary) < set(whole.vocabulary)
    gained = [some.log_prob(story.tokens) - whole.log_prob(story.tokens) for story in stories[:40]]
    assert gained == pytest.approx([gained[0]] * 40), "p(text | one of the topics) is p(text) / p(topics)"
    assert gained[0] > 0
    shares = {topic: math.exp(-gained[0]) * counts[topic] / 4_000 for topic in counts}
    everywhere = Counter(story.kind for story in whole.sample(6_000, seed=17))
    for topic, share in shares.items():
        assert share == pytest.approx(everywhere[topic] / 6_000, abs=4 * math.sqrt(share / 4_000))
    assert World(topics=some.topics[::-1]).log_prob(stories[0].tokens) == pytest.approx(some.log_prob(stories[0].tokens))
    assert some.instructions(3, 1) == whole.instructions(3, 1)


def test_kinds_of_text_all_work():
    for kind in KINDS_OF_TEXT:
        assert World(kinds=(kind,)).sample(3, 0)
