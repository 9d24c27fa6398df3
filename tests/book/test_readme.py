"""The README's commands do what it shows: each ``$ command`` of a console block is run and its output compared.

``...`` in the output shown matches anything.
"""

import doctest
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SAME = doctest.OutputChecker()
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def commands() -> list[tuple[str, str]]:
    """Every command of a console block with the output shown below it."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```", README, re.M | re.S):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


@pytest.mark.book
@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(("command", "shown"), commands(), ids=[c for c, _ in commands()])
def test_command_prints_what_the_readme_shows(command: str, shown: str) -> None:
    # The reader's shell, not pytest's: no variable that pytest or make has set may make a command work.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "MAKE", "MFLAGS"))}
    done = subprocess.run(
        command,
        shell=True,
        cwd=ROOT,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert SAME.check_output(shown, done.stdout, FLAGS), f"shown:\n{shown}\nprinted:\n{done.stdout}"


def test_there_are_commands_to_run() -> None:
    assert len(commands()) >= 5


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"`make ([a-z]+)", README)) | set(re.findall(r"^(?:\$ )?make ([a-z]+)", README, re.M))
    assert named
    assert named <= targets, named - targets


def test_pictures_and_links_lead_somewhere() -> None:
    local = [p for p in re.findall(r"\]\(([^)#]+)\)|src(?:set)?=\"([^\"]+)\"", README) for p in p if p and "://" not in p]
    assert local
    assert [p for p in local if not (ROOT / p).exists()] == []
