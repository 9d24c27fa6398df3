"""From a picture to a sentence: the vision transformer as encoder, a text decoder that looks at its patches."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.attention import Cache
from lmcore.batches import IGNORE
from lmcore.transformer import Decoder, TokenEmbedding
from lmcore.vit.model import Vit, VitConfig, encoder_of
from lmcore.vit.pictures import CaptionBatch

POSITIONS = ("sinusoidal", "learned", "none")


class Seeing(NamedTuple):
    """What the decoder knows at one step: the vectors of the patches, and two caches for every layer."""

    memory: Float[Tensor, "B N C"]
    caches: tuple[tuple[Cache, Cache], ...]


class Captioner(nn.Module):
    r"""q(caption | picture): every word is predicted from the words before it and from all patches of the picture.

    The encoder gives :math:`Z_1 \dots Z_N`, a vector for each patch (that of [CLS] is left out, so that every weight of the
    cross-attention belongs to a place in the picture). The decoder is that of Vaswani et al. (2017) with pre-norm layers:
    causal self-attention over the words, cross-attention with queries from the words and keys and values from Z, feed-forward
    network.

    It has ``begin``, ``step`` and ``select``, so :func:`lmcore.generate.generate` writes captions with it::

        generate(model, [[start]] * len(images), given=(images,), end=end, never=(pad, start), max_new=12)

    Args:
        config: sizes of the encoder; the decoder has the same width, heads, hidden width and dropout.
        vocab_size: V, of the captions.
        layers: how many decoder layers.
        positions: of the words: ``"sinusoidal"``, ``"learned"`` or ``"none"``, see :class:`lmcore.transformer.TokenEmbedding`.
        max_length: with learned positions, the most words of a caption, ⟨start⟩ counted.
        vit: an encoder that is there already, see :class:`lmcore.vit.VitClassifier`.

    Raises:
        ValueError: a size does not fit.
    """

    def __init__(
        self,
        config: VitConfig,
        vocab_size: int,
        *,
        layers: int = 2,
        positions: str = "sinusoidal",
        max_length: int = 64,
        vit: Vit | None = None,
    ):
        super().__init__()
        if positions not in POSITIONS:
            raise ValueError(f"positions={positions!r} is not allowed; use one of {', '.join(POSITIONS)}")
        self.vit = encoder_of(config, vit)
        self.target = TokenEmbedding(vocab_size, config.dim, positions, max_length, config.dropout)
        self.decoder = Decoder(
            config.dim,
            config.heads,
            layers,
            config.hidden,
            norm="pre",
            activation="gelu",
            dropout=config.dropout,
            eps=config.eps,
        )
        for parameter in self.decoder.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
        self.output = nn.Linear(config.dim, vocab_size, bias=False)
        self.output.weight = self.target.weight

    def forward(self, images: Float[Tensor, "B c h w"], inputs: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """The logits of the word after each word of ``inputs``, which begins with ⟨start⟩: teacher forcing.

        Raises:
            ValueError: pictures of other sizes, ids that the model does not know, too many words, or another number of rows.
        """
        return self._run(images, inputs)

    def encode(self, images: Float[Tensor, "B c h w"]) -> Float[Tensor, "B N C"]:
        """Z without [CLS]: what the decoder looks at.

        Raises:
            ValueError: the pictures have other sizes than the model's.
        """
        return self.vit(images)[:, 1:]

    def begin(self, images: Float[Tensor, "B c h w"]) -> Seeing:
        """Look at the pictures: what the decoder knows before its first word."""
        return Seeing(self.encode(images), tuple((Cache(), Cache()) for _ in self.decoder.layers))

    def step(self, tokens: Int[Tensor, " B"], state: Seeing) -> tuple[Float[Tensor, "B V"], Seeing]:
        """Read one more word of every caption: the logits of the next, and the new state. The old state stays what it was."""
        caches = tuple((own.copy(), other.copy()) for own, other in state.caches)
        x = self.target(tokens[:, None], len(caches[0][0]))
        x = self.decoder(x, state.memory, caches=caches)
        return self.output(x[:, -1]), state._replace(caches=caches)

    def select(self, state: Seeing, rows: Int[Tensor, " N"]) -> Seeing:
        """The state of these rows, in this order."""
        caches = tuple((own.select(rows), other.select(rows)) for own, other in state.caches)
        return Seeing(state.memory[rows], caches)

    def cross_weights(self, images: Float[Tensor, "B c h w"], inputs: Int[Tensor, "B T"]) -> Float[Tensor, "B L H T N"]:
        """How much each head of each decoder layer looks at each patch, after each word of ``inputs``; each row sums to 1."""
        seen: list[Tensor] = []
        self._run(images, inputs, seen)
        return torch.stack(seen, dim=1)

    def _run(self, images: Tensor, inputs: Tensor, seen: list[Tensor] | None = None) -> Tensor:
        memory = self.encode(images)
        if len(inputs) != len(images):
            raise ValueError(f"inputs have {len(inputs)} rows for {len(images)} pictures; give one row for each picture")
        return self.output(self.decoder(self.target(inputs), memory, seen_memory=seen))


def caption_loss(model: Captioner, batch: CaptionBatch) -> Float[Tensor, ""]:
    """The mean cross-entropy, in nats, of the words of the captions, ⟨end⟩ counted, by teacher forcing."""
    logits = model(batch.images, batch.inputs)
    return F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORE)
