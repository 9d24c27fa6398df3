"""Real corpora: every one arrives from a server, is read to its end, and has parts that do not leak."""

import hashlib
import io
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore import corpora
from lmcore.corpora import Pair, downloads, sources
from tests.serving import ALL_FILES, DOWNLOADED, files_in, serving, tree


@pytest.fixture(params=["small files", "real files"])
def server(request, monkeypatch, tmp_path):
    with serving(request.param, monkeypatch, tmp_path / "cache") as http:
        yield http


@pytest.mark.parametrize("name", DOWNLOADED)
def test_download_once_then_offline(server, name, monkeypatch, capfd):
    assert not corpora.available(name)
    first = corpora.load(name)
    assert corpora.available(name)
    cache = downloads.folder()
    assert files_in(cache) == {file.path for file in corpora.about(name).files}
    assert all((cache / path).read_bytes() == server.files[path] for path in files_in(cache))
    assert len(server.requests) == len(corpora.about(name).files)
    before = {path: os.stat(cache / path).st_mtime_ns for path in tree(cache)}
    monkeypatch.setenv("LMCORE_MIRROR", "http://127.0.0.1:9")
    assert _same(corpora.load(name), first)
    assert {path: os.stat(cache / path).st_mtime_ns for path in tree(cache)} == before
    assert corpora.used()[name] == corpora.sha256(name)
    assert capfd.readouterr() == ("", "")


def test_command_line(server, capfd):
    assert corpora.main([]) == 0
    listed = capfd.readouterr().out
    for name, source in sources.SOURCES.items():
        assert f"{name} ({'not here yet' if source.files else 'here'})" in listed
        assert source.licence in listed
        assert source.origin in listed
    assert corpora.main(["film_reviews"]) == 0
    assert capfd.readouterr() == ("film_reviews: ready\n", "")
    server.mode = "404"
    assert corpora.main(["wnut17", "film_reviews", "shakespeare"]) == 1
    out, err = capfd.readouterr()
    assert out == "film_reviews: ready\n"
    assert [line.split(":")[0] for line in err.splitlines()] == ["wnut17", "shakespeare"]
    assert "Traceback" not in err
    server.mode = "well"
    assert corpora.main(["--all"]) == 0
    assert capfd.readouterr().out == "".join(f"{name}: ready\n" for name in sources.SOURCES)
    assert files_in(downloads.folder()) == set(ALL_FILES)


