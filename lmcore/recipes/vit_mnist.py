"""Vision transformer, convolutional network and MLP on MNIST: the comparison of chapter 15 with up to 55,000 pictures.

The pictures have 28 × 28 pixels, 16 patches of 7 × 7 or 49 of 4 × 4. All three networks have about as many parameters and take
the same number of steps. In training every picture is moved by up to two pixels in each direction, if ``shift`` says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from lmcore import corpora, device, ledger
from lmcore.corpora import Digits, Images
from lmcore.train import fit, progress
from lmcore.vit import Pictures, Vit, VitClassifier, VitConfig, moved, picture_loss

SIDE, CLASSES = 28, 10


@dataclass(frozen=True)
class Sizes:
    """The networks and their training; the learning rates fall to zero along a cosine.

    ``counts`` are the numbers of training pictures; a number beyond the corpus means all of it.
    """

    counts: Sequence[int] = (1_000, 10_000, 55_000)
    patch: int = 4
    dim: int = 64
    heads: int = 4
    layers: int = 4
    hidden: int = 128
    position_std: float = 0.5
    mlp: int = 140  # width of both hidden layers
    channels: int = 48  # of the first convolution; the other two have twice as many
    shift: int = 2
    batch_size: int = 64
    steps: int = 4_000
    lr: float = 1e-3
    weight_decay: float = 0.05


SIZES = {
    "smoke": Sizes(counts=(64,), patch=7, dim=8, heads=2, layers=1, hidden=8, mlp=5, channels=2, steps=3, batch_size=16),
    "small": Sizes(),
    "full": Sizes(
        dim=192, heads=3, layers=12, hidden=768, mlp=1_950, channels=313, steps=40_000, batch_size=256, lr=5e-4
    ),
}  # fmt: skip


def mlp(sizes: Sizes) -> nn.Module:
    """Two hidden layers; it is told nothing about the order of the pixels."""
    first, second = nn.Linear(SIDE**2, sizes.mlp), nn.Linear(sizes.mlp, sizes.mlp)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), nn.Linear(sizes.mlp, CLASSES))


def cnn(sizes: Sizes) -> nn.Module:
    """Three convolutions of 3 × 3, each pooled by two: 28, 14, 7 and 3 pixels a side."""
    widths = (1, sizes.channels, 2 * sizes.channels, 2 * sizes.channels)
    parts: list[nn.Module] = []
    for before, after in pairwise(widths):
        parts += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(9 * widths[-1], CLASSES))


def vit(sizes: Sizes) -> nn.Module:
    """The vision transformer of these sizes."""
    config = VitConfig(SIDE, sizes.patch, 1, sizes.dim, sizes.heads, sizes.layers, sizes.hidden)
    return VitClassifier(config, CLASSES, vit=Vit(config, position_std=sizes.position_std))


READERS: dict[str, Callable[[Sizes], nn.Module]] = {"MLP": mlp, "CNN": cnn, "ViT": vit}


def run(sizes: Sizes, page: ledger.Page, digits: Digits | None = None) -> None:
    """Train every network on every number of pictures, and log the share of test pictures that it gets right, in per cent.

    Args:
        sizes: what to train, and how.
        page: where the numbers go.
        digits: the pictures; MNIST if not given.

    Raises:
        DownloadError: MNIST is not there and cannot be fetched.
    """
    digits = corpora.mnist() if digits is None else digits

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return picture_loss(model, (moved(batch[0], sizes.shift), batch[1]))

    for name, make in READERS.items():
        for count in sizes.counts:
            torch.manual_seed(page.seed)
            model = make(sizes).to(page.device)
            known = digits.train.images[:count], digits.train.labels[:count]
            batches = Pictures(*known, sizes.batch_size, seed=page.seed, device=page.device)
            steps = fit(
                model, batches, loss, steps=sizes.steps, lr=sizes.lr, schedule="cosine", warmup=sizes.steps // 10,
                weight_decay=sizes.weight_decay, every=min(100, sizes.steps),
            )  # fmt: skip
            for step in progress(steps, sizes.steps, name):
                last = step
            print(f"{name}, {len(known[1]):,} pictures: loss {last.loss:.4f} after {last.seconds:.0f} s", flush=True)
            page.log(f"valid.{name}.{count}", right(model, digits.valid, page.device))
            page.log(f"test.{name}.{count}", right(model, digits.test, page.device))
        page.log(f"parameters.{name}", sum(parameter.numel() for parameter in model.parameters()))
    page.log("pictures.test", len(digits.test.labels))


@torch.no_grad()
def right(model: nn.Module, part: Images, where: torch.device) -> float:
    """How many per cent of these pictures the model gets right."""
    model.eval()
    batches = Pictures(part.images, part.labels, 1_000, shuffle=False, epochs=1, device=where)
    found = [model(images).argmax(1) == labels for images, labels in batches]
    return 100 * torch.cat(found).double().mean().item()


def main() -> None:
    """Run at the size of :func:`lmcore.device.scale`."""
    sizes = SIZES[device.scale()]
    page = ledger.Page("vit_mnist", config={**asdict(sizes), "counts": ", ".join(map(str, sizes.counts))})
    run(sizes, page)
    print(page.receipt())


if __name__ == "__main__":
    main()
