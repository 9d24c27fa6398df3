"""A small class for tests of grading: two questions, a handful of submissions with what each must get."""

import functools
import inspect
import io
import json
import zipfile

import exercises
from exercises.grader import notebook
from lmcore.check import notebook as notebooks

CHAPTER = "ch02_tokens"
NAMES = ("count_pairs", "merge_pair")
WORTH = {name: exercises.get(name).points for name in NAMES}


def right(name):
    """The reference as a student hands it in."""
    return exercises.solution(name)


def wrong(name, mistake):
    """A known mistake under the name of the question."""
    function = next(one for one in exercises.get(name).wrong if one.__name__ == mistake)
    imports = "from itertools import pairwise\n\n"
    return imports + inspect.getsource(function).replace(f"def {mistake}(", f"def {name}(")


def body(name, *lines):
    """A function with the question's parameters and these lines."""
    head = f"def {name}({', '.join(exercises.get(name).parameters)}):"
    return "\n".join([head, *(f"    {line}" for line in lines)])


ENDS = ("import os", "os._exit(0)")
# Who hands in what for the two questions (nothing: the stub), and the status each must get.
CLASS = {
    "Ada Lovelace": ((right("count_pairs"), right("merge_pair")), ("passed", "passed")),
    "Grace Hopper": ((wrong("count_pairs", "ignores_frequency"), right("merge_pair")), ("partly", "passed")),
    "Alan Turing": ((body("count_pairs", *ENDS), right("merge_pair")), ("crashed", "passed")),
    "Emmy Noether": ((right("count_pairs"), None), ("passed", "unwritten")),
    "Zoë Ünal": (("count_pairs = 3", body("merge_pair", "raise KeyError(str(words))")), ("missing", "failed")),
}


@functools.cache
def _text(path):
    return json.dumps(notebooks.read(path).to_ipynb())


def ipynb(path=None, **answers):
    """The notebook at ``path`` (of the chapter) with these sources in the cells of their questions, as a file's text."""
    content = json.loads(_text(path or notebook.path(CHAPTER)))
    for cell in content["cells"]:
        if source := answers.get(cell["metadata"].get("exercise")):
            cell["source"] = source
    return json.dumps(content)


def packed(student, text):
    """What ``pack_submission`` writes."""
    stream = io.BytesIO()
    about = {"format": 1, "chapter": CHAPTER, "edition": exercises.EDITION, "student": student, "notebook": "exercises.ipynb"}
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("submission.json"), json.dumps(about))
        archive.writestr(zipfile.ZipInfo("notebook.ipynb"), text)
    return stream.getvalue()


def hand_in(folder, student, *answers):
    """Write one submission; ``answers`` in the order of :data:`NAMES`."""
    path = folder / f"{student.lower().replace(' ', '-')}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed(student, ipynb(**dict(zip(NAMES, answers, strict=True)))))
    return path


def hand_in_all(folder):
    """The whole class."""
    for student, (answers, _) in CLASS.items():
        hand_in(folder, student, *answers)
    return folder
