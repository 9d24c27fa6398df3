"""What a person is told to look at: every road round the grader, and no honest answer."""

import re
import time

import pytest

import exercises
from exercises.grader import grading, notebook, scan
from exercises.grader.apart import apart
from exercises.grader.source import standalone
from lmcore.check import notebook as notebooks
from tests import hostile

READY = ("torch.nn.functional.layer_norm", "torch.nn.LSTMCell.forward", "torch.masked.mean", "lmcore", "seqeval")


def flags(*cells):
    return scan.flags(cells, "f", READY)


def test_a_flag_can_be_written_to_a_file():
    """A literal may hold half a character, which no file takes."""
    ((line,),) = grading._flags(["import os\nf = getattr(os, '\\ud800x')"], [exercises.get("count_pairs").question(1)])
    assert "uses os.?x" in line.encode().decode()


@pytest.mark.parametrize(
    ("code", "says"),
    {
        "import sys\nsys.setprofile(None)": "cell 1, line 2: uses sys.setprofile",
        "import sys as s\ns.settrace(None)": "line 2: uses sys.settrace",
        "from sys import _getframe as g": "line 1: uses sys._getframe",
        "import gc": "uses gc",
        "import ctypes.util": "uses ctypes.util",
        "from inspect import stack": "uses inspect.stack",
        "import importlib\nimportlib.import_module('a' + 'b')": "uses importlib.import_module",
        "m = __import__('torch')": "uses __import__",
        "exec('1')": "uses exec",
        "run = eval": "uses eval",
        "import torch\ngetattr(torch, 'layer' + '_norm')": "calls getattr on torch with a computed name",
        "import torch\ngetattr(torch.nn, name)": "calls getattr on torch.nn with",
        "import torch\ngetattr(torch, 'ops').aten": "uses torch.ops",
        "from concurrent.futures import ThreadPoolExecutor": "uses concurrent.futures.ThreadPoolExecutor",
        "import _thread": "uses _thread",
        "import os\nos.system('ls')": "uses os.system",
        "from os import fork": "uses os.fork",
        "import socket": "uses socket",
        "import requests as r": "uses requests",
        "open('/proc/self/mem')": "calls open with a path outside",
        "open(name)": "calls open with",
        "p = '/proc/1/environ'": "names /proc/1/environ",
        "from pathlib import Path\nPath('~/.ssh').read_text()": "names ~/.ssh",
        "import torch\ntorch.jit.script(f)": "uses torch.jit.script",
        "import torch\ntorch.compile(f)": "uses torch.compile",
        "from torch import _C": "uses torch._C",
        "import torch\ntorch._VF.lstm": "uses torch._VF",
        "import torch.utils.cpp_extension": "uses torch.utils.cpp_extension",
        "import pickle": "uses pickle",
        "import torch\ntorch.load('f')": "uses torch.load",
        "().__class__.__base__.__subclasses__()": "uses __subclasses__",
        "import builtins": "uses builtins",
        "import torch\ntorch.equal = lambda a, b: True": "changes torch.equal",
        "import torch\ntorch.Tensor.__eq__ = None": "changes torch.Tensor.__eq__",
        "import numpy as np\nsetattr(np, 'allclose', None)": "calls setattr on numpy",
        "from torch import nn\ndel nn.functional.relu": "changes torch.nn.functional.relu",
        "import torch\ntorch.__dict__['equal'] = None": "uses torch.__dict__",
        "import torch\nvars(torch)['equal']": "calls vars on torch",
        "import torch\nclass T(torch.Tensor): pass": "derives T from torch.Tensor",
        "class A:\n    def __reduce__(self): pass": "defines __reduce__",
        "from lmcore.check import ready": "uses lmcore.check.ready",
        "import lmcore.check.run": "uses lmcore.check.run",
        "from exercises import get": "uses exercises.get",
        "import transformers": "uses transformers",
        "from sklearn.preprocessing import scale": "uses sklearn.preprocessing.scale",
        "import torch\ndef f(x): return torch.nn.LayerNorm(3)(x)": "much like torch.nn.functional.layer_norm",
        "from torch.nn import LSTMCell as Cell\ndef f(x): return Cell(3, 3)(x)": "much like torch.nn.LSTMCell.forward",
        "from lmcore.blocks import norm\ndef g(x): return norm(x)\ndef f(x): return g(x)": "f may not be written with it",
        "import torch\nt = {}\nt['n'] = torch.layer_norm\ndef f(x): return t['n'](x)": "line 3: uses torch.layer_norm",
        "x = " + "-" * 100_000 + "1": "nested too deep",
        "x = 1\n" * 60000: "more than 256 KiB of code",
    }.items(),
)
def test_a_road_round_the_grader_is_pointed_out(code, says):
    found = apart(flags, code)
    assert any(says in line for line in found), found


