"""The Python side of the figures: what they compute, what they refuse, what they say, and how choices travel both ways."""

import json
import math
import re
from pathlib import Path

import ipywidgets
import numpy as np
import pytest

from lmcore import END, evaluate
from lmcore.analogies import project
from lmcore.ngram import NGram
from lmcore.recurrent import RecurrentLM
from lmcore.widgets import HOST, EmbeddingMap, Figure, GateExplorer, MergeStepper, NextWord, UnrolledNetwork
from lmcore.widgets.base import HERE, VIEW_MIME, join
from lmcore.widgets.fallback import with_noscript
from lmcore.widgets.next_word import NO_WORD, shown_words
from lmcore.world import World

SPOKEN = (["<start>", "<end>", "a", "b"], ["a b"])
STORIES = [["she", "likes", "tea", "."], ["he", "licks", "apples", ".", "."]]
MODULES = [
    "next_word.mjs",
    "merge_stepper.mjs",
    "embedding_map.mjs",
    "vanishing_lab.mjs",
    "bottleneck_squeezer.mjs",
    "unrolled_network.mjs",
    "gate_explorer.mjs",
    "alignment_explorer.mjs",
    "soft_look_up.mjs",
    "attention_calculator.mjs",
    "head_explorer.mjs",
    "layer_chooser.mjs",
    "patch_attention.mjs",
    "caption_attention.mjs",
    "position_viewer.mjs",
    "architecture_walk.mjs",
    "cost_curves.mjs",
    "fill_blank.mjs",
    "next_tokens.mjs",
    "cache_sizes.mjs",
    "time_line.mjs",
    "decoding_playground.mjs",
    "beam_tree.mjs",
    "cache_steps.mjs",
    "text_adventure.mjs",
    "prompt_lab.mjs",
]


def uniform(prefix: list[str]) -> dict[str, float]:
    words = ["she", "he", "likes", "licks", "tea", "apples", ".", END]
    return {word: 1 / len(words) for word in words}


def sure(prefix: list[str]) -> dict[str, float]:
    """Excludes everything but one continuation, and "he" at the start."""
    return {([*STORIES[0], END])[min(len(prefix), len(STORIES[0]))]: 1.0}


def read(widget: NextWord) -> dict[str, np.ndarray]:
    """The grid of a widget as arrays: M models × P places × R rows."""
    models, places = len(widget.models), sum(len(s) + 1 for s in widget.stories)
    rows = {name: np.frombuffer(getattr(widget, name), "<f4") for name in ("row_model", "row_truth")}
    found = {name: part.reshape(models, places, widget.rows) for name, part in rows.items()}
    found["row_word"] = np.frombuffer(widget.row_word, "<u2").reshape(models, places, widget.rows)
    found["came_model"] = np.frombuffer(widget.came_model, "<f4").reshape(models, places)
    found["came_truth"] = np.frombuffer(widget.came_truth, "<f4")
    found["divergence"] = np.frombuffer(widget.divergence, "<f4").reshape(models, places)
    return found


@pytest.fixture(scope="module")
def trained() -> tuple[NextWord, dict[str, NGram], World, list[list[str]]]:
    world = World.tiny()
    texts = [story.tokens for story in world.sample(300, seed=5)]
    models = {f"{n}-gram": NGram(n, smoothing="add-k").fit(texts) for n in (1, 3)}
    models["counts"] = NGram(2, smoothing="none", vocabulary=world.vocabulary).fit(texts[:4])  # excludes much of what can come
    held = [list(s.tokens) for s in world.sample(3, seed=6)]
    return NextWord(held, models, world, top=3), models, world, held


# ---- modules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_joined_module_stands_alone(name: str) -> None:
    source = join(name)
    assert "import " not in re.sub(r"//.*|/\*.*?\*/", "", source, flags=re.S)
    assert re.findall(r"^export .*", source, re.M) == ["export default { render };"]
    names = re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", source, re.M)
    assert len(names) == len(set(names)), "two modules use one name"
    assert source.count("export function h(") == 0
    assert source.count("const h = (") == 1


