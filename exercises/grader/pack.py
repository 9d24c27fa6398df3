"""What a class is handed: ``python -m exercises.grader.pack FOLDER [CHAPTER ...]``.

For each chapter a folder with ``exercises.md`` and ``exercises.ipynb`` (the same notebook twice) and ``cases.json``: public
inputs, expected outputs, and what each known mistake outputs with its hint. No answer's source is in it, nor anything to run.
"""

import argparse
import io
import json
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import exercises
from exercises.grader import notebook
from lmcore.check import notebook as notebooks
from lmcore.check import sources

FILES = ("cases.json", "exercises.ipynb", "exercises.md")


def pack(chapter: str, folder: Path) -> Path:
    """Write the pack of one chapter to ``folder / chapter``; files of an earlier pack are replaced, others left alone.

    Raises:
        ValueError: there is no such chapter, its notebook does not agree with its bank, or an answer's code would be in it.
        FileExistsError: ``folder`` or the pack's place in it is a file.
    """
    bank = exercises.bank(chapter)
    if problems := notebook.problems(chapter):
        raise ValueError(f"{chapter} cannot be packed: {problems[0]}")
    target = folder / chapter
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".packing-", dir=folder) as temporary:
        draft = Path(temporary)
        text = draft / notebook.path(chapter).name
        text.write_text(_alone(notebook.path(chapter).read_text(encoding="utf-8")), encoding="utf-8")
        ipynb = json.dumps(notebooks.read(text).to_ipynb(), indent=1, ensure_ascii=False)
        (draft / "exercises.ipynb").write_text(ipynb + "\n", encoding="utf-8")
        questions = [exercises.public_questions(exercise.name)[exercise.name] for exercise in bank]
        sources.write(questions, draft / sources.FILE)
        texts = [path.read_text(encoding="utf-8") for path in draft.iterdir()]
        for exercise in bank:
            if found := notebook.leaks(exercise, [*texts, *_strings(texts)]):
                raise ValueError(f"{chapter} cannot be packed: {found[0]}")
        for path in sorted(draft.iterdir()):
            os.replace(path, target / path.name)
    return target


def replace(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file under another name first, then put it in its place: nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def archive(files: Mapping[str, bytes], programs: Collection[str] = ()) -> bytes:
    """A zip of ``files``, by their names in it; the same files give the same bytes. ``programs`` may be executed."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)  # its date is the first that a zip can hold
            entry.create_system, entry.compress_type = 3, zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100755 if name in programs else 0o100644) << 16
            target.writestr(entry, files[name])
    return stream.getvalue()


def _alone(text: str) -> str:
    """A notebook whose links to pages beside it are plain words: a student has none of these pages."""
    return re.sub(r"\[([^\]\n]+)\]\(\.\./[^)\s]+\)", r"\1", text)


def _strings(texts: Sequence[str]) -> list[str]:
    """Every string inside the JSON files among ``texts``, as it reads when it is decoded."""

    def strings(node: object) -> list[str]:
        if isinstance(node, str):
            return [node]
        items = [*node.keys(), *node.values()] if isinstance(node, dict) else node if isinstance(node, list) else []
        return [text for item in items for text in strings(item)]

    return ["\n".join(strings(json.loads(text))) for text in texts if text.startswith("{")]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m exercises.grader.pack", description="Write packs for students, without answers."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to write; made if it is not there")
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help="default: all")
    chosen = parser.parse_args(arguments)
    try:
        for chapter in chosen.chapters or exercises.chapters():
            print(f"{pack(chapter, chosen.folder)}: {', '.join(exercise.name for exercise in exercises.bank(chapter))}")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
