"""The model: patches and [CLS] through encoder layers; a classifier on top."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.batches import at_least
from lmcore.bert import Layers
from lmcore.blocks import EncoderLayer, LayerNorm
from lmcore.positions import Learned
from lmcore.vit.patches import patchify


@dataclass(frozen=True, slots=True)
class VitConfig:
    """The sizes of a vision transformer; those that are not named here are ViT-Base's with patches of 16 × 16.

    Attributes:
        image_size: rows and columns of the pictures in pixels; one number if they are square.
        patch: P, the side of a patch in pixels; it divides both.
        channels: c, numbers per pixel: 1 for grey, 3 for red, green and blue.
        dim: C, the width of every vector.
        heads: H, of each layer's attention.
        layers: how many encoder layers.
        hidden: width of the feed-forward network's hidden layer; 4 C in the paper.
        dropout: probability of dropping a number, in training: of embeddings, attention weights, hidden layers and what a
            sublayer adds.
        eps: added to the variance inside the root of every LayerNorm.

    Raises:
        ValueError: a size is not positive, ``patch`` does not divide the picture or ``heads`` the width, or ``dropout`` is no
            probability.
    """

    image_size: int | tuple[int, int] = 224
    patch: int = 16
    channels: int = 3
    dim: int = 768
    heads: int = 12
    layers: int = 12
    hidden: int = 3072
    dropout: float | int = 0.0
    eps: float | int = 1e-12

    def __post_init__(self) -> None:
        both = self.image_size
        if isinstance(both, tuple | list) and len(both) != 2:
            raise ValueError(f"image_size={both!r} is none; give one number of pixels, or rows and columns")
        height, width = both if isinstance(both, tuple | list) else (both, both)
        sizes = {name: getattr(self, name) for name in ("patch", "channels", "dim", "heads", "layers", "hidden")}
        at_least(
            1, **({"image_size[0]": height, "image_size[1]": width} if isinstance(both, tuple | list) else {"image_size": both})
        )
        at_least(1, **sizes)
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"a picture of {height} × {width} cannot be cut into patches of patch={self.patch}; use a divisor of both"
            )
        if self.dim % self.heads:
            raise ValueError(f"dim={self.dim} cannot be shared among heads={self.heads}; use a multiple of heads")
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout!r} is no probability; use a number from 0 up to, but not including, 1")
        if isinstance(self.eps, bool) or not isinstance(self.eps, int | float) or not self.eps > 0:
            raise ValueError(f"eps={self.eps!r} is not allowed; use a small number above 0")

    @property
    def height(self) -> int:
        """Rows of a picture, in pixels."""
        return self.image_size if isinstance(self.image_size, int) else self.image_size[0]

    @property
    def width(self) -> int:
        """Columns of a picture, in pixels."""
        return self.image_size if isinstance(self.image_size, int) else self.image_size[1]

    @property
    def grid(self) -> tuple[int, int]:
        """How many rows and columns of patches a picture has; their product is N."""
        return self.height // self.patch, self.width // self.patch


class Vit(nn.Module):
    r"""The encoder of Dosovitskiy et al. (2021).

    With the patches :math:`x_1 \dots x_N` of a picture (:func:`patchify`), a matrix E with a bias b, a learned vector
    :math:`x_\mathrm{CLS}` and learned positions :math:`P_0 \dots P_N`,

    .. math:: X^{(0)} = [x_\mathrm{CLS};\; E x_1 + b;\; \dots;\; E x_N + b] + P, \qquad
              X^{(n)} = \mathrm{layer}_n(X^{(n-1)}), \qquad Z = \operatorname{LayerNorm}(X^{(L)}),

    where every layer is :class:`lmcore.blocks.EncoderLayer` with ``norm="pre"`` and GELU. The model is not told which patches
    are neighbours: P has one vector for each place, and what a place has to do with another is learned.

    Args:
        config: the sizes.
        position_std: standard deviation of the numbers of P at first; 0.02 in the paper. A small model that is trained briefly
            learns faster where things are with a larger one.

    Raises:
        ValueError: ``config`` is something else, or ``position_std`` is not a number from 0 on.
    """

    def __init__(self, config: VitConfig, *, position_std: float | int = 0.02):
        super().__init__()
        if not isinstance(config, VitConfig):
            raise ValueError(f"config must be a VitConfig; got {config!r}")
        if isinstance(position_std, bool) or not isinstance(position_std, int | float) or not 0 <= position_std < math.inf:
            raise ValueError(f"position_std={position_std!r} is not allowed; use a number from 0 on, such as 0.02")
        self.config = config
        self.patches = nn.Linear(config.patch**2 * config.channels, config.dim)
        self.cls = nn.Parameter(torch.zeros(config.dim))
        self.positions = Learned(1 + math.prod(config.grid), config.dim)
        self.dropout = nn.Dropout(config.dropout)
        how: dict[str, Any] = {"norm": "pre", "activation": "gelu", "dropout": config.dropout, "eps": config.eps}
        self.layers = nn.ModuleList(EncoderLayer(config.dim, config.heads, config.hidden, **how) for _ in range(config.layers))
        self.norm = LayerNorm(config.dim, eps=config.eps)
        for name, parameter in self.named_parameters():  # as in the code of the paper
            if name.startswith("layers.") and parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        nn.init.normal_(self.patches.weight, std=self.patches.in_features**-0.5)
        nn.init.normal_(self.positions.weight, std=position_std)

    def forward(self, images: Float[Tensor, "B c h w"]) -> Float[Tensor, "B T C"]:
        """Z, the normalised vectors of the last layer: that of [CLS] at place 0, then those of the N patches, T = N + 1.

        Raises:
            ValueError: the pictures have other sizes than the model's.
        """
        return self.norm(self.look(images).states[-1])

    def look(self, images: Float[Tensor, "B c h w"], *, weights: bool = False) -> Layers:
        """The vectors X⁽ⁿ⁾ of every layer, not normalised, and with ``weights`` every layer's attention (B, H, T, T)."""
        self._check(images)
        x = self.patches(patchify(images, self.config.patch))
        x = torch.cat([self.cls.expand(len(x), 1, -1), x], dim=1)
        states = [self.dropout(self.positions(x))]
        looked: list[Tensor] = []
        for layer in self.layers:
            states.append(layer(states[-1], seen=looked if weights else None))
        return Layers(tuple(states), tuple(looked) if weights else None)

    def _check(self, images: object) -> None:
        wanted = (self.config.channels, self.config.height, self.config.width)
        if not isinstance(images, Tensor) or not images.is_floating_point() or images.ndim != 4 or images.shape[1:] != wanted:
            given = (
                f"shape {tuple(images.shape)} of {images.dtype}" if isinstance(images, Tensor) else f"a {type(images).__name__}"
            )
            sizes = ", ".join(map(str, wanted))
            raise ValueError(f"images must be a floating-point tensor of shape (B, {sizes}); got {given}")