def test_every_shipped_file_is_used() -> None:
    joined = "\n".join(join(name) for name in MODULES)
    for module in HERE.glob("*.mjs"):
        first = module.read_text("utf-8").splitlines()[0]
        assert first in joined, f"{module.name} is in no figure"
    assert HOST.is_file()


def test_no_file_talks_to_a_host() -> None:
    for path in [*HERE.glob("*.mjs"), *HERE.glob("*.js"), *HERE.glob("*.css")]:
        found = re.findall(r"https?://[^\s\"')]+", path.read_text("utf-8"))
        assert set(found) <= {"http://www.w3.org/2000/svg"}, path.name
        assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket)\b|@import|url\(", path.read_text("utf-8")), path.name


# ---- what a figure says without being seen -----------------------------------------------------------------------------


def figures() -> list[Figure]:
    vectors = np.random.default_rng(2).normal(size=(11, 5))
    return [
        NextWord(STORIES, {"uniform": uniform}, sure),
        MergeStepper(),
        EmbeddingMap([f"w{i}" for i in range(11)], vectors, analogy=("w1", "w2", "w3"), k=3),
        UnrolledNetwork(RecurrentLM(4, 3, 2), *SPOKEN),
        GateExplorer({"LSTM": RecurrentLM(4, 3, 2, cell="lstm")}, *SPOKEN),
    ]


@pytest.mark.parametrize("figure", figures(), ids=lambda f: type(f).__name__)
def test_text_says_in_full_sentences_what_the_figure_shows(figure: Figure) -> None:
    data, _ = figure._repr_mimebundle_()
    text = data["text/plain"]
    assert text == figure.alt
    assert len(text) > 110  # anywidget alone would cut it here
    assert text.endswith(".")
    assert "object at" not in text
    assert VIEW_MIME in data
    assert figure.get_state()["alt"] == text  # the page's readers get it too


def test_alt_can_be_said_better() -> None:
    assert MergeStepper(alt="What I mean.")._repr_mimebundle_()[0]["text/plain"] == "What I mean."


def test_page_without_javascript_shows_the_sentence_in_place() -> None:
    widget = MergeStepper('<b>"x" & y</b>')
    states = ipywidgets.Widget.get_manager_state(drop_defaults=False)["state"]
    views = [json.dumps({"model_id": i}) for i in (widget.model_id, "unknown")]
    page = "".join(f'<div><script type="{VIEW_MIME}">\n{v}\n</script></div>' for v in views)
    found = with_noscript(page, states)
    assert found.count("<noscript>") == 1
    assert found.index("<noscript>") < found.index("unknown")
    assert "&lt;b&gt;" in found
    assert "<b>" not in found
    assert found.replace(re.search("<noscript>.*?</noscript>", found)[0], "") == page  # type: ignore[index]


# ---- next-word explorer ------------------------------------------------------------------------------------------------


def test_grid_equals_the_functions_at_every_point(trained: tuple) -> None:
    widget, models, world, held = trained
    grid, place = read(widget), 0
    assert widget.models == list(models)
    assert widget.sees == [0, 2, 1]
    for story in held:
        gaps = {name: evaluate.kl(world, model, story) / math.log(2) for name, model in models.items()}
        for i, came in enumerate([*story, END]):
            q = world.next_distribution(story[:i])
            assert grid["came_truth"][place] == np.float32(q[came])
            for m, (name, model) in enumerate(models.items()):
                p = model.next_distribution(story[:i])
                assert grid["came_model"][m, place] == pytest.approx(p.get(came, 0), rel=1e-6)
                assert grid["divergence"][m, place] == pytest.approx(gaps[name][i], rel=1e-6, abs=1e-9)
                filled = grid["row_word"][m, place] != NO_WORD
                words = [widget.words[j] for j in grid["row_word"][m, place][filled]]
                assert len(set(words)) == len(words)
                assert came in words
                for word, a, b in zip(words, grid["row_model"][m, place], grid["row_truth"][m, place], strict=False):
                    assert a == np.float32(p.get(word, 0))
                    assert b == np.float32(q.get(word, 0))
                left_out = {w: max(p.get(w, 0), q.get(w, 0)) for w in {*p, *q} - set(words)}
                least = sorted((max(p.get(w, 0), q.get(w, 0)) for w in words), reverse=True)[: widget.rows - 1]
                assert not left_out or max(left_out.values()) <= min(least) + 1e-12
                assert len(words) in (widget.rows - 1, widget.rows) or not any(left_out.values())
                shown = [(-q.get(w, 0), -p.get(w, 0)) for w in words]
                assert shown == sorted(shown)
            place += 1
    assert place == grid["came_truth"].size
    assert np.isinf(grid["divergence"][2]).any(), "the case of an excluded word must be among those tested"


def test_word_that_came_is_shown_however_unlikely() -> None:
    q, p = {"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.1, "b": 0.2, "c": 0.7}
    assert shown_words(q, p, "b", top=1) == ["b", "c"]
    assert shown_words(q, p, "new", top=2) == ["a", "c", "new"]
    assert shown_words({"a": 1.0, "b": 0.0}, {"a": 1.0}, "a", top=3) == ["a"]  # nothing that neither expects


def test_impossible_word_is_infinitely_surprising_and_not_an_error() -> None:
    grid = read(NextWord(STORIES, {"sure": sure}, uniform))
    assert grid["came_model"][0, 0] == 1
    assert grid["came_model"][0, 5] == 0  # "he"
    assert np.isinf(grid["divergence"]).all()
    assert (read(NextWord(STORIES, {"uniform": uniform}, uniform))["divergence"] == 0).all()


def test_stories_may_be_strings_or_stories_of_the_world() -> None:
    story = World.tiny().sample(1, seed=3)[0]
    widget = NextWord([" ".join(STORIES[0]), story, tuple(STORIES[1])], {"u": uniform}, uniform)
    assert widget.stories == [STORIES[0], list(story.tokens), STORIES[1]]


def test_figure_opens_where_the_first_model_is_furthest_from_the_truth() -> None:
    widget = NextWord(
        STORIES, {"u": uniform, "v": uniform}, lambda prefix: sure(prefix) if len(prefix) == 2 else uniform(prefix)
    )
    assert (widget.model, widget.story, widget.position) == ("u", 0, 2)
    assert NextWord(STORIES, {"u": uniform}, uniform, story=1, position=5).position == 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stories": []}, "at least one"),
        ({"stories": [["a"], []]}, "none empty"),
        ({"models": {}}, "models is empty"),
        ({"models": {"m": 3}}, "next_distribution"),
        ({"models": {"m": lambda prefix: {"a": 0.7}}}, "sum to 0.7"),
        ({"truth": lambda prefix: {}}, "sum to 0"),
        ({"truth": lambda prefix: {"a": math.nan}}, "sum to nan"),
        ({"top": 0}, "allowed: 1 to 50"),
        ({"model": "5-gram"}, "allowed: 'uniform'"),
        ({"story": 2}, "allowed: 0 to 1"),
        ({"position": 5}, "allowed: 0 to 4"),
        ({"position": -1}, "allowed: 0 to 4"),
    ],
)
def test_bad_input_is_named_with_what_is_allowed(change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        NextWord(**{"stories": STORIES, "models": {"uniform": uniform}, "truth": uniform, **change})


def test_choices_travel_both_ways() -> None:
    widget = NextWord(STORIES, {"a": uniform, "b": sure}, uniform)
    seen: list[tuple[str, object]] = []
    widget.observe(lambda change: seen.append((change.name, change.new)), ["story", "position", "model"])
    widget.set_state({"story": 1, "position": 5})  # what the page sends: both at once, valid only together
    widget.set_state({"model": "b"})
    assert (widget.story, widget.position, widget.model) == (1, 5, "b")
    assert seen[-1] == ("model", "b")
    widget.story = 0  # the shorter story: the place moves to its end
    assert widget.position == 4
    for name, value in {"model": "c", "story": -1, "position": 5}.items():
        before = getattr(widget, name)
        with pytest.raises(ValueError, match="allowed"):
            setattr(widget, name, value)
        assert getattr(widget, name) == before


# ---- merge stepper -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"text": "a" * 5001}, "allowed: 0 to 5000"),
        ({"level": "words"}, "allowed: 'characters', 'bytes'"),
        ({"merges": 0}, "allowed: 1 to 1000"),
        ({"min_count": 0}, "allowed: 1"),
        ({"step": -1}, "allowed: 0 to 60"),
    ],
)
def test_merge_stepper_refuses(change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        MergeStepper(**change)


def test_merge_stepper_follows_both_sides() -> None:
    widget = MergeStepper()
    widget.set_state({"text": "own text", "step": 0})
    widget.step = 3
    assert widget.get_state(["text", "step"]) == {"text": "own text", "step": 3}
    assert "own text" in MergeStepper("own text").alt


# ---- embedding map -----------------------------------------------------------------------------------------------------


def cloud(n: int = 13, width: int = 7) -> tuple[list[str], np.ndarray]:
    return [f"w{i}" for i in range(n)], np.random.default_rng(n).normal(size=(n, width)) * 3


def test_map_holds_unit_vectors_and_their_principal_components() -> None:
    words, vectors = cloud()
    widget = EmbeddingMap(words, vectors, groups={"low": ["w1", "w2"], "high": ["w12"]}, analogy=("w1", "w2", "w3"))
    unit = np.frombuffer(widget.vectors, "<f4").reshape(vectors.shape)
    assert np.allclose(unit, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), atol=1e-7)
    places, axes, kept = project(unit.astype(float))
    assert np.allclose(np.frombuffer(widget.places, "<f4").reshape(-1, 2), places, atol=1e-6)
    assert widget.kept == pytest.approx(kept)
    # the parallelogram on the map is the image of the arithmetic in the full space
    target = unit[1] - unit[2] + unit[3]
    assert np.allclose(places[1] - places[2] + places[3], (target - unit.mean(axis=0)) @ axes.T, atol=1e-6)
    assert widget.group_of == [{"w1": 0, "w2": 0, "w12": 1}.get(word, -1) for word in words]


