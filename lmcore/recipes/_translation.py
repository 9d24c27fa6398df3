"""What the recipes for translation share: subwords, a training that can be interrupted, averaged parameters, scores.

A recipe keeps its training in a file after every epoch if it is told where, by ``--checkpoint FILE`` or, for every recipe and
seed a file of its own, by the environment variable ``LMCORE_CHECKPOINTS`` with the name of a folder. It goes on from the file
that it finds there; on a CPU the result is the same, bit for bit, as that of a run that was never interrupted.
"""

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lmcore import END, START, device, evaluate, ledger
from lmcore.bpe import BPE
from lmcore.corpora import Pair
from lmcore.pairs import Pairs
from lmcore.seq2seq import target_log_probs, translate, translation_loss
from lmcore.train import fit, progress

CHECKPOINTS = "LMCORE_CHECKPOINTS"


@dataclass(frozen=True)
class Plan:
    """How a translator is trained and how it searches. Recipes add the sizes of their models.

    ``average`` is over how many epochs, counted from the end, the parameters are averaged (by :class:`AveragedAdam`); 0 is for
    no average, and the optimiser of :func:`lmcore.train.fit`. ``train`` and ``test`` are how many pairs of a part are used,
    ``test`` for the validation part too; ``None`` is for all.
    """

    vocabulary: int
    epochs: int
    lr: float
    schedule: str = "linear"
    warmup: int = 0
    label_smoothing: float = 0.0
    average: int = 0
    batch_size: int = 128
    beam: int = 5
    alpha: float = 0.6
    train: int | None = None
    test: int | None = None

    def config(self) -> dict[str, Any]:
        """The settings as the ledger keeps them."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class AveragedAdam(torch.optim.AdamW):
    """Adam with β₂ = 0.98 and ε = 10⁻⁹, as Vaswani et al. (2017) set them, and a mean of the parameters along the way.

    After step ``begin``, and then every ``every`` steps, the parameters enter the mean. It is a part of the state, so that a
    checkpoint holds it.
    """

    def __init__(self, groups: Iterable[Any], lr: float, *, begin: int, every: int):
        super().__init__(groups, lr=lr, betas=(0.9, 0.98), eps=1e-9, fused=True)
        self.begin, self.every = begin, every

    def step(self, closure: Any = None) -> Any:
        """One update, and where it is due, the mean."""
        loss = super().step(closure)
        parameters = [p for group in self.param_groups for p in group["params"] if p in self.state]
        done = int(self.state[parameters[0]]["step"])
        seen, rest = divmod(done - self.begin, self.every)
        if seen >= 0 and not rest:
            for p in parameters:
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.detach(), 1 / (seen + 1))
        return loss

    @torch.no_grad()
    def swap(self) -> bool:
        """Exchange every parameter with its mean; ``False`` if there is no mean yet, and nothing has changed."""
        means = [(p, state["mean"]) for p, state in self.state.items() if "mean" in state]
        for p, mean in means:
            kept = p.clone()
            p.copy_(mean)
            mean.copy_(kept)
        return bool(means)


@dataclass(frozen=True)
class Languages:
    """The tokenizers of the two sides, and what is done with them; both sides may have one and the same."""

    source: BPE
    target: BPE
    where: torch.device
    batch_size: int

    @classmethod
    def learn(cls, pairs: Sequence[Pair], size: int, where: torch.device, batch_size: int, *, shared: bool) -> "Languages":
        """Byte-level BPE of both sides of these pairs, one vocabulary for each or one for both."""
        sides = ["\n".join(side) for side in zip(*pairs, strict=True)]
        texts = ["\n".join(sides)] if shared else sides
        tokenizers = [BPE.train(text, size, special=(START, END)) for text in texts]
        return cls(tokenizers[0], tokenizers[-1], where, batch_size)

    @property
    def sizes(self) -> tuple[int, int]:
        """The sizes of the two vocabularies."""
        return len(self.source), len(self.target)

    def batches(self, pairs: Sequence[Pair], **how: Any) -> Pairs:
        """The pairs in batches. Padding is a token that both sides have: nobody looks beyond the end of a text."""
        ids = [(self.source.encode(source), self.target.encode(target)) for source, target in pairs]
        start, end = (self.target.number[token] for token in (START, END))
        return Pairs(ids, self.batch_size, pad=0, start=start, end=end, device=self.where, **how)

    def bits(self, model: nn.Module, pairs: Sequence[Pair]) -> tuple[float, int]:
        """The bits of all translations, and how many tokens they are."""
        total, tokens = 0.0, 0
        batch: Any
        for batch in self.batches(pairs, shuffle=False, epochs=1):
            total -= evaluate.bits(target_log_probs(model, batch).double().sum().item())
            tokens += int(batch.mask.sum())
        return total, tokens

    def translate(self, model: nn.Module, sources: Sequence[str], width: int, alpha: float) -> list[str]:
        """The model's translations of these texts, as text."""
        start, end = (self.target.number[token] for token in (START, END))
        ids = [self.source.encode(source) for source in sources]
        found = translate(model, ids, start=start, end=end, width=width, alpha=alpha)
        return [self.target.decode(hypothesis.ids) for hypothesis in found]


