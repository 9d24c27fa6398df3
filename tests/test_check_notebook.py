"""A cell is read as IPython reads it: what it cannot run here costs its own line, and no more."""

import ast
import textwrap

import pytest

from lmcore.check.notebook import Cell, plain_python

BELOW = "\nN = 64\ndef answer(x):\n    return x"

# What is not Python, and what stands for it.
LINES = {
    "files = !ls": "files = get_ipython()",
    "files = !!ls -l": "files = get_ipython()",
    "best = %timeit -o f(1)": "best = get_ipython()",
    "x = %sql select name from students": "x = get_ipython()",
    "a, *b = !ls": "a, *b = get_ipython()",
    "self.d[0] = !ls": "self.d[0] = get_ipython()",
    "names: list = !ls": "names: list = get_ipython()",
    "x = %time f(1)": "x = f(1)",
    "%time x = f(1)": "x = f(1)",
    "%prun x = f(1)": "x = f(1)",
    "%time --no-raise-error f(": "",
    "if x: y = !ls": "if x: y = get_ipython()",
    "for i in x:\n    y = !ls {i}": "for i in x:\n    y = get_ipython()",
    "if x:\n    !pip install x\nelse:\n    %cd ..": "if x:\n    pass\nelse:\n    pass",
    "if x:\n    %time y = f(x)": "if x:\n    y = f(x)",
    "# first\n%%time\nx = 1": "# first\n\nx = 1",
    "files = !ls \\\n  -l": "files = get_ipython()\n",
    "%matplotlib inline\n%load_ext autoreload\n%autoreload 2\n%run other.py\n%pip install x": "\n\n\n\n",
    "layers[0]?\nf??\n? f\nnp.*load*?\n%time?": "\n\n\n\n",
    "#@title A form\nx = 3 #@param {type: 'slider'}": "#@title A form\nx = 3 #@param {type: 'slider'}",
    "# %%\nx = 1": "# %%\nx = 1",
    "    x = 1\n    if x:\n        y = 2": "x = 1\nif x:\n    y = 2",
    ">>> x = 1\n>>> if x:\n...     y = 2\n...": "x = 1\nif x:\n    y = 2\n",
    "In [3]: x = 1\n   ...: y = 2": "x = 1\ny = 2",
}
ONES = {  # cells of nothing else
    "# what I need\n%%bash\nls -l": "\n\n",
    "#@title Write it\n%%writefile helpers.py\nclass": "\n\n",
    "pip install einops": "",
    "uv pip install einops": "",
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_ipython_costs_itself_alone(line):
    indent = line[: len(line) - len(line.lstrip())]
    cell = line + textwrap.indent(BELOW, indent) if not line.startswith((">>>", "In")) else line
    plain = plain_python(cell)
    assert plain.removesuffix(BELOW) == LINES[line]
    assert plain.count("\n") == cell.count("\n"), "lines keep their numbers"
    ast.parse(plain)
    if cell != line:
        assert {"N", "answer"} <= set(Cell("code", cell).definitions())


@pytest.mark.parametrize("cell", ONES)
def test_a_cell_of_another_kind_is_blank(cell):
    assert plain_python(cell) == ONES[cell]


@pytest.mark.parametrize("cell", [*(line for line in LINES if "f(" not in line or ")" in line)])
def test_what_ipython_reads_is_read_here(cell):
    manager = pytest.importorskip("IPython.core.inputtransformer2").TransformerManager()
    ast.parse(manager.transform_cell(cell))
    ast.parse(plain_python(cell))


@pytest.mark.parametrize(
    "cell",
    [
        'x = "a = !ls"\ny = 1',
        "print('x = %time')",
        "x = y == z\nx = y % 3",
        "f(a =\n%b)",
        "x = (\n    y = !ls\n)",
        "# x = !ls",
        "x = 'what?'",
        "if x:\n    y = 1\n  # less\nz = 1",
    ],
)
def test_python_stays_as_it_is(cell):
    assert plain_python(cell) == cell


@pytest.mark.parametrize(
    "text", ["a " * 10**6, " " * 10**6 + "=", "a[" * 10**5, "a = " * 10**5 + "!", "%time " + "(" * 10**6, "]?" * 10**6]
)
def test_no_line_takes_long(text):
    plain_python(text)


def test_what_a_cell_defines_in_any_way_is_found():
    cell = Cell(
        "code",
        textwrap.dedent("""
        import functools
        a = b = 1
        c: int = 2
        d, (e, *f) = 1, (2, 3)
        if a:
            def g(x):
                return x
        else:
            g = None
        try:
            from os import path as h
        except ImportError:
            h = None
        for i in range(3):
            j = i
        with open("x") as k:
            l = 1
        async def m(x):
            n = 1
        x.y = 1
    """),
    )
    assert set(cell.definitions()) == set("abcdefghijklm")