def test_command_exits_with_a_status(tmp_path):
    env = {**os.environ, "LMCORE_DATA": str(tmp_path / "cache"), "LMCORE_MIRROR": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-m", "lmcore.corpora", "tatoeba"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("tatoeba: could not fetch")
    assert tree(tmp_path) == []


def test_contents(server):
    """Every corpus is read to the end, and its parts share nothing."""
    shakespeare = corpora.tiny_shakespeare()
    reviews, pairs, described, tagged = (corpora.load(n) for n in ("film_reviews", "tatoeba", "multi30k", "wnut17"))
    if server.real:
        assert len(shakespeare) == 1_115_394
        assert _sizes(pairs, sum) == 52_652
        assert len({pair.source for part in _parts(pairs) for pair in part}) == 45_144
        assert _sizes(described) == [29_000, 1_014, 1_000]
        assert _sizes(tagged) == [3_394, 1_009, 1_287]
        assert _sizes(reviews, sum) == 10_662
        assert 0.49 < np.mean([review.label for review in reviews.train]) < 0.51
    else:
        assert shakespeare == "MARY:\nThe café is shut.\n" * 40
        assert _sizes(pairs, sum) == 202
        assert described.valid == (Pair("A red hat, val.", "Ein roter Hut, val."), Pair("Two hats.", "Zwei Hüte."))
        expected = (("Our", "New", "Town"), ("O", "B-location", "I-location")), (("hi",), ("O",))
        assert tagged.train == tagged.valid == tagged.test == expected
        assert _sizes(reviews, sum) == 120
        assert any("—" in review.text for review in reviews.train)
    for part in _parts(tagged):
        assert all(len(s.tokens) == len(s.tags) > 0 for s in part)
        assert all(re.fullmatch(r"O|[BI]-[a-z-]+", tag) for s in part for tag in s.tags)
    for corpus in (pairs, reviews):
        total = _sizes(corpus, sum)
        assert 0.7 < len(corpus.train) / total < 0.9
        assert min(len(corpus.valid), len(corpus.test)) > 0.02 * total
    assert not any(re.search("[\x80-\x9f]", review.text) for part in _parts(reviews) for review in part)
    for side in (0, 1):
        train, valid, test = ({_plain(pair[side]) for pair in part} for part in _parts(pairs))
        assert not train & test
        assert not train & valid
        assert not valid & test
    texts = [{review.text for review in part} for part in _parts(reviews)]
    assert not texts[0] & texts[2]
    assert not texts[1] & texts[2]


def _same(a, b):
    """Equality that looks into arrays too."""
    if isinstance(a, corpora.Digits):
        return all(np.array_equal(x, y) for p, q in zip(_parts(a), _parts(b), strict=True) for x, y in zip(p, q, strict=True))
    return a == b


def _parts(corpus):
    return corpus.train, corpus.valid, corpus.test


def _sizes(corpus, combine=list):
    return combine(len(part) for part in _parts(corpus))


def _plain(sentence: str) -> str:
    return " ".join(re.findall(r"\w+", sentence.casefold()))


SENTENCES = st.text("aAb .!", max_size=4)


@given(st.lists(st.tuples(SENTENCES, SENTENCES)).map(lambda pairs: [Pair(*pair) for pair in pairs]), st.randoms())
def test_translations_stay_together_whatever_the_order(pairs, random):
    corpus = corpora._split(pairs, corpora._groups(pairs))
    assert sorted(pair for part in _parts(corpus) for pair in part) == sorted(pairs)
    for side in (0, 1):
        train, valid, test = ({_plain(pair[side]) for pair in part} for part in _parts(corpus))
        assert not train & test
        assert not train & valid
        assert not valid & test
    shuffled = random.sample(pairs, len(pairs))
    other = corpora._split(shuffled, corpora._groups(shuffled))
    assert list(map(sorted, _parts(other))) == list(map(sorted, _parts(corpus)))


def test_the_split_keeps_its_proportions_and_mixes():
    items = list(range(20_000))
    train, valid, test = _parts(corpora._split(items, map(str, items)))
    assert abs(len(train) - 16_000) < 300  # five standard deviations
    assert abs(len(valid) - 2_000) < 220
    assert abs(len(test) - 2_000) < 220
    assert abs(np.corrcoef(train, range(len(train)))[0, 1]) < 0.05


def test_every_address_is_pinned():
    for file in ALL_FILES.values():
        commit = r"https://raw\.githubusercontent\.com/[\w.-]+/[\w.-]+/[0-9a-f]{40}/[\w./-]+"
        assert re.fullmatch(commit, file.url) or file.path == "mnist/mnist.npz"
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert all(source.title and source.licence and source.origin for source in sources.SOURCES.values())
    assert set(sources.SOURCES) == set(corpora.READERS)


def test_the_manual_is_real_prose_and_always_there():
    text = corpora.manual()
    assert corpora.available("manual")
    assert 400_000 < len(text) < 700_000
    assert "generator" in text
    assert corpora.sha256("manual") == hashlib.sha256(text.encode()).hexdigest() == corpora.used()["manual"]
    topics = corpora.manual_topics()
    assert list(topics) == sorted(topics)
    assert all(topic in text for topic in topics.values())
    assert corpora.load("manual") == text


def test_mnist_keeps_images_with_their_labels(server):
    digits = corpora.mnist()
    with np.load(io.BytesIO(server.files["mnist/mnist.npz"])) as file:
        pictures, labels = (np.concatenate([file[f"{axis}_train"], file[f"{axis}_test"]]) for axis in "xy")
    parts = _parts(digits)
    assert len(parts[1].labels) * 12 == len(parts[0].labels) + len(parts[1].labels)
    np.testing.assert_allclose(np.concatenate([part.images for part in parts]) * 255, pictures, atol=1e-4)
    np.testing.assert_array_equal(np.concatenate([part.labels for part in parts]), labels)
    assert digits.train.images.dtype == np.float32
    assert len(digits.test.labels) == len(np.load(io.BytesIO(server.files["mnist/mnist.npz"]))["y_test"])


def test_the_digits_are_all_there_in_three_parts():
    from sklearn.datasets import load_digits

    digits = corpora.load("digits")
    assert corpora.available("digits")
    assert [len(part.images) for part in _parts(digits)] == [1197, 300, 300]
    images, labels = (np.concatenate([part[i] for part in _parts(digits)]) for i in (0, 1))
    assert images.min() == 0
    assert images.max() == 1
    np.testing.assert_array_equal(images * 16, load_digits().images)
    np.testing.assert_array_equal(labels, load_digits().target)
    assert re.fullmatch(r"[0-9a-f]{64}", corpora.sha256("digits"))


def test_a_name_that_is_none():
    for ask in (corpora.load, corpora.available, corpora.sha256, corpora.about):
        with pytest.raises(ValueError, match=r"'shakespeare'.*tiny_shakespeare"):
            ask("shakespeare")
