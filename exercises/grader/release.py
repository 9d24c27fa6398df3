"""Everything a class needs: ``python -m exercises.grader.release [FOLDER] [CHAPTER ...]``.

``students/``: a pack per chapter (see :mod:`exercises.grader.pack`), the wheel of lmcore, how to start, and all of it as one
zip per chapter. ``instructor/``: solutions and mistakes. ``gradescope/``: an autograder per chapter. The last two are not for
students.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import exercises
from exercises.grader import instructor, pack
from exercises.grader.gradescope import build

README = """How to start

1. Unpack this zip. You need Python 3.11 or newer; say "python --version" in a terminal opened in the unpacked folder.
   Where there is no "python", say "python3" (on Windows "py") here and in step 2.
2. Make a virtual environment:   python -m venv .venv
3. Switch it on:                 source .venv/bin/activate     (on Windows: .venv\\Scripts\\activate)
4. Install what you need:        pip install {wheel} jupyterlab
   This takes a few minutes: PyTorch is large, on Linux several GB.
5. Start:                        jupyter lab
6. Open exercises.ipynb in the folder of your chapter, and leave cases.json beside it: "check" reads it.
7. Write your answers into the empty functions. "check" says what passes and where to look; check as often as you like.
8. Write your name into the last cell, save, run the cell, and hand in the zip that it writes.

The next time, steps 3 and 5 are enough. Unpack the next chapter into the same folder.
"""


@cache
def wheel() -> tuple[str, bytes]:
    """The name and content of lmcore's wheel, built from this checkout without a network; it holds ``lmcore`` alone.

    Raises:
        ValueError: this is not a checkout, or the wheel could not be built.
    """
    checkout = exercises.HERE.parent
    parts = ["pyproject.toml", "README.md", "LICENSE"]
    if missing := [name for name in [*parts, "lmcore"] if not (checkout / name).exists()]:
        raise ValueError(f"a release is made from a checkout of the book; there is no {missing[0]} in {checkout}")
    with tempfile.TemporaryDirectory() as temporary:
        # A copy: setuptools leaves a folder behind where it builds, and takes what an earlier build left there. Without
        # the exercises in it, nothing of them can come into the wheel.
        source = Path(temporary) / "source"
        shutil.copytree(checkout / "lmcore", source / "lmcore", ignore=shutil.ignore_patterns("__pycache__"))
        for name in parts:
            shutil.copyfile(checkout / name, source / name)
        for path in source.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index"]
        command += ["--no-build-isolation", "--wheel-dir", temporary, str(source)]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "315532800"}  # 1980, the first date that a zip can hold
        done = subprocess.run(command, cwd=temporary, env=environment, capture_output=True, text=True)
        built = sorted(Path(temporary).glob("lmcore-*.whl"))
        if done.returncode or not built:
            raise ValueError(f"the wheel of lmcore could not be built: {done.stderr.strip()[-500:]}")
        with zipfile.ZipFile(built[0]) as archive:
            if strange := [name for name in archive.namelist() if not name.startswith(("lmcore/", "lmcore-"))]:
                raise ValueError(f"the wheel of lmcore would hold {strange[0]}, which no student may get")
        return built[0].name, built[0].read_bytes()


def release(folder: Path, chapters: Sequence[str], torch_index: str = "", new_seed: bool = False) -> None:
    """Write students' packs, the instructor's folder and the autograders of ``chapters`` to ``folder``.

    Files of an earlier release are replaced, others left alone.

    Raises:
        ValueError: there is no such chapter or set, or it cannot be packed, or ``torch_index`` is not an address.
        OSError: a file cannot be written.
    """
    for chapter in chapters:  # before anything is written
        exercises.bank(chapter)
    build.check_index(torch_index)
    students, teacher, graders = folder / "students", folder / "instructor", folder / "gradescope"
    name, content = wheel()
    for closed in (teacher, graders):  # other people on a shared machine are students too
        closed.mkdir(parents=True, exist_ok=True)
        closed.chmod(0o700)
    readme = README.format(wheel=name)
    pack.replace(students / "README.txt", readme)
    pack.replace(students / name, content)
    pack.replace(teacher / "README.md", instructor.README + instructor.table(list(chapters)))
    seed = build.seed(graders, new_seed)
    for chapter in chapters:
        written = pack.pack(chapter, students)
        files = {f"{chapter}/{path}": (written / path).read_bytes() for path in pack.FILES}
        files |= {"README.txt": readme.encode(), name: content}
        pack.replace(students / f"{chapter}.zip", pack.archive(files))
        instructor.write(chapter, teacher)
        pack.replace(graders / f"{chapter}.zip", build.autograder(chapter, content, seed, torch_index), mode=0o600)
        print(f"{chapter}: {', '.join(exercise.name for exercise in exercises.bank(chapter))}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m exercises.grader.release",
        description="Write packs for students, a folder for the instructor, and autograders for Gradescope.",
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path("_build/release"), help="default: _build/release")
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help="default: all, or none beside --private")
    parser.add_argument("--private", action="append", default=[], metavar="FOLDER", help="a set of your own; may be repeated")
    where = "where autograders get torch from: PyTorch's address of builds without a GPU saves several GB (default: pip's own)"
    parser.add_argument("--torch-index", metavar="URL", default="", help=where)
    parser.add_argument("--new-seed", action="store_true", help="draw other hidden cases for Gradescope than the last time")
    chosen = parser.parse_args(arguments)
    try:
        if not chosen.chapters and str(chosen.folder) in exercises.chapters():
            raise ValueError(f"name the folder before the chapter: _build/release {chosen.folder}")
        private = [exercises.register(folder) for folder in chosen.private]
        chapters = list(dict.fromkeys([*chosen.chapters, *private])) or exercises.chapters()
        release(chosen.folder, chapters, chosen.torch_index, chosen.new_seed)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"Hand out {chosen.folder / 'students'}; {chosen.folder / 'instructor' / 'README.md'} says how to grade.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
