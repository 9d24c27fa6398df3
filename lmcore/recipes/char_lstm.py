"""Characters of Shakespeare's plays, predicted by an LSTM.

The first nine tenths of the text train the model. The last tenth, nanoGPT's validation part, is read once from its beginning
to its end, and the state is carried all the way, so a prediction may use everything before it. ``tenth`` stands for all of it,
``valid`` and ``test`` for its two halves.
"""

from dataclasses import asdict, dataclass

from lmcore import corpora, device, evaluate, ledger
from lmcore.batches import Lanes
from lmcore.recurrent import RecurrentLM, TruncatedBPTT, stream_cross_entropy
from lmcore.tokenizer import CharTokenizer
from lmcore.train import fit, progress


@dataclass(frozen=True)
class Sizes:
    """The model and its training; the learning rate falls linearly to zero."""

    dim: int = 64
    hidden: int = 256
    layers: int = 1
    dropout: float = 0.1
    length: int = 64
    batch_size: int = 64
    steps: int = 1_500
    lr: float = 4e-3


SIZES = {
    "smoke": Sizes(dim=8, hidden=16, length=16, batch_size=8, steps=5),
    "small": Sizes(),
    "full": Sizes(hidden=768, layers=3, dropout=0.4, length=128, steps=5_000, lr=2e-3),
}


def run(sizes: Sizes, page: ledger.Page) -> None:
    """Train, then log the bits and the nats per character.

    Raises:
        DownloadError: tiny Shakespeare is not there and cannot be fetched.
    """
    text = corpora.tiny_shakespeare()
    cut = len(text) * 9 // 10
    tokenizer = CharTokenizer.train(text)
    train, tenth = tokenizer.encode(text[:cut]), tokenizer.encode(text[cut:])
    model = RecurrentLM(len(tokenizer), sizes.dim, sizes.hidden, cell="lstm", layers=sizes.layers, dropout=sizes.dropout)
    model.to(page.device)
    source = TruncatedBPTT(Lanes(train, sizes.length, sizes.batch_size, seed=page.seed, device=page.device))
    steps = fit(model, source, source.loss, steps=sizes.steps, lr=sizes.lr, schedule="linear")
    for step in progress(steps, sizes.steps, "char_lstm"):
        if step.step % 250 == 0:
            print(f"step {step.step:5,}: {evaluate.bits(step.loss):.3f} bits, {step.seconds:.0f} s", flush=True)
    half = len(tenth) // 2
    for name, ids in (("valid", tenth[:half]), ("test", tenth[half:]), ("tenth", tenth)):
        nats = page.log(f"{name}.nats", stream_cross_entropy(model, ids))
        print(f"{name}: {nats:.4f} nats, {page.log(f'{name}.bpc', evaluate.bits(nats)):.4f} bits per character")
    page.log("parameters", sum(parameter.numel() for parameter in model.parameters()))
    page.log("passes", sizes.steps * sizes.length * sizes.batch_size / len(train))


def main() -> None:
    """Run at the size of :func:`lmcore.device.scale`."""
    sizes = SIZES[device.scale()]
    page = ledger.Page("char_lstm", config=asdict(sizes))
    run(sizes, page)
    print(page.receipt())


if __name__ == "__main__":
    main()
