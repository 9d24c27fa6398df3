"""Which isolation is chosen, that a sandbox shows nothing it should not, and that all of it works as root and as anybody."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exercises.grader import isolation, launch, staging, users
from exercises.grader.box import calls
from exercises.grader.isolation import IsolationError, choose
from lmcore.check.run import PROBES, probe_named
from tests import elsewhere
from tests.test_grading_sandbox import BUBBLEWRAP, needs_bubblewrap, question, run

LINUX = sys.platform == "linux"


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_without_bubblewrap_the_install_line_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(IsolationError, match=re.escape("sudo apt-get install bubblewrap")):
        choose()


def test_where_namespaces_are_forbidden_it_says_so_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "bwrap", "echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    program(tmp_path, "setpriv", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for uid, asked in ((0, "--container"), (1000, "--trust")):
        monkeypatch.setattr(os, "geteuid", lambda uid=uid: uid)
        monkeypatch.setattr(os, "chown", lambda *_: None)
        monkeypatch.setattr(isolation, "RESTRICTED", tmp_path / "none")
        with pytest.raises(IsolationError) as caught:
            choose()
        assert "No permissions to create new namespace" in str(caught.value)
        assert asked in str(caught.value)
        assert ("--container" in str(caught.value)) == (uid == 0)
        assert "apt-get" not in str(caught.value)


@pytest.mark.parametrize(("said", "uid", "named"), [("1\n", 1000, True), ("1\n", 0, False), ("0\n", 1000, False)])
def test_where_apparmor_forbids_namespaces_the_setting_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, uid: int, named: bool
) -> None:
    program(tmp_path, "bwrap", "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1")
    program(tmp_path, "setpriv", "exit 0")
    (tmp_path / "restricted").write_text(said)
    monkeypatch.setattr(isolation, "RESTRICTED", tmp_path / "restricted")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    with pytest.raises(IsolationError, match="setting up uid map") as caught:
        choose()
    assert ("sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0" in str(caught.value)) == named
    assert ("--trust" in str(caught.value)) != named


def test_an_old_bubblewrap_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "bwrap", "echo 'bwrap: Unknown option --size' >&2; exit 1")
    program(tmp_path, "setpriv", "exit 0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(IsolationError, match="too old"):
        choose()


@pytest.mark.skipif(not LINUX, reason="isolation needs Linux")
@needs_bubblewrap
def test_where_system_calls_cannot_be_refused_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another kind of processor, or a kernel that was built without."""
    monkeypatch.setattr(calls, "REFUSED", {})
    assert not calls.refuse()
    monkeypatch.setattr(isolation, "WORKS", "import sys; sys.exit(sys.argv[2])")
    with pytest.raises(IsolationError, match=r"cannot be isolated here: .*seccomp.* --trust"):
        choose()


def test_other_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IsolationError, match="exclude each other"):
        choose(trust=True, container=True)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(IsolationError, match="root"):
        choose(container=True)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(IsolationError, match="--trust"):
        choose()
    assert choose(trust=True).weaker


@pytest.mark.skipif(os.geteuid() != 0 or not LINUX, reason="a user of its own for a sandbox is what root can give")
def test_a_container_whose_bank_everybody_can_read_is_refused(tmp_path: Path) -> None:
    open_to_all = Path(tempfile.mkdtemp(prefix="test-lmcore-"))
    try:
        open_to_all.chmod(0o755)
        assert launch.readable(open_to_all)
        with pytest.raises(IsolationError, match=f"chmod -R go-rwx .*{open_to_all}"):
            choose(container=True, private=[open_to_all])
        inside = open_to_all / "bank"
        inside.mkdir(mode=0o755)
        open_to_all.chmod(0o700)
        assert not launch.readable(inside)
    finally:
        shutil.rmtree(open_to_all)


