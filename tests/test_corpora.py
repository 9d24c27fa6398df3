"""Real corpora: what arrives from a server, what a failure leaves behind, and parts that do not leak.

Every download test runs against a server on this machine. It serves small files written here, and the real ones where
``LMCORE_DATA`` names a folder that has them.
"""

import gzip
import hashlib
import io
import os
import re
import socket
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore import corpora, downloads, sources
from lmcore.corpora import Pair

DATA = Path(os.environ.get("LMCORE_DATA") or "/nowhere")
DOWNLOADED = [name for name, source in sources.SOURCES.items() if source.files]
ALL_FILES = {file.path: file for name in DOWNLOADED for file in sources.SOURCES[name].files}


def _zip(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), text)
    return buffer.getvalue()


def _small_files() -> dict[str, bytes]:
    """For every pinned path a small file of the same format."""
    pairs = [(f"The cat has {n} hats.", f"De kat heeft {n} hoeden.") for n in range(200)]
    pairs += [
        ("The cat has 7 hats!", "De poes heeft zeven hoeden."),
        ("Seven hats has the cat.", "De poes heeft zeven hoeden."),
    ]
    tagged = "Our\tO\nNew\tB-location\nTown\tI-location\n{gap}\nhi\tO\n\n"
    files = {
        "tiny_shakespeare/input.txt": "MARY:\nThe café is shut.\n".encode() * 40,
        "tatoeba_nl_en/nld-eng.zip": _zip(nld_dot_txt="".join(f"{a}\t{b}\tCC-BY 2.0\n" for a, b in pairs)),
        "wnut17/wnut17train.conll": tagged.format(gap="\t").encode(),
        "wnut17/emerging.dev.conll": tagged.format(gap="").encode(),
        "wnut17/emerging.test.annotated": tagged.format(gap="").encode(),
        "rt_polarity/sentence_polarity.zip": _zip(
            **{
                "sentence_polarity__rt-polarity_dot_neg": "".join(f"film {n} is a bore . \n" for n in range(60)),
                "sentence_polarity__rt-polarity_dot_pos": "".join(f"film {n} \x97 what fun ! \n" for n in range(60)),
            }
        ),
    }
    for part in ("train", "val", "test_2016_flickr"):
        files[f"multi30k/{part}.en.gz"] = gzip.compress(f"A red hat, {part}.\nTwo hats.\n".encode())
        files[f"multi30k/{part}.de.gz"] = gzip.compress(f"Ein roter Hut, {part}.\nZwei Hüte.\n".encode())
    return files


class Handler(BaseHTTPRequestHandler):
    """Serves ``server.files``; ``server.mode`` says what goes wrong."""

    def do_GET(self) -> None:
        mode, body = self.server.mode, self.server.files.get(self.path.lstrip("/"))
        self.server.requests.append(self.path)
        if mode.isdigit() or body is None:
            self.send_error(int(mode) if mode.isdigit() else 404)
            return
        if mode == "silent":
            time.sleep(0.5)
            return
        if mode == "other file":
            body = bytes(reversed(body))
        self.send_response(200)
        if mode != "cut short without a length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if mode.startswith("cut short") else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=["small files", "real files"])
