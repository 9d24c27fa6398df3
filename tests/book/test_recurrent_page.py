"""The recurrent models in the page equal torch's: states and logits, at every step of every text."""

import base64
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from playwright.sync_api import Page

from lmcore.recurrent import RecurrentLM
from lmcore.widgets import UnrolledNetwork
from lmcore.widgets.base import join
from tests.book.figures import TEXTS, VOCABULARY, recurrent, unrolled
from tests.book.forward import forward, numbers, states
from tests.book.pages import build, opened

pytestmark = pytest.mark.browser

CELLS = ["rnn", "relu", "lstm", "gru"]


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened(build(tmp_path_factory.mktemp("blank")), ready=False) as it:
        yield it.page
        it.clean()


def halved(model: RecurrentLM) -> RecurrentLM:
    """The same model with weights as they travel in half precision."""
    cell = model.rnn.mode.split("_")[0]
    other = RecurrentLM(len(VOCABULARY), model.embedding.embedding_dim, model.rnn.hidden_size, cell=cell)
    other.load_state_dict({key: value.half().float() for key, value in model.state_dict().items()})
    return other.eval()


@pytest.mark.parametrize("cell", CELLS)
def test_states_and_logits_equal_torchs_at_every_step(blank: Page, cell: str) -> None:
    model, ids = recurrent(cell), [numbers(words) for words in TEXTS]
    for text, found in zip(ids, forward(blank, unrolled(cell), ids)[0], strict=True):
        h, c = states(model, text)
        with torch.no_grad():
            logits = model(torch.tensor([text]))[0][0].numpy()
        assert len(found) == len(text)
        np.testing.assert_allclose([f["h"] for f in found], h, rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose([f["c"] for f in found], c, rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose([f["logits"] for f in found], logits, rtol=2e-5, atol=1e-5)
    assert np.abs(h).max() > 0.3, "states large enough to see a difference"


def test_random_texts_of_the_whole_vocabulary(blank: Page) -> None:
    rng = np.random.default_rng(3)
    texts = [rng.integers(len(VOCABULARY), size=n).tolist() for n in (1, 2, 37, 60)]
    for cell in CELLS:
        for text, found in zip(texts, forward(blank, unrolled(cell), texts)[0], strict=True):
            np.testing.assert_allclose([f["h"] for f in found], states(recurrent(cell), text)[0], rtol=1e-4, atol=1e-5)


def test_without_memory_every_step_starts_from_zero(blank: Page) -> None:
    ids = numbers(TEXTS[1])
    for cell in CELLS:
        ((found,),) = forward(blank, unrolled(cell), [ids], remembers=False)
        alone = [states(recurrent(cell), [i])[0][0] for i in ids]
        np.testing.assert_allclose([f["h"] for f in found], alone, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_half_precision_is_the_model_with_rounded_weights(blank: Page, cell: str) -> None:
    widget, ids = unrolled(cell, half=True), [numbers(words) for words in TEXTS]
    assert len(widget.weights) * 2 == len(unrolled(cell).weights)
    rounded = halved(recurrent(cell))
    for text, found in zip(ids, forward(blank, widget, ids)[0], strict=True):
        np.testing.assert_allclose([f["h"] for f in found], states(rounded, text)[0], rtol=2e-5, atol=2e-6)


def test_every_finite_half_is_read_exactly(blank: Page) -> None:
    patterns = np.arange(2**16, dtype="<u2")
    halves = patterns.view("<f2")[np.isfinite(patterns.view("<f2"))]
    specs = [{"name": "m", "parts": [["embedding.weight", len(halves), 1], ["rnn.weight_hh_l0", 0, 1]]}]
    read = """async ([source, specs, bytes]) => {
      const module = await import(URL.createObjectURL(new Blob([source], {type: 'text/javascript'})));
      const view = new DataView(Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0)).buffer);
      const [model] = module.unpackModels(specs, view, true);
      return [...model['embedding.weight'].values];
    }"""
    found = blank.evaluate(read, [join("recurrent.mjs"), specs, base64.b64encode(halves.tobytes()).decode()])
    assert np.array_equal(found, halves.astype(float))


def test_tied_weights_and_missing_biases(blank: Page) -> None:
    tied, bare = recurrent("gru", tie=True), recurrent("lstm", seed=5)
    bare.rnn = torch.nn.LSTM(5, 7, bias=False, batch_first=True)
    for model in (tied, bare):
        widget = UnrolledNetwork(model, VOCABULARY, TEXTS)
        ((found,),) = forward(blank, widget, [numbers(TEXTS[1])])
        with torch.no_grad():
            outputs, _ = model.rnn(model.embedding(torch.tensor([numbers(TEXTS[1])])))
            logits = model.output(outputs)[0].numpy()
        np.testing.assert_allclose([f["logits"] for f in found], logits, rtol=2e-5, atol=1e-5)
    assert len(widget.weights) > 4 * sum(p.numel() for p in bare.parameters())  # the zeros
    assert len(UnrolledNetwork(tied, VOCABULARY, TEXTS).weights) == 4 * sum(p.numel() for p in tied.parameters())
