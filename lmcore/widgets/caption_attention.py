"""Where a captioner looks: choose a word of a caption, see the patches of the image that it was written from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets as t

from lmcore.evaluate import Text, as_texts
from lmcore.widgets.base import Figure, in_range
from lmcore.widgets.patches import LEVELS, as_images, as_layers, packed_weights
from lmcore.widgets.weights import as_words

LONGEST = 48  # words of a caption
MEAN = -1


class CaptionAttention(Figure, module="caption_attention.mjs"):
    r"""Caption attention: for every word of a caption, the patches of the image that the decoder looked at.

    The cross-attention of a captioner: the queries come from the words, keys and values from the patches. A chosen word puts
    squares on the image, their area the weight; small pictures show all words at once.

    Weights are kept in steps of 1/65,535.

    ``image``, ``word``, ``layer``, ``head`` (0 is the first, −1 the mean of all) and ``numbers`` can be set and read from
    Python.

    Args:
        images: n greyscale images, n × h × w or n × 1 × h × w, on any scale.
        captions: the words that were written for each image, at most 48.
        attentions: for every image the weights, layers × heads × words × S, rows summing to 1. S is the number of patches,
            row by row, or one more with [CLS] first; row i is the step that wrote word i.
        patch: the side of a patch in pixels; it divides h and w.
        references: a right caption of each image, to be read beside.

    Raises:
        ValueError: shapes or numbers of texts that do not fit each other, numbers that are no weights, more than 250,000
            weights or 300,000 pixels, or a choice that is not there.

    Source: Xu et al. 2015, "Show, attend and tell", for the picture; Vaswani et al. 2017 for the attention.
    """

    size = t.List(t.Int()).tag(sync=True)  # height and width in pixels
    grid = t.List(t.Int()).tag(sync=True)  # patches down and across
    pixels = t.Bytes().tag(sync=True)  # uint8, n × h × w
    captions = t.List(t.List(t.Unicode())).tag(sync=True)
    references = t.List(t.Unicode()).tag(sync=True)  # as many as captions, or none
    layers = t.Int().tag(sync=True)
    heads = t.Int().tag(sync=True)
    sources = t.Int().tag(sync=True)  # patches, and [CLS] if it is one of them
    weights = t.Bytes().tag(sync=True)  # uint16, one image after the other, each layers × heads × words × keys
    levels = t.Int(LEVELS).tag(sync=True)

    image = t.Int(0).tag(sync=True)
    word = t.Int(0).tag(sync=True)
    layer = t.Int(0).tag(sync=True)
    head = t.Int(MEAN).tag(sync=True)
    numbers = t.Bool(False).tag(sync=True)

    def __init__(
        self,
        images: Any,
        captions: Sequence[Text],
        attentions: Any,
        patch: int,
        *,
        references: Sequence[Text] | None = None,
        **kwargs: Any,
    ) -> None:
        pixels, count, size, grid = as_images(images, patch)
        words = [as_words(f"caption {number}", text, LONGEST) for number, text in enumerate(as_texts(captions))]
        right = [] if references is None else [text if isinstance(text, str) else " ".join(text) for text in references]
        for name, texts in (("captions", words), ("references", right)):
            if len(texts) != count and not (name == "references" and references is None):
                raise ValueError(f"{count} images, but {len(texts)} {name}; every image needs its own")
        patches = grid[0] * grid[1]
        found, (layers, heads) = as_layers(
            "attentions", attentions, count, [len(text) for text in words], (patches, patches + 1)
        )
        chosen = {"image": 0, "word": 0, "layer": layers - 1, "head": MEAN, **kwargs}
        in_range("image", chosen["image"], 0, count - 1)
        in_range("word", chosen["word"], 0, len(words[chosen["image"]]) - 1)
        in_range("layer", chosen["layer"], 0, layers - 1)
        in_range("head", chosen["head"], MEAN, heads - 1)
        super().__init__(
            size=list(size),
            grid=list(grid),
            pixels=pixels,
            captions=words,
            references=right,
            layers=layers,
            heads=heads,
            sources=found[0].shape[-1],
            weights=packed_weights(found),
            **chosen,
        )

    def attention(self) -> np.ndarray:
        """The weights of the chosen image, layers × heads × words × keys, as the page has them."""
        sizes = [self.layers * self.heads * len(text) * self.sources for text in self.captions]
        start = sum(sizes[: self.image])
        part = np.frombuffer(self.weights, "<u2")[start : start + sizes[self.image]]
        return part.reshape(self.layers, self.heads, -1, self.sources) / LEVELS

    def describe(self) -> str:
        (height, width), (down, across) = self.size, self.grid
        return (
            f"Caption attention. For {len(self.captions)} images of {height} by {width} pixels, each cut into {down} rows of "
            f"{across} patches, it shows which patches each word of the caption was written from, as squares over the image "
            f"whose area is the weight. The first caption is “{' '.join(self.captions[0])}”."
        )

    @t.validate("image")
    def _check_image(self, proposal: Any) -> int:
        return in_range("image", proposal["value"], 0, len(self.captions) - 1)

    @t.validate("word")
    def _check_word(self, proposal: Any) -> int:
        return in_range("word", proposal["value"], 0, len(self.captions[self.image]) - 1)

    @t.validate("layer")
    def _check_layer(self, proposal: Any) -> int:
        return in_range("layer", proposal["value"], 0, self.layers - 1)

    @t.validate("head")
    def _check_head(self, proposal: Any) -> int:
        return in_range("head", proposal["value"], MEAN, self.heads - 1)

    @t.observe("image")
    def _stay_inside(self, change: Any) -> None:
        self.word = min(self.word, len(self.captions[self.image]) - 1)