def server(request, monkeypatch, tmp_path):
    """A server with all files, and an empty cache that is told to fetch from it."""
    if request.param == "real files":
        if not all((DATA / path).is_file() for path in ALL_FILES):
            pytest.skip("LMCORE_DATA names no folder with the downloaded corpora")
        files = {path: (DATA / path).read_bytes() for path in ALL_FILES}
    else:
        files = _small_files()
        for name in DOWNLOADED:
            source = sources.SOURCES[name]
            pinned = tuple(replace(f, sha256=hashlib.sha256(files[f.path]).hexdigest()) for f in source.files)
            monkeypatch.setitem(sources.SOURCES, name, replace(source, files=pinned))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.files, http.mode, http.requests, http.real = files, "well", [], request.param == "real files"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("LMCORE_DATA", str(tmp_path / "cache"))
        monkeypatch.setenv("LMCORE_MIRROR", f"http://127.0.0.1:{http.server_address[1]}/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield http
        http.shutdown()
        thread.join()


def _tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", DOWNLOADED)
def test_download_once_then_offline(server, name, monkeypatch, capfd):
    assert not corpora.available(name)
    first = corpora.load(name)
    assert corpora.available(name)
    cache = downloads.folder()
    assert _files(cache) == {file.path for file in corpora.about(name).files}
    assert all((cache / path).read_bytes() == server.files[path] for path in _files(cache))
    assert len(server.requests) == len(corpora.about(name).files)
    before = {path: os.stat(cache / path).st_mtime_ns for path in _tree(cache)}
    monkeypatch.setenv("LMCORE_MIRROR", "http://127.0.0.1:9")
    assert corpora.load(name) == first
    assert {path: os.stat(cache / path).st_mtime_ns for path in _tree(cache)} == before
    assert corpora.used()[name] == corpora.sha256(name)
    assert capfd.readouterr() == ("", "")


BROKEN = {
    "404": "answered 404 Not Found",
    "503": "answered 503 Service Unavailable",
    "other file": "another checksum",
    "cut short": "broke off",
    "cut short without a length": "another checksum",
    "silent": "sent nothing",
}


@pytest.mark.parametrize("mode", BROKEN)
@pytest.mark.parametrize("name", ["tiny_shakespeare", "multi30k"])
def test_a_broken_download_is_one_clear_error_and_leaves_nothing(server, mode, name, monkeypatch, capfd):
    server.mode = mode
    monkeypatch.setattr(downloads, "TIMEOUT", 0.2)
    with pytest.raises(downloads.DownloadError) as caught:
        corpora.load(name)
    _says_what_to_do(str(caught.value), corpora.about(name).files[0], BROKEN[mode])
    assert isinstance(caught.value, FileNotFoundError)
    assert not downloads.folder().exists()
    assert capfd.readouterr() == ("", "")
    server.mode = "well"
    corpora.load(name)


def _says_what_to_do(message: str, file: downloads.Pinned, happened: str) -> None:
    assert happened in message
    assert downloads.address(file) in message
    assert str(downloads.folder() / file.path) in message
    assert "\n" not in message


def test_no_network(server, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("LMCORE_MIRROR", f"http://127.0.0.1:{closed.getsockname()[1]}")
        for name in DOWNLOADED:
            with pytest.raises(downloads.DownloadError) as caught:
                corpora.load(name)
            _says_what_to_do(str(caught.value), corpora.about(name).files[0], "no connection")
    assert not downloads.folder().exists()


def test_no_such_host(server, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.delenv("LMCORE_MIRROR")
    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.upper(), raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    file = corpora.about("wnut17").files[0]
    with pytest.raises(downloads.DownloadError) as caught:
        corpora.wnut17()
    assert file.url in str(caught.value)
    _says_what_to_do(str(caught.value), file, "no connection")


def test_what_arrived_whole_stays_when_a_later_file_fails(server):
    files = corpora.about("wnut17").files
    missing = server.files.pop(files[2].path)
    with pytest.raises(downloads.DownloadError, match=re.escape(files[2].path)):
        corpora.wnut17()
    assert _files(downloads.folder()) == {files[0].path, files[1].path}
    server.files[files[2].path] = missing
    server.requests.clear()
    corpora.wnut17()
    assert server.requests == [f"/{files[2].path}"]


def test_a_wrong_file_in_the_cache_is_reported_and_left_alone(server):
    (file,) = corpora.about("tiny_shakespeare").files
    path = downloads.folder() / file.path
    path.parent.mkdir(parents=True)
    path.write_text("something else")
    assert not corpora.available("tiny_shakespeare")
    with pytest.raises(downloads.DownloadError) as caught:
        corpora.load("tiny_shakespeare")
    for part in (str(path), file.sha256, hashlib.sha256(b"something else").hexdigest(), "delete or move"):
        assert part in str(caught.value)
    assert path.read_text() == "something else"
    assert server.requests == []
    path.unlink()
    corpora.load("tiny_shakespeare")


def test_a_folder_in_the_way(server):
    path = downloads.folder() / corpora.about("tiny_shakespeare").files[0].path
    path.mkdir(parents=True)
    with pytest.raises(downloads.DownloadError, match="in the way"):
        corpora.load("tiny_shakespeare")


def test_a_cache_that_cannot_be_written_to(server, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("LMCORE_DATA", str(tmp_path / "file"))
    with pytest.raises(downloads.DownloadError, match="cannot be written to"):
        corpora.load("tiny_shakespeare")
    assert (tmp_path / "file").read_text() == "not a folder"


def test_interrupting_leaves_nothing(server, monkeypatch):
    import pooch

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pooch.core, "hash_matches", interrupt)
    with pytest.raises(KeyboardInterrupt):
        corpora.load("tiny_shakespeare")
    assert _files(downloads.folder()) == set()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_on_a_terminal_only(server, monkeypatch, terminal):
    import pooch

    seen = []
    real = pooch.HTTPDownloader

    def spy(*, progressbar: bool, **options: object) -> object:
        seen.append(progressbar)
        return real(progressbar=False, **options)

    monkeypatch.setattr(pooch, "HTTPDownloader", spy)
    monkeypatch.setattr(downloads, "sys", SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: terminal)))
    corpora.load("tiny_shakespeare")
    assert seen == [terminal]


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
    assert _files(downloads.folder()) == set(ALL_FILES)


def test_command_exits_with_a_status(tmp_path):
    env = {**os.environ, "LMCORE_DATA": str(tmp_path / "cache"), "LMCORE_MIRROR": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-m", "lmcore.corpora", "tatoeba"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("tatoeba: could not fetch")
    assert _tree(tmp_path) == []


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


def _parts(corpus):
    return corpus.train, corpus.valid, corpus.test


def _sizes(corpus, combine=list):
    return combine(len(part) for part in _parts(corpus))


def _plain(sentence: str) -> str:
    return " ".join(re.findall(r"\w+", sentence.casefold()))


SENTENCES = st.text("ab .!", max_size=4)


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
        assert re.fullmatch(r"https://raw\.githubusercontent\.com/[\w.-]+/[\w.-]+/[0-9a-f]{40}/[\w./-]+", file.url)
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert all(source.title and source.licence and source.origin for source in sources.SOURCES.values())
    assert set(sources.SOURCES) == set(corpora.READERS)


def test_the_cache_is_the_platforms_unless_named(monkeypatch, tmp_path):
    import pooch

    monkeypatch.setenv("LMCORE_DATA", str(tmp_path))
    assert downloads.folder() == tmp_path
    monkeypatch.setenv("LMCORE_DATA", "~/corpora")
    assert downloads.folder() == Path.home() / "corpora"
    monkeypatch.delenv("LMCORE_DATA")
    assert downloads.folder() == Path(pooch.os_cache("lmcore"))


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