class VitClassifier(nn.Module):
    """One of K classes for every picture: a linear layer on Z at [CLS].

    Args:
        config: the sizes.
        classes: K.
        vit: an encoder of these sizes that is there already, such as a pre-trained one; it is used, not copied. Otherwise a
            fresh one.

    Raises:
        ValueError: a size does not fit.
    """

    def __init__(self, config: VitConfig, classes: int, *, vit: Vit | None = None):
        super().__init__()
        at_least(1, classes=classes)
        self.vit = encoder_of(config, vit)
        self.output = nn.Linear(config.dim, classes)
        nn.init.zeros_(self.output.weight)  # as in the code of the paper: at first all classes are equally likely
        nn.init.zeros_(self.output.bias)

    def forward(self, images: Float[Tensor, "B c h w"]) -> Float[Tensor, "B K"]:
        """The logits of the classes.

        Raises:
            ValueError: the pictures have other sizes than the model's.
        """
        return self.output(self.vit(images)[:, 0])


def encoder_of(config: VitConfig, vit: Vit | None) -> Vit:
    """``vit`` if it has these sizes, a fresh one if there is none, otherwise a ValueError."""
    if vit is None:
        return Vit(config)
    if not isinstance(vit, Vit) or vit.config != config:
        given = vit.config if isinstance(vit, Vit) else f"a {type(vit).__name__}"
        raise ValueError(f"vit must be a Vit with the sizes of config={config}; got {given}. Give config=vit.config")
    return vit


def picture_loss(model: nn.Module, batch: tuple[Float[Tensor, "B c h w"], Int[Tensor, " B"]]) -> Float[Tensor, ""]:
    """The mean cross-entropy, in nats, of the labels of a batch of :class:`lmcore.vit.Pictures`."""
    images, labels = batch
    return F.cross_entropy(model(images), labels)
