"""A training step of recurrent layers: our loop and our fused path beside torch's module and two naive loops; interleaved.

Hidden 256, length 128, batch 32, one thread on a CPU, where the clock is the processor's, so that neighbours disturb it less.
On a GPU the same in milliseconds of the wall clock, and what the loop costs there.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lmcore import rnn

HIDDEN, LENGTH, BATCH, ROUNDS = 256, 128, 32, 15
KINDS = {
    "RNN": (rnn.RNN, nn.RNN, nn.RNNCell, 1),
    "LSTM": (rnn.LSTM, nn.LSTM, nn.LSTMCell, 4),
    "GRU": (rnn.GRU, nn.GRU, nn.GRUCell, 3),
}


class CellLoop(nn.Module):
    """The first loop that comes to mind: torch's cell, once per position."""

    def __init__(self, cell: type[nn.RNNCellBase]):
        super().__init__()
        self.cell = cell(HIDDEN, HIDDEN)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        state, outputs = None, []
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outputs, dim=1), None


class GateLoop(nn.Module):
    """As the formulas are printed: every gate with two matrices of its own."""

    def __init__(self, gates: int):
        super().__init__()
        self.read = nn.ModuleList(nn.Linear(HIDDEN, HIDDEN) for _ in range(gates))
        self.remember = nn.ModuleList(nn.Linear(HIDDEN, HIDDEN) for _ in range(gates))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        h = c = x.new_zeros(x.shape[0], HIDDEN)
        outputs = []
        for t in range(x.shape[1]):
            a, b = [f(x[:, t]) for f in self.read], [f(h) for f in self.remember]
            if len(a) == 1:
                h = torch.tanh(a[0] + b[0])
            elif len(a) == 4:
                i, f, o = (torch.sigmoid(a[k] + b[k]) for k in (0, 1, 3))
                c = f * c + i * torch.tanh(a[2] + b[2])
                h = o * torch.tanh(c)
            else:
                r, z = (torch.sigmoid(a[k] + b[k]) for k in (0, 1))
                h = (1 - z) * torch.tanh(a[2] + r * b[2]) + z * h
            outputs.append(h)
        return torch.stack(outputs, dim=1), None


def step(model: nn.Module, x: Tensor, clock: Callable[[], float]) -> float:
    """Seconds of forward and backward."""
    model.zero_grad()
    if x.is_cuda:
        torch.cuda.synchronize()
    began = clock()
    model(x)[0].square().mean().backward()
    if x.is_cuda:
        torch.cuda.synchronize()
    return clock() - began


def compare(device: str) -> None:
    """One line per kind: the median over rounds of each way's time divided by that of torch's module in the same round."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    x = torch.randn(BATCH, LENGTH, HIDDEN, device=device)
    for name, (ours, theirs, cell, gates) in KINDS.items():
        ways = {
            "torch": theirs(HIDDEN, HIDDEN, batch_first=True),
            "our loop": ours(HIDDEN, HIDDEN),
            "our fused": ours(HIDDEN, HIDDEN, fused=True),
            "loop of torch cells": CellLoop(cell),
            "separate gates": GateLoop(gates),
        }
        ways = {way: model.to(device) for way, model in ways.items()}
        for way in ("our loop", "our fused"):
            ways[way].load_state_dict(ways["torch"].state_dict())
        rounds = [{way: step(model, x, clock) for way, model in ways.items()} for _ in range(ROUNDS + 2)][2:]
        base = statistics.median(r["torch"] for r in rounds)
        ratios = {way: statistics.median(r[way] / r["torch"] for r in rounds) for way in ways}
        print(f"{name:5}" + "".join(f"{way}: {ratio:.2f}   " for way, ratio in ratios.items()) + f"(1 = {base * 1e3:.1f} ms)")


def main() -> None:
    torch.set_num_threads(1)
    print(f"training step on the CPU, hidden {HIDDEN}, length {LENGTH}, batch {BATCH}; time relative to torch.nn")
    compare("cpu")
    if torch.cuda.is_available():
        print(f"the same on {torch.cuda.get_device_name()}")
        compare("cuda")
    else:
        print("no GPU here: what the loop costs against cuDNN was not measured")


if __name__ == "__main__":
    main()