LOOK = """
import json, os, socket, sys

def looked(x):
    seen = {}
    seen["ids"] = [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()]
    status = open("/proc/self/status").read()
    seen["status"] = {line.split(":")[0]: line.split(":")[1].strip() for line in status.splitlines()}
    seen["descriptors"] = [os.readlink(f"/proc/self/fd/{n}") for n in range(1, 200) if os.path.lexists(f"/proc/self/fd/{n}")]
    seen["stdin"] = os.readlink("/proc/self/fd/0")
    seen["environment"] = dict(os.environ)
    seen["folders"] = {name: sorted(os.listdir(name)) for name in ("/", "/course", "/course/lmcore", "/tmp")}
    seen["processes"] = [n for n in os.listdir("/proc") if n.isdigit()]
    seen["there"] = [path for path in x if os.path.lexists(path)]
    seen["argv"] = sys.argv
    writable = []
    for folder, _, _ in os.walk("/", topdown=True):
        if folder.startswith("/proc/") and folder.count("/") > 2:
            continue
        if os.access(folder, os.W_OK):
            writable.append(folder)
    seen["writable"] = [folder for folder in writable if not folder.startswith("/proc/")]
    return json.dumps(seen)

def modules(x):
    found = []
    for name in x:
        try:
            __import__(name)
            found.append(name)
        except ImportError:
            pass
    return found

def connects(x):
    with socket.create_connection(("127.0.0.1", x), timeout=2):
        return True

def fresh(x):
    path = os.path.expanduser("~/left")
    there = os.path.exists(path) or os.path.exists("/dev/shm/left")
    for name in (path, "/dev/shm/left"):
        open(name, "w").close()
    return there

def disk(x):
    try:
        for number in range(40):
            with open(f"{x}/{number}", "wb") as file:
                file.write(bytes(16 << 20))
    except OSError:
        pass
    return sum(os.path.getsize(f"{x}/{name}") for name in os.listdir(x))
"""
READY = ["transformers", "tokenizers", "tiktoken", "sacrebleu", "seqeval", "exercises", "tests", "lmcore.attention", "pytest"]
HONEST = [
    "torch",
    "numpy",
    "scipy.special",
    "sklearn.linear_model",
    "matplotlib.pyplot",
    "regex",
    "tqdm",
    "ipywidgets",
    "IPython",
]


@pytest.fixture(scope="module")
def inside() -> dict[str, Any]:
    """What code sees in bubblewrap, and what it can do there."""
    if BUBBLEWRAP is None:
        pytest.skip("bubblewrap cannot make a sandbox here")
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept(), daemon=True).start()
        places = [
            str(elsewhere.ROOT),
            os.path.expanduser("~"),
            "/etc/passwd",
            "/bin/sh",
            "/var",
            "/root",
            "/sys",
            sys.prefix,
            __file__,
        ]
        asked = {
            "looked": places,
            "modules": [*READY, *HONEST],
            "connects": server.getsockname()[1],
            "disk": "/tmp",
        }
        questions = [question(name, value, seconds=30.0) for name, value in asked.items()]
        questions += [question("fresh", 0), question("disk", "/dev/shm", seconds=30.0)]
        runs = run([LOOK], *questions)
    answers = [one.answers[0] for one in runs]
    found = {question.name: answer for question, answer in zip(questions[:-1], answers[:-1], strict=True)}
    return {**found, "shared": answers[-1], "seen": json.loads(found["looked"].value), "notes": runs[0].notes}


