"""Whatever a user has left on the machine is removed, and nothing else."""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from exercises.grader import remains

UID = 61_181

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root on Linux removes what another user has left"
)


@pytest.fixture
def here(monkeypatch):
    """A folder in which everybody may write, not below one of pytest's, which are closed."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    monkeypatch.setattr(remains, "places", lambda: (str(folder), "/no/such/place"))
    yield folder
    shutil.rmtree(folder)


def leave(here, code):
    """Run ``code`` as another user."""
    ids = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
    subprocess.run([*ids, sys.executable, "-S", "-c", f"import os; os.chdir({str(here)!r})\n{code}"], check=True)


def test_files_folders_and_links_go(here):
    (here / "ours").write_text("stays")
    (here / "ours too").mkdir()
    leave(
        here,
        """
import socket
for name in (".hidden", "new\\nline", "-rf", "é", "..."):
    open(name, "w").close()
os.symlink(os.path.abspath("ours too"), "link")
os.symlink("nowhere", "broken")
os.mkfifo("pipe")
socket.socket(socket.AF_UNIX).bind("socket")
os.makedirs("a/b/c")
open("a/b/file", "w").close()
os.symlink("/", "a/b/root")
os.chmod("a/b/c", 0)
os.chmod("a/b", 0)
""",
    )
    assert len(list(here.iterdir())) == 12
    remains.remove(UID)
    assert {path.name for path in here.iterdir()} == {"ours", "ours too"}


def test_folders_in_folders_beyond_the_length_of_a_path(here):
    leave(here, "for _ in range(200):\n    os.mkdir('d' * 200)\n    os.chdir('d' * 200)")
    remains.remove(UID)
    assert not list(here.iterdir())


def test_what_others_own_stays_where_it_is(here):
    (here / "ours").mkdir()
    (here / "ours" / "file").touch()
    leave(here, "os.makedirs('theirs/a')")
    (here / "theirs" / "a" / "of another").touch()  # in their folder: it goes with it
    remains.remove(UID + 1)
    assert (here / "theirs" / "a" / "of another").exists()
    remains.remove(UID)
    assert [path.name for path in here.iterdir()] == ["ours"]
    assert (here / "ours" / "file").exists()


def test_memory_that_outlives_its_process_goes(here):
    key = 31_000_000 + os.getpid()
    library = ctypes.CDLL(None)
    leave(
        here,
        f"import ctypes\nl = ctypes.CDLL(None)\nl.shmget({key}, 9, 950)\nl.semget({key}, 1, 950)\nl.msgget({key}, 950)",
    )
    assert all(remains._ipc(kind, UID) for kind in remains.KINDS)
    remains.remove(UID)
    assert not any(remains._ipc(kind, UID) for kind in remains.KINDS)
    assert library.shmget(key, 4096, 0) == -1


def test_places_where_everybody_may_write(tmp_path):
    for name in ("a", "a/all", "a/all/inner", "b", "new\nline"):
        (tmp_path / name).mkdir()
    for name in ("a/all", "a/all/inner", "new\nline"):
        (tmp_path / name).chmod(0o1777)
    (tmp_path / "b" / "link").symlink_to(tmp_path / "a" / "all")
    assert remains.places(str(tmp_path)) == tuple(str(tmp_path / name) for name in ("a/all", "a/all/inner", "new\nline"))


def test_what_goes_meanwhile_keeps_nothing_else_here(here, monkeypatch):
    """A submission that runs beside this one makes and removes files all the time, and fills folders that it holds open."""
    leave(here, "os.makedirs('a/b')\nos.makedirs('c')\nfor name in ('x', 'z', 'a/f', 'c/f'): open(name, 'w').close()")
    (here / "gone").touch()
    held = os.open(here / "c", os.O_DIRECTORY)
    scan = os.scandir

    def meanwhile(folder):
        entries = list(scan(folder))
        (here / "gone").unlink(missing_ok=True)
        if {entry.name for entry in entries} == {"f"} and not os.path.exists(f"/proc/self/fd/{held}/more"):
            os.close(os.open("more", os.O_CREAT | os.O_WRONLY, dir_fd=held))
        return entries

    monkeypatch.setattr(os, "scandir", meanwhile)
    remains.remove(UID)
    monkeypatch.setattr(os, "scandir", scan)
    (heap,) = here.iterdir()
    assert heap.stat().st_mode & 0o777 == 0o700
    os.close(held)
    heap.rename(here / f".lmcore-{2**22 + 1}-{UID}")  # of a process that is gone
    remains.remove(UID + 1)
    assert not list(here.iterdir())
