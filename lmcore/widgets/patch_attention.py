"""The attention of a vision Transformer: choose a patch of an image, see which patches it looks at, head by head."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets as t
from torch import Tensor

from lmcore.evaluate import shown
from lmcore.widgets.base import Figure, in_range, packed
from lmcore.widgets.patches import LEVELS, as_images, as_layers, as_list, packed_weights
from lmcore.widgets.weights import as_weights

MEAN, ROLLOUT = -1, -2  # what stands in place of a head
CLASSES = 1_000


class PatchAttention(Figure, module="patch_attention.mjs"):
    r"""Patch attention: where each patch of an image, and [CLS], look in every layer and head of a vision Transformer.

    A reader chooses an image, then a patch or [CLS] as the one that looks; the patches it looks at carry squares whose area
    is the weight. Small pictures show all heads at once. In place of a head, the mean over the heads of a layer can be
    chosen, or attention rollout, the product over all layers up to this one of half the mean of the heads plus half the
    identity, :math:`\tilde A_l = \tfrac12 (\bar A_l + I)\,\tilde A_{l-1}`. Bars show the predicted classes. The figure
    measures how much weight lies on the asking patch itself and on [CLS], over how many patches the weight is spread, and
    its mean distance in pixels.

    Weights are kept in steps of 1/65,535, grey levels in 256 steps between the least and the largest value of all images.

    ``image``, ``layer``, ``head`` (0 is the first, −1 the mean, −2 rollout), ``query`` (0 is [CLS], 1 the first patch, row by
    row) and ``numbers`` (whether the weights stand in the patches) can be set and read from Python.

    Args:
        images: n greyscale images, n × h × w or n × 1 × h × w, on any scale.
        attentions: for every image the weights, layers × heads × T × T, rows summing to 1, with T = 1 + number of patches
            and [CLS] first. A list with one n × heads × T × T tensor per layer becomes this by ``torch.stack(weights, 1)``.
        labels: the true class of every image, 0 to K − 1.
        probabilities: the predicted distribution, n × K.
        patch: the side of a patch in pixels; it divides h and w.
        classes: the names of the K classes; by default their numbers.

    Raises:
        ValueError: shapes that do not fit each other, numbers that are no weights, labels that are no classes, more than
            250,000 weights or 300,000 pixels, or a choice that is not there.

    Source: Dosovitskiy et al. 2021, section 4.5 (mean attention distance); Abnar & Zuidema 2020 (rollout).
    """

    size = t.List(t.Int()).tag(sync=True)  # height and width in pixels
    grid = t.List(t.Int()).tag(sync=True)  # patches down and across
    pixels = t.Bytes().tag(sync=True)  # uint8, n × h × w
    layers = t.Int().tag(sync=True)
    heads = t.Int().tag(sync=True)
    weights = t.Bytes().tag(sync=True)  # uint16, n × layers × heads × T × T
    levels = t.Int(LEVELS).tag(sync=True)
    labels = t.List(t.Int()).tag(sync=True)
    classes = t.List(t.Unicode()).tag(sync=True)
    probabilities = t.Bytes().tag(sync=True)  # float32, n × K

    image = t.Int(0).tag(sync=True)
    layer = t.Int(0).tag(sync=True)
    head = t.Int(MEAN).tag(sync=True)
    query = t.Int(0).tag(sync=True)
    numbers = t.Bool(False).tag(sync=True)

    def __init__(
        self,
        images: Any,
        attentions: Any,
        labels: Sequence[int] | Tensor | np.ndarray,
        probabilities: Any,
        patch: int,
        *,
        classes: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        pixels, count, size, grid = as_images(images, patch)
        tokens = 1 + grid[0] * grid[1]
        found, (layers, heads) = as_layers("attentions", attentions, count, [tokens] * count, (tokens,))
        chances = as_weights("probabilities", probabilities, (count, None))
        kinds = in_range("the number of classes", chances.shape[1], 1, CLASSES)
        names = [str(k) for k in range(kinds)] if classes is None else [str(name) for name in classes]
        if len(names) != kinds:
            raise ValueError(f"{len(names)} classes, but probabilities of {kinds}; every class needs a name")
        truth = as_list(labels)
        if not isinstance(truth, Sequence) or len(truth) != count:
            raise ValueError(f"labels is {shown(truth)}; allowed: {count} numbers, the true class of every image")
        for label in truth:
            if not isinstance(label, int):
                raise ValueError(f"labels holds {shown(label)}; allowed: whole numbers from 0 to {kinds - 1}")
            in_range("a label", label, 0, kinds - 1)
        chosen = {"image": 0, "layer": layers - 1, "head": MEAN, "query": 0, **kwargs}
        most = {"image": count - 1, "layer": layers - 1, "head": heads - 1, "query": tokens - 1}
        for name, high in most.items():
            in_range(name, chosen[name], ROLLOUT if name == "head" else 0, high)
        super().__init__(
            size=list(size),
            grid=list(grid),
            pixels=pixels,
            layers=layers,
            heads=heads,
            weights=packed_weights(found),
            labels=truth,
            classes=names,
            probabilities=packed(chances, "<f4"),
            **chosen,
        )

    def attention(self) -> np.ndarray:
        """The weights of the chosen image, layers × heads × T × T, as the page has them."""
        tokens = 1 + self.grid[0] * self.grid[1]
        whole = np.frombuffer(self.weights, "<u2").reshape(-1, self.layers, self.heads, tokens, tokens)
        return whole[self.image] / LEVELS

    def rollout(self) -> np.ndarray:
        """Attention rollout of the chosen image up to every layer, layers × T × T."""
        mean = self.attention().mean(1)
        so_far, found = np.eye(mean.shape[-1]), []
        for layer in mean:
            so_far = (layer + np.eye(len(layer))) / 2 @ so_far
            found.append(so_far)
        return np.stack(found)

    def describe(self) -> str:
        (height, width), (down, across) = self.size, self.grid
        return (
            f"Patch attention. For {len(self.labels)} images of {height} by {width} pixels, each cut into {down} rows of "
            f"{across} patches, it shows which patches a chosen patch or [CLS] looks at, in each of {self.layers} layers with "
            f"{self.heads} heads, as squares over the image whose area is the weight, and the predicted classes as bars."
        )

    @t.validate("image")
    def _check_image(self, proposal: Any) -> int:
        return in_range("image", proposal["value"], 0, len(self.labels) - 1)

    @t.validate("layer")
    def _check_layer(self, proposal: Any) -> int:
        return in_range("layer", proposal["value"], 0, self.layers - 1)

    @t.validate("head")
    def _check_head(self, proposal: Any) -> int:
        return in_range("head", proposal["value"], ROLLOUT, self.heads - 1)

    @t.validate("query")
    def _check_query(self, proposal: Any) -> int:
        return in_range("query", proposal["value"], 0, self.grid[0] * self.grid[1])
