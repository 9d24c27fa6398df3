"""The architecture walk: the Transformer drawn anew, part by part, with the shapes and masks of the reader's sizes."""

from dataclasses import asdict
from typing import Any

import traitlets as t

from lmcore.widgets.architecture_parts import NORMS, parts_of
from lmcore.widgets.base import Figure, in_range, one_of, whole_heads

PARTS = ("whole", "block")
MOST = {"batch": 64, "source": 12, "target": 12, "dim": 4096, "heads": 64, "layers": 48, "hidden": 16384}


class ArchitectureWalk(Figure, module="architecture_walk.mjs"):
    r"""Architecture walk: figure 1 of Vaswani et al. (2017), drawn anew. Every part can be chosen.

    For the part that is chosen the figure says what it does and shows its formula, its line of code, the shapes of all that
    goes in and out in the reader's sizes, its parameters, and, if it is an attention, the mask: which query may look at which
    key, with padding at the end of the text. The switch between post-norm and pre-norm changes text, formula, drawing and code
    together.

    ``part="whole"`` is encoder and decoder (chapter 11), as :class:`lmcore.transformer.TransformerTranslator` has them;
    ``part="block"`` is one block (chapter 10), as :class:`lmcore.blocks.EncoderLayer`. All arguments but ``part`` and
    ``vocabulary`` can be set and read later, and so can ``chosen``, the part that is shown.

    Args:
        part: ``"whole"`` or ``"block"``.
        batch: B, how many texts.
        source: S, the length of the longest source text. In a block: not used.
        target: T, the length of the longest target text; in a block: of the longest text.
        dim: C, a multiple of ``heads``.
        heads: H.
        layers: blocks of the encoder, and as many of the decoder.
        hidden: F, the width of the MLP's hidden layer; 4 · C if not given.
        vocabulary: words of the source and of the target language.
        norm: ``"post"`` or ``"pre"``, with which the figure begins.
        source_length: how many tokens of the source text in the mask are real; the others are padding.
        target_length: the same for the target text (or a block's text).
        causal: in a block: whether a position may only look back.
        final_norm: whether a norm follows the last block of a stack; ``None``: with pre-norm only, as in the paper.

    Raises:
        ValueError: a size outside what is allowed, a width that the heads do not divide, or an unknown part or norm.
    """

    part = t.Unicode("whole").tag(sync=True)
    parts = t.List(t.Dict()).tag(sync=True)  # what the figure says of each part, in the order of the walk
    vocabulary = t.List(t.Int()).tag(sync=True)
    most = t.Dict().tag(sync=True)

    norm = t.Unicode("post").tag(sync=True)
    batch = t.Int(2).tag(sync=True)
    source = t.Int(6).tag(sync=True)
    target = t.Int(5).tag(sync=True)
    dim = t.Int(512).tag(sync=True)
    heads = t.Int(8).tag(sync=True)
    layers = t.Int(6).tag(sync=True)
    hidden = t.Int(2048).tag(sync=True)
    source_length = t.Int(5).tag(sync=True)
    target_length = t.Int(4).tag(sync=True)
    causal = t.Bool(False).tag(sync=True)
    chosen = t.Unicode().tag(sync=True)

    def __init__(
        self,
        part: str = "whole",
        batch: int = 2,
        source: int = 6,
        target: int = 5,
        dim: int = 512,
        heads: int = 8,
        layers: int = 6,
        hidden: int | None = None,
        vocabulary: tuple[int, int] = (10_000, 8_000),
        norm: str = "post",
        source_length: int | None = None,
        target_length: int | None = None,
        causal: bool = False,
        final_norm: bool | None = None,
        **kwargs: Any,
    ) -> None:
        one_of("part", part, PARTS)
        if len(vocabulary) != 2 or not all(isinstance(v, int) and v > 0 for v in vocabulary):
            raise ValueError(f"vocabulary is {vocabulary!r}; allowed: two positive numbers of words, source and target")
        listed = parts_of(part, final_norm)
        first = next(p.id for p in listed if p.role == "attention")
        super().__init__(
            part=part,
            parts=[asdict(p) for p in listed],
            vocabulary=list(vocabulary),
            most=MOST,
            norm=norm,
            batch=batch,
            source=source,
            target=target,
            dim=dim,
            heads=heads,
            layers=layers,
            hidden=4 * dim if hidden is None else hidden,
            source_length=max(1, source - 1) if source_length is None else source_length,
            target_length=max(1, target - 1) if target_length is None else target_length,
            causal=causal,
            **{"chosen": first, **kwargs},
        )

    def describe(self) -> str:
        every = "For every part the figure shows formula, code, shapes and mask."
        if self.part == "block":
            return (
                f"Architecture walk through one Transformer block. From bottom to top: self-attention with {self.heads} heads, "
                f"then a feed-forward network with {self.hidden} hidden units, both {self.dim} wide. Around each there is a "
                f"residual connection, and a layer normalisation after the sum (post-norm) or before the sublayer (pre-norm). "
                f"{every}"
            )
        return (
            f"Architecture walk through the Transformer of Vaswani et al. (2017). On the left the encoder: embedding, "
            f"positions and {self.layers} blocks of self-attention and feed-forward network. On the right the decoder: "
            f"embedding, positions and {self.layers} blocks of masked self-attention, cross-attention to the encoder's outputs "
            f"and feed-forward network, then a linear layer and a softmax. Around every sublayer there are a residual "
            f"connection and a layer normalisation. {every}"
        )

    @t.validate("norm")
    def _check_norm(self, proposal: Any) -> str:
        return one_of("norm", proposal["value"], NORMS)

    @t.validate("chosen")
    def _check_chosen(self, proposal: Any) -> str:
        return one_of("chosen", proposal["value"], [part["id"] for part in self.parts])

    @t.validate("batch", "source", "target", "layers", "hidden")
    def _check_size(self, proposal: Any) -> int:
        name = proposal["trait"].name
        return in_range(name, proposal["value"], 1, MOST[name])

    @t.validate("dim", "heads")
    def _check_width(self, proposal: Any) -> int:
        now = {"dim": self.dim, "heads": self.heads, proposal["trait"].name: proposal["value"]}
        whole_heads(now["dim"], now["heads"], MOST)
        return proposal["value"]

    @t.validate("source_length", "target_length")
    def _check_length(self, proposal: Any) -> int:
        name = proposal["trait"].name
        return in_range(name, proposal["value"], 1, getattr(self, name.removesuffix("_length")))

    @t.observe("source", "target")
    def _stay_inside(self, change: Any) -> None:
        name = f"{change['name']}_length"
        setattr(self, name, min(getattr(self, name), change["new"]))
