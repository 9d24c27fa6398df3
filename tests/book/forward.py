"""A recurrent model twice: in the page, by ``recurrent.mjs`` alone, and by torch, one call per step."""

import base64
from typing import Any

import numpy as np
import torch
from playwright.sync_api import Page

from lmcore import START
from lmcore.recurrent import RecurrentLM
from lmcore.widgets.base import join
from lmcore.widgets.recurrent import RecurrentFigure
from tests.book.figures import VOCABULARY

FORWARD = """async ([source, specs, weights, half, texts, remembers]) => {
  const module = await import(URL.createObjectURL(new Blob([source], {type: 'text/javascript'})));
  const bytes = Uint8Array.from(atob(weights), (c) => c.charCodeAt(0));
  return module.unpackModels(specs, new DataView(bytes.buffer), half).map((model) => texts.map((ids) => {
    const steps = module.run(model, ids, remembers);
    return steps.map((s, n) => ({
      h: [...s.h], c: [...s.c], logits: [...module.logits(model, s)], candidate: [...(s.candidate ?? [])],
      gates: Object.fromEntries(Object.entries(s.gates).map(([k, v]) => [k, [...v]])),
      kept: model.cell === 'rnn' ? [] : Array.from(s.h, (_, k) => [...module.kept(model, steps, n, k)])}));
  }));
}"""


def forward(
    page: Page, widget: RecurrentFigure, texts: list[list[int]], remembers: bool = True
) -> list[list[list[dict[str, Any]]]]:
    """What the page computes: per model of the figure, text and step the states, logits, gates and what is kept."""
    weights = base64.b64encode(widget.weights).decode()
    return page.evaluate(FORWARD, [join("recurrent.mjs"), widget.models, weights, widget.half, texts, remembers])


def numbers(words: list[str]) -> list[int]:
    """A text as the model reads it."""
    return [VOCABULARY.index(START), *(VOCABULARY.index(word) for word in words)]


def states(model: RecurrentLM, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """h and c after every step by torch, one call of the model per step; c is 0 where there is none."""
    hs, cs, state = [], [], None
    for i in ids:
        _, state = model(torch.tensor([[i]]), state)
        h, c = state if isinstance(state, tuple) else (state, torch.zeros_like(state))
        hs.append(h[0, 0])
        cs.append(c[0, 0])
    return torch.stack(hs).detach().numpy(), torch.stack(cs).detach().numpy()