def learn(
    model: nn.Module, languages: Languages, train: Sequence[Pair], valid: Sequence[Pair], plan: Plan, page: ledger.Page,
    checkpoint: Path | None, lr: float | None = None,
) -> None:  # fmt: skip
    """Train the model, with the plan's learning rate or another.

    If parameters are averaged, and their mean predicts ``valid`` better than the last ones, the model ends with the mean. Logs
    the bits per token on ``valid``, of both, and the minutes of training, interruptions left out.
    """
    epoch = -(-len(train) // plan.batch_size)
    steps = plan.epochs * epoch
    made: list[AveragedAdam] = []

    def averaging(groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
        made.append(AveragedAdam(groups, lr, begin=steps - (plan.average - 1) * epoch, every=epoch))
        return made[0]

    def bits() -> float:
        total, tokens = languages.bits(model, valid)
        return total / tokens

    seconds = 0.0
    running = fit(
        model, languages.batches(train, pool=50, seed=page.seed),
        partial(translation_loss, label_smoothing=plan.label_smoothing), steps=steps, lr=plan.lr if lr is None else lr,
        schedule=plan.schedule, warmup=plan.warmup, every=epoch, seed=page.seed,
        optimizer=averaging if plan.average else None, checkpoint=checkpoint, save_every=epoch if checkpoint else None,
    )  # fmt: skip
    for step in progress(running, steps):
        seconds = step.seconds
        print(
            f"epoch {step.step // epoch} of {plan.epochs}, step {step.step:,}: loss {evaluate.bits(step.loss):.3f} bits, "
            f"valid {bits():.3f} bits per token, {seconds:.0f} s",
            flush=True,
        )
    last = page.log("valid.bits.last", bits())
    best = last
    if made and made[0].swap():
        averaged = page.log("valid.bits.averaged", bits())
        best = min(last, averaged)
        if averaged > last:
            made[0].swap()
        print(f"valid: {last:.3f} bits with the last parameters, {averaged:.3f} with their mean", flush=True)
    page.log("valid.bits", best)
    page.log("parameters", sum(parameter.numel() for parameter in model.parameters()))
    if seconds:
        page.log("training.minutes", seconds / 60)


def score(
    model: nn.Module, languages: Languages, test: Sequence[Pair], page: ledger.Page, plan: Plan,
    sources: Sequence[str], references: Sequence[str], buckets: Sequence[tuple[int, int]],
    more: Callable[[str, list[str]], None],
) -> None:  # fmt: skip
    """Log bits per token and character of a test part, and BLEU, greedy and by beam search, of all sources and by length.

    Args:
        sources, references: the texts that are translated, and one translation of each.
        buckets: from how many to how many words of a source.
        more: called with ``"greedy"`` or ``"beam"`` and the translations, to log further scores.
    """
    total, tokens = languages.bits(model, test)
    page.log("test.bits", total / tokens)
    page.log("test.bits_per_character", total / sum(len(target) + 1 for _, target in test))
    lengths = [len(source.split()) for source in sources]
    for name, width in (("greedy", 1), ("beam", plan.beam)):
        texts = languages.translate(model, sources, width, plan.alpha)
        print(f"{name}: BLEU {page.log(f'{name}.bleu', evaluate.bleu(texts, references).score):.2f}", flush=True)
        more(name, texts)
        for low, high in buckets:
            chosen = [i for i, length in enumerate(lengths) if low <= length <= high]
            if chosen:
                part = evaluate.bleu([texts[i] for i in chosen], [references[i] for i in chosen])
                page.log(f"{name}.bleu.words_{low}-{high}", part.score)
                if name == "greedy":
                    page.log(f"sentences.words_{low}-{high}", len(chosen))
        for source, text, reference in list(zip(sources, texts, references, strict=True))[:8]:
            print(f"{name}: {source} → {text} ({reference})", flush=True)
    page.log("sentences.test", len(sources))


def checkpoint_of(name: str, argv: Sequence[str] | None, description: str) -> Path | None:
    """The file that the command line or the environment names for the training of this recipe, if any does."""
    parser = argparse.ArgumentParser(prog=f"python -m lmcore.recipes.{name}", description=description)
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE",
        help=f"keep the training there after every epoch, and go on from it; ${CHECKPOINTS} names a folder for such files",
    )  # fmt: skip
    given = parser.parse_args(argv).checkpoint
    folder = os.environ.get(CHECKPOINTS)
    if given is None and folder:
        return Path(folder) / f"{name}-{device.get().type}-{device.scale()}-{device.seed()}.pt"
    return given