@pytest.mark.parametrize(
    "code",
    [
        "import os, sys, math, torch\nprint(os.path.join('a', 'b'), sys.version, torch.__version__)",
        "import sys\nsys.setrecursionlimit(5000)\nsys.path.append('..')",
        "import os\nos.environ['OMP_NUM_THREADS'] = '1'",
        "import torch\ntorch.backends.cudnn.deterministic = True\ntorch.set_num_threads(1)\ntorch.manual_seed(0)",
        "from torch import nn\nclass M(nn.Module):\n    def __init__(self):\n        self.layer_norm = 1",
        "import torch\ndef f(x): return x.mean(1) + torch.mean(x) + x.unfold(0, 1, 1).mean()",
        "def f(x):\n    layer_norm = x - 1\n    return layer_norm",
        "from lmcore.check import check, pack_submission\nfrom lmcore.check.gpt2 import real_gpt2",
        "from lmcore.attention import attend\ndef by_the_book(x): return attend(x)\ndef f(x): return x",
        "import lmcore\ndef f(x): return lmcore.UNK",
        "import matplotlib.pyplot as plt\nplt.rcParams['figure.dpi'] = 100\n%matplotlib inline\n!ls /etc",
        "getattr(x, name)\nhasattr(x, 'mean')\nsetattr(x, 'a', 1)",
        "with open('notes.txt') as file: pass",
        "f'/tmp is a place'\n'a text about /proc and /etc'",
        "def compile(x): return x\ncompile(1)",
        "this is no Python",
        "x = '\\0'",
        "def f(x:\n",
        "(" * 5000 + ")" * 5000,
        "await f(1)",
        "import functools, itertools, collections, typing, dataclasses, re, random, time, copy, heapq, operator, warnings",
        "from scipy.special import softmax\nimport numpy as np\nnp.random.seed(0)",
    ],
)
def test_what_is_honest_is_not(code):
    assert flags(code) == []


def test_no_answer_of_the_banks_is_pointed_out():
    """Among the cells of its notebook, as a student hands it in."""
    for chapter in exercises.chapters():
        cells = [cell.source for cell in notebooks.read(notebook.path(chapter)).code]
        for exercise in exercises.bank(chapter):
            for answer in (exercise.reference, *exercise.right):
                source = standalone(answer).replace("from exercises.ch02_tokens.bank.merge_pair import merge_pair\n", "")
                code = f"{source}\n{exercise.name} = {answer.__name__}\n"
                assert scan.flags([*cells, code], exercise.name, exercise.ready) == [], answer


def test_attacks_are_pointed_out():
    """Most of them; the others do nothing but return odd values."""
    found = {}
    for attack in hostile.attacks():
        code = re.sub(r"<[A-Z]+>", "/srv/place", attack.code.replace("<PORT>", "1"))
        found[attack.title] = bool(scan.flags([code], "normalise", hostile.READY))
    plain = {attack.title for attack in hostile.attacks() if attack.family in ("values", "leaks", "cells")}
    missed = {title for title, seen in found.items() if not seen} - plain
    assert missed <= {
        "A cell that never ends",
        "A sleep without an end",
        "A sleep that is just short enough",
        "A stack that overflows",
        "A call into C that does not return",
        "A hundred and fifty megabytes of output",
        "Four gigabytes of memory",
        "Very many small files",
        "A keyboard interrupt",
        "The worker left in an orderly way",
        "The interpreter's own stop",
        "An error with a name of ten megabytes",
        "An error that cannot be described",
        "Another function under the name",
    }


def test_a_long_list_is_cut():
    found = flags("import gc\n" * 100)
    assert len(found) == scan.MOST_FLAGS + 1
    assert found[-1] == f"and {100 - scan.MOST_FLAGS} more"


def test_much_code_is_looked_through_in_little_time():
    """What is slow here would keep a class waiting."""
    begun = time.process_time()
    for code in (
        "a.b.c.d.e\n" * 20000,
        "f" + "(f" * 80 + ")" * 80,
        "x = " + "+".join("a.b" for _ in range(2000)),
        "\n".join(f"def f{n}(): return f{n + 1}()" for n in range(5000)),
    ):
        apart(flags, code, seconds=20)
    assert time.process_time() - begun < 60
