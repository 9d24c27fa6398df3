"""What goes into the first layer: a vector for every token, and word of its position."""

import math

from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.batches import at_least
from lmcore.embeddings import check_ids
from lmcore.positions import Learned, Rotary, Sinusoidal

POSITIONS = ("sinusoidal", "learned", "rotary", "none")


class TokenEmbedding(nn.Embedding):
    r"""Token vectors, scaled, with positions added: :math:`x_t = \sqrt{C}\, E_{w_t} + r_t` (Vaswani et al. 2017, section 3.4).

    E, which is ``weight``, begins with variance 1/C, so that it serves as the output matrix as well. The factor brings the
    vectors to variance 1, the size of the sinusoids.

    Args:
        vocab_size: V.
        dim: C.
        positions: what is added: ``"sinusoidal"``, ``"learned"``, or nothing for ``"rotary"`` and ``"none"``.
        max_length: how many learned positions there are.
        dropout: probability of dropping a number of the sum, in training.
    """

    def __init__(
        self, vocab_size: int, dim: int, positions: str = "sinusoidal", max_length: int = 512, dropout: float | int = 0.0
    ):
        at_least(1, vocab_size=vocab_size, dim=dim)
        check_positions(positions)
        super().__init__(vocab_size, dim)
        nn.init.normal_(self.weight, std=dim**-0.5)
        self.positions: Sinusoidal | Learned | None = None
        if positions == "sinusoidal":
            self.positions = Sinusoidal(dim)
        elif positions == "learned":
            self.positions = Learned(max_length, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids: Int[Tensor, "B T"], offset: int = 0) -> Float[Tensor, "B T C"]:
        """The vectors of these tokens, the first of which stand at position ``offset``.

        Raises:
            ValueError: not ids of shape (B, T) below V, or positions beyond those that were learned.
        """
        check_ids("ids", ids, 2, self.num_embeddings)
        x = super().forward(ids) * math.sqrt(self.embedding_dim)
        return self.dropout(x if self.positions is None else self.positions(x, offset))


def check_positions(positions: object) -> None:
    """Refuse an unknown kind of positions."""
    if positions not in POSITIONS:
        raise ValueError(f"positions={positions!r} is unknown; use one of {', '.join(POSITIONS)}")


def rotary_for(positions: str, dim: int, heads: int) -> Rotary | None:
    """What the self-attention of a model with these positions does to its queries and keys."""
    check_positions(positions)
    at_least(1, dim=dim, heads=heads)
    return Rotary(dim // heads) if positions == "rotary" else None