def test_map_takes_a_tensor_and_a_vocabulary_without_paris() -> None:
    import torch

    words, vectors = cloud()
    widget = EmbeddingMap(words, torch.tensor(vectors, requires_grad=True))
    assert widget.analogy == ["w0", "w1", "w2"]
    assert widget.word == "w0"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vectors": cloud(12)[1]}, "13 words need vectors"),
        ({"vectors": np.zeros((13, 7))}, "zero or not finite"),
        ({"words": ["w0"] * 13}, "twice"),
        ({"words": ["a", "b", "c"], "vectors": np.eye(3)}, "at least 4 words"),
        ({"vectors": np.ones((13, 1))}, "width of 2"),
        ({"groups": {"g": ["nobody"]}}, "'nobody'"),
        ({"groups": {"g": ["w1"], "h": ["w1"]}}, "two groups"),
        ({"groups": {str(i): [] for i in range(9)}}, "allowed: 0 to 8"),
        ({"analogy": ("w1", "w2")}, "3 words"),
        ({"analogy": ("w1", "w2", "nobody")}, "analogy word c"),
        ({"k": 13}, "allowed: 1 to 12"),
        ({"word": "nobody"}, "'nobody'"),
        ({"mode": "dance"}, "'neighbours', 'analogy'"),
    ],
)
def test_embedding_map_refuses(change: dict, says: str) -> None:
    words, vectors = cloud()
    with pytest.raises(ValueError, match=says):
        EmbeddingMap(**{"words": words, "vectors": vectors, **change})


def test_embedding_map_follows_both_sides() -> None:
    words, vectors = cloud()
    widget = EmbeddingMap(words, vectors)
    widget.set_state({"word": "w5", "mode": "neighbours"})
    widget.analogy = ["w3", "w4", "w5"]
    assert (widget.word, widget.analogy) == ("w5", ["w3", "w4", "w5"])
    for name, value in {"word": "x", "analogy": ["w1", "w2", "x"], "k": 0, "mode": "x"}.items():
        with pytest.raises(ValueError, match="allowed"):
            setattr(widget, name, value)


def test_package_ships_the_files() -> None:
    assert {path.suffix for path in Path(HERE).iterdir() if path.is_file()} >= {".mjs", ".js", ".css", ".py"}