def test_no_rights_and_a_user_of_its_own(inside: dict[str, Any]) -> None:
    seen = inside["seen"]
    if os.geteuid() == 0:
        assert set(seen["ids"][:3]) <= set(range(users.FIRST, users.FIRST + users.MANY))
        assert seen["ids"][3] == []
    assert {seen["status"][f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert seen["status"]["NoNewPrivs"] == "1"


def test_nothing_is_inherited(inside: dict[str, Any]) -> None:
    seen = inside["seen"]
    assert seen["stdin"] == "/dev/null"
    kinds = sorted(re.sub(r"\d+", "N", each) for each in seen["descriptors"])
    assert kinds == ["/dev/null", "/dev/null", "socket:[N]"], kinds
    assert set(seen["environment"]) == set(launch.environment("bubblewrap", launch.Place(None, None))) | {
        "PWD",
        "LC_CTYPE",
    } & set(seen["environment"])
    assert seen["argv"] == [""]
    assert seen["status"]["Threads"] == "2", "its own and that of the time limit"


def test_nothing_of_the_machine_is_there(inside: dict[str, Any]) -> None:
    seen = inside["seen"]
    assert seen["there"] == []
    assert seen["folders"]["/tmp"] == []
    assert set(seen["folders"]["/"]) <= {
        *("bin", "course", "dev", "etc", "student", "packages", "proc", "python", "tmp", "usr")
    } | {*("lib", "lib32", "lib64")}
    assert seen["folders"]["/course"] == ["box", "lmcore"]
    assert seen["folders"]["/course/lmcore"] == ["__init__.py", "check"]
    assert set(seen["writable"]) <= {"/tmp", "/student", "/dev/shm", "/dev/pts", "/proc"}
    assert len(seen["processes"]) < 8


def test_what_may_be_imported(inside: dict[str, Any]) -> None:
    assert inside["modules"].value == HONEST


def test_no_network_and_no_room_without_end(inside: dict[str, Any]) -> None:
    assert (inside["connects"].status, inside["connects"].error) == ("raised", "PermissionError")
    for place in ("disk", "shared"):
        assert 16 << 20 <= inside[place].value <= 64 << 20


@needs_bubblewrap
def test_one_submission_leaves_nothing_for_the_next() -> None:
    for _ in range(2):
        (one,) = run([LOOK], question("fresh", 0))
        assert one.answers[0].value is False


@pytest.mark.parametrize("probe", PROBES)
def test_what_is_staged_is_what_a_probe_imports(probe: str) -> None:
    """The files are found by reading; importing the probe in a process that sees them alone proves that none is missing."""
    files = staging.rooms(probe)
    names = {path.relative_to(staging.PACKAGE).parts[0] for path in files}
    assert {"__init__.py", "check"} <= names
    own = {"call", "gradients", "stack", "module", "generator", "stream", "training"}
    assert (names == {"__init__.py", "check"}) == (probe in own), names
    assert callable(probe_named(probe))


def test_every_staged_probe_can_be_imported() -> None:
    groups: dict[frozenset[Path], list[str]] = {}
    for probe in PROBES:
        groups.setdefault(staging.rooms(probe), []).append(PROBES[probe].split(":")[0])
    for files, modules in groups.items():
        folder = staging.stage(files)
        try:
            code = f"import importlib, lmcore\nprint(lmcore)\nfor name in {sorted(set(modules))}: importlib.import_module(name)"
            paths = os.pathsep.join([str(folder), str(elsewhere.PACKAGES)])
            done = subprocess.run(
                [sys.executable, "-P", "-S", "-c", code], env={"PYTHONPATH": paths}, capture_output=True, text=True, check=False
            )
            assert (done.returncode, str(folder) in done.stdout) == (0, True), done.stderr
        finally:
            shutil.rmtree(folder)


def test_a_sandbox_that_is_told_to_end_while_its_files_are_copied_leaves_none(monkeypatch, tmp_path) -> None:
    def ended(*_, **__):
        assert list(tmp_path.glob("*/box"))
        raise SystemExit(1)

    monkeypatch.setattr(staging.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(staging.shutil, "copyfile", ended)
    with pytest.raises(SystemExit):
        staging.stage([])
    assert not list(tmp_path.iterdir())


def test_a_staged_folder_is_for_nobody_else_at_any_time() -> None:
    folder = staging.stage([])
    try:
        assert folder.stat().st_mode & 0o777 == 0o700
        staging.let_in(folder, None)
        assert folder.stat().st_mode & 0o777 == 0o700
        if os.geteuid() == 0:
            staging.let_in(folder, 61_000)
            assert (folder.stat().st_mode & 0o777, folder.stat().st_gid) == (0o750, 61_000)
    finally:
        shutil.rmtree(folder)


def test_packages_are_those_that_lmcore_needs() -> None:
    found = set(staging.packages())
    assert {"torch", "numpy", "scipy", "sklearn", "matplotlib", "IPython", "typing_extensions.py"} <= found
    assert not {"lmcore", "transformers", "tokenizers", "sacrebleu", "seqeval", "pytest", "jupyterlab", "playwright"} & found


def test_two_sandboxes_never_share_a_user() -> None:
    with users.claimed() as first, users.claimed() as second:
        assert first != second
    with users.claimed() as third:
        assert third == first


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not in pytest's own folder, which is for its owner alone."""
    made = Path(tempfile.mkdtemp(prefix="test-lmcore-"))
    yield made
    shutil.rmtree(made)


def passes(done: subprocess.CompletedProcess[str], least: int) -> None:
    found = re.search(r"(\d+) passed", done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert found
    assert int(found[1]) >= least, done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1], done.stdout


PYTEST = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_grading_sandbox.py"]


@pytest.mark.skipif(
    not LINUX or os.geteuid() != 0, reason="every test of this file shows it where they run as an ordinary user"
)
@needs_bubblewrap
def test_it_works_for_an_ordinary_user(folder: Path) -> None:
    elsewhere.copy(folder, private=False)
    command = elsewhere.as_user([elsewhere.python(folder), *PYTEST, "-k", "honest or hostile"])
    passes(elsewhere.run(folder, command, {"LMCORE_TEST_ISOLATION": "bubblewrap"}), 2)


@pytest.mark.skipif(not LINUX or os.geteuid() != 0, reason="a user of its own for a sandbox is what root can give")
def test_it_works_in_a_container(folder: Path) -> None:
    path = elsewhere.python(elsewhere.copy(folder, private=False))
    folder.chmod(0o700)
    passes(elsewhere.run(folder, [path, *PYTEST, "-k", "honest or hostile"], {"LMCORE_TEST_ISOLATION": "user"}), 2)
