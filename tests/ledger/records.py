"""A page, its records, and a reader of HTML, for the tests of the ledger."""

from html.parser import HTMLParser
from pathlib import Path

from lmcore.ledger import record
from lmcore.ledger.record import Record, Run, Setting

PAGE = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
---

# A page

Text with `code` and

```python
not_a_cell = True
```

```{code-cell} ipython3
:tags: [hide-input]

import os
from pathlib import Path
import torch
from lmcore import corpora, ledger
page = ledger.Page("99_page", chapters=Path.cwd(), config={"steps": 7, "width": int(os.environ.get("WIDTH", 5))})
```

````{code-cell}
---
mystnb:
  image:
    alt: nothing
---
fence = '''
```
'''
page.log("draw", torch.rand(()))
page.log("always", 3)
if (Path.cwd() / "broken").exists() and page.seed:
    raise RuntimeError("no such luck")
````

```{code-cell}
page.skip("far", "the far corpus is not here")
len(corpora.manual())
page.table({"draw": "draw", "far": "far"})
```

```{code-cell}
page.receipt()
```
"""


def setting(chapters: Path, **changes) -> Setting:
    facts = {"device": "cpu", "device_name": "A <fast> CPU", "scale": "small", "threads": 1}
    return Setting(**{**facts, "code": record.code_hash("99_page", chapters), **changes})


def run(seed: int, **values: float) -> Run:
    return Run(seed, values, 0.5, 0.4, 300.0, None, f"2026-01-0{seed + 1}")


def recorded(chapters: Path, *runs: Run, **changes) -> Record:
    return Record("99_page", setting(chapters, **changes), runs or tuple(run(s, bits=5 + s, gain=-0.1 * s) for s in range(3)))


class Markup(HTMLParser):
    """The elements and texts of a piece of HTML, checked to be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
