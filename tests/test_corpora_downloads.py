"""One file from one address: what a failure says, and what it leaves behind."""

import hashlib
import re
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from lmcore import corpora
from lmcore.corpora import downloads
from tests.serving import DOWNLOADED, files_in, serving


@pytest.fixture(params=["small files", "real files"])
def server(request, monkeypatch, tmp_path):
    with serving(request.param, monkeypatch, tmp_path / "cache") as http:
        yield http


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
    assert all((downloads.folder() / path).stat().st_mode & 0o777 == 0o644 for path in files_in(downloads.folder()))


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
    assert files_in(downloads.folder()) == {files[0].path, files[1].path}
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
    assert files_in(downloads.folder()) == set()


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


def test_the_cache_is_the_platforms_unless_named(monkeypatch, tmp_path):
    import pooch

    monkeypatch.setenv("LMCORE_DATA", str(tmp_path))
    assert downloads.folder() == tmp_path
    monkeypatch.setenv("LMCORE_DATA", "~/corpora")
    assert downloads.folder() == Path.home() / "corpora"
    monkeypatch.delenv("LMCORE_DATA")
    assert downloads.folder() == Path(pooch.os_cache("lmcore"))
