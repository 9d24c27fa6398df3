"""Every attack of ``tests/attacks``, for real: it scores nothing, leaves nothing, and costs nobody anything.

Each notebook holds several attacks and one honest answer, among the notebooks of honest students; ``tests.hostile`` grades them
the way a class is graded, two at a time.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from exercises.grader import isolation
from tests import elsewhere, hostile
from tests.hostile import Attack, Graded, attacks

KNOWN = {  # what was tried on other graders and scored there, or did harm (shared/design/design.md)
    "reading hidden tests": "The hidden cases in memory",
    "patching allclose": "The comparison patched",
    "patching __eq__": "The comparison patched when a cell runs",
    "patching the framework": "The check's own comparison patched",
    "the caller's frame": "The expected value from the callers' frames",
    "the solution from disk": "The solution read from disk",
    "overwriting results": "The results overwritten",
    "a pickle": "An object that runs code when it is unpickled",
    "a lying tensor": "A tensor that calls itself equal",
    "sys.exit": "The worker left in an orderly way",
    "os._exit": "The worker left in a hurry",
    "an endless loop": "A loop without an end",
    "4 GiB": "Four gigabytes of memory",
    "a fork bomb": "Processes that start processes",
    "the network": "The world outside",
    "deleting files": "Everything deleted",
    "a daemon": "A daemon left behind",
    "150 MB of output": "A hundred and fifty megabytes of output",
}


def test_every_known_attack_is_among_them():
    titles = [attack.title for attack in attacks()]
    assert set(KNOWN.values()) <= set(titles)
    assert len(set(titles)) == len(titles) > 100
    for attack in attacks():
        assert attack.code.strip()
        assert attack.says or attack.family == "cells", attack.title


def test_an_attack_that_succeeds_would_be_seen():
    """The judge of all that follows."""
    how = isolation.TRUST
    right = [Attack("values", "No attack", "It is right.", hostile.ANSWER)]
    leak = "def normalise(x):\n    raise ValueError(31337)\n"
    wrong = hostile.grade(
        how, [*right, Attack("leaks", "Shown", "", leak), Attack("ready", "Seen", "Flagged for a person.", leak)]
    )
    assert any("No attack: scored 10" in line for line in wrong.wrong)
    assert any("a hidden input is shown" in line for line in wrong.wrong)
    assert any("Seen: is not flagged" in line for line in wrong.wrong)


def in_bubblewrap() -> Graded:
    try:
        how = isolation.choose()
    except isolation.IsolationError as error:
        pytest.skip(str(error))
    return hostile.grade(how, attacks())


def test_attacks_in_bubblewrap():
    graded = in_bubblewrap()
    assert graded.wrong == []
    assert graded.reached == 0  # nobody outside was called
    for record in graded.honest:
        assert [(q.points, q.hint, q.notes) for q in record.questions] == [(q.possible, "", ()) for q in record.questions]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a submission a user of its own")
@pytest.mark.skipif(sys.platform != "linux", reason="isolation needs Linux")
def test_attacks_in_a_container():
    """Where namespaces are forbidden: a submission sees more of the machine, and scores nothing by it."""
    graded = hostile.grade(isolation.USER, attacks())
    assert graded.wrong == []
    said = " ".join(isolation.USER.weaker)
    for weaker in ("Every file that all users", "Disk space", "processes are visible", "tell each other"):
        assert weaker in said
    assert graded.reached == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="the tests above ran as an ordinary user already")
def test_attacks_in_bubblewrap_as_an_ordinary_user():
    """Those that concern what bubblewrap itself shuts in."""
    folder = Path(tempfile.mkdtemp(prefix="ordinary-"))
    try:
        elsewhere.copy(folder, private=False)
        shutil.copytree(hostile.ATTACKS, folder / "tests" / "attacks")
        shutil.copy(hostile.__file__, folder / "tests")
        command = [elsewhere.python(folder), "-m", "tests.hostile", "bubblewrap", "--family", "files", "--family", "secrets"]
        done = elsewhere.run(folder, elsewhere.as_user(command))
        if "bubblewrap is" in done.stderr:
            pytest.skip(done.stderr.strip().splitlines()[-1])
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        assert (found["wrong"], found["reached"]) == ([], 0)
        assert found["attacks"] > 20
    finally:
        shutil.rmtree(folder)
