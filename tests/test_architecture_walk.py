"""The Python side of the architecture walk: what it says of every part is true of the modules of lmcore.transformer."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from lmcore.attention import causal_mask, padding_mask
from lmcore.blocks import DecoderLayer, EncoderLayer
from lmcore.transformer import TransformerTranslator
from lmcore.widgets import ArchitectureWalk
from lmcore.widgets.architecture_parts import NORMS, Part, parts_of
from lmcore.widgets.architecture_walk import MOST

SIZES = {"batch": 3, "source": 7, "target": 5, "dim": 22, "heads": 2, "layers": 2, "hidden": 13}
WORDS = (37, 29)
Shapes = dict[tuple[str, str], tuple[int, ...]]  # of a part and a name


def values(sizes: dict[str, int], words: tuple[int, int] = WORDS) -> dict[str, int]:
    """The symbols of a shape as numbers."""
    letters = {"B": "batch", "S": "source", "T": "target", "C": "dim", "H": "heads", "F": "hidden"}
    return {
        **{letter: sizes[name] for letter, name in letters.items()},
        "D": sizes["dim"] // sizes["heads"],
        "U": words[0],
        "V": words[1],
    }


def numbers(shape: str, sizes: dict[str, int]) -> tuple[int, ...]:
    """A shape such as ``"B 3C"`` in numbers."""
    found = values(sizes)
    return tuple(int(symbol[:-1] or 1) * found[symbol[-1]] for symbol in shape.split())


class Products(TorchFunctionMode):
    """Notes the shapes of queries, keys and values whenever attention runs."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[tuple[int, ...], ...]] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is F.scaled_dot_product_attention:
            self.seen.append(tuple(tuple(x.shape) for x in args[:3]))
        return function(*args, **(kwargs or {}))


def listen(model: nn.Module) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Shapes of the first input and the output of every module, by its name, filled when the model runs."""
    found: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def hook(name: str) -> Any:
        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            found[name] = (tuple(inputs[0].shape), tuple(first.shape))

        return note

    for name, module in model.named_modules():
        module.register_forward_hook(hook(name))
    return found


def translator(norm: str, sizes: dict[str, int] = SIZES) -> TransformerTranslator:
    torch.manual_seed(3)
    dim, heads, layers, hidden = (sizes[name] for name in ("dim", "heads", "layers", "hidden"))
    return TransformerTranslator(*WORDS, dim, heads, layers, hidden=hidden, norm=norm, final_norm=norm == "pre").eval()


def texts(sizes: dict[str, int] = SIZES) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.arange(sizes["batch"] * sizes["source"]).reshape(sizes["batch"], -1) % WORDS[0]
    target = torch.arange(sizes["batch"] * sizes["target"]).reshape(sizes["batch"], -1) % WORDS[1]
    return source, torch.arange(sizes["batch"]) % sizes["source"] + 1, target


def real_shapes(norm: str, sizes: dict[str, int] = SIZES) -> Shapes:
    """The shapes of everything that the figure names, as the modules have them when they run."""
    model = translator(norm, sizes)
    heard, (source, lengths, target) = listen(model), texts(sizes)
    with Products() as products, torch.no_grad():
        logits = model(source, lengths, target)
        memory = model.encode(source, lengths)
        cross = model.cross_weights(source, lengths, target)
        own: list[Tensor] = []
        model.transformer.encoder(model.source(source), lengths=lengths, seen=own)
        masked: list[Tensor] = []
        model.transformer.decoder(model.target(target), memory, seen=masked)
    layers = sizes["layers"]
    called = [products.seen[0], products.seen[layers], products.seen[layers + 1]]
    found: Shapes = {
        ("memory", "Z"): tuple(memory.shape),
        ("softmax", "logits z"): tuple(logits.shape),
        ("softmax", "probabilities q"): tuple(logits.softmax(-1).shape),
        ("source", "ids"): tuple(source.shape),
        ("target", "ids"): tuple(target.shape),
    }
    weights = {"encoder_self": own[0], "decoder_masked": masked[0], "decoder_cross": cross[:, 0]}
    for (part, seen), (q, k, v) in zip(weights.items(), called, strict=True):
        assert k == v
        found |= {(part, "weights A"): tuple(seen.shape), (part, "Q, all heads"): q, (part, "K and V, all heads"): k}
    for part in parts_of("whole", final=norm == "pre"):
        path = part.path.format(i=layers - 1)
        if part.role == "mlp":
            found[part.id, "hidden"] = heard[f"{path}.linear1"][1]
            found |= {(part.id, "in"): heard[f"{path}.linear1"][0], (part.id, "out"): heard[f"{path}.linear2"][1]}
        elif part.role == "embedding":
            found |= {(part.id, "ids"): heard[path][0], (part.id, "vectors"): heard[path][1]}
        elif path and norm in part.norms:
            found |= {(part.id, "in"): heard[path][0], (part.id, "out"): heard[path][1]}
            found[part.id, "logits z"] = heard[path][1]
    found["decoder_cross", "keys and values from Z"] = tuple(memory.shape)
    return found


@pytest.mark.parametrize("norm", NORMS)
def test_shapes_are_those_of_the_modules(norm: str) -> None:
    found, checked = real_shapes(norm), 0
    for part in parts_of("whole", final=norm == "pre"):
        for name, shape in part.shapes if norm in part.norms else ():
            if (part.id, name) in found:
                assert numbers(shape, SIZES) == found[part.id, name], (part.id, name)
                checked += 1
            else:
                assert part.role == "add", (part.id, name)
    assert checked == {"pre": 47, "post": 43}[norm]


@pytest.mark.parametrize("norm", NORMS)
def test_what_is_added_has_the_shape_of_both(norm: str) -> None:
    parts = {part.id: part for part in parts_of("whole")}
    for part in parts.values():
        if part.role == "add" and part.repeated:
            assert len({shape for _, shape in part.shapes} | {part.out}) == 1
        if part.shapes:
            assert part.out == part.shapes[-1][1]
    model, (source, *_) = translator(norm), texts()
    positions = model.source.positions
    assert isinstance(positions, nn.Module)
    moved = positions(torch.zeros(1, source.shape[1], SIZES["dim"]))[0]
    assert dict(parts["source_positions"].shapes)["positions r"] == "S C"
    assert tuple(moved.shape) == numbers("S C", SIZES)


# ---- parameters ---------------------------------------------------------------------------------------------------------


def named(module: nn.Module, names: set[str]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(p.shape) for name, p in module.named_parameters() if not names or name in names}


@pytest.mark.parametrize("norm", NORMS)
def test_parameters_are_those_of_the_modules_and_sum_to_the_model(norm: str) -> None:
    model, total = translator(norm), 0
    for part in parts_of("whole", final=norm == "pre"):
        shapes = {name: numbers(shape, SIZES) for name, shape in part.parameters}
        if norm not in part.norms or not shapes:
            continue
        module = model.get_submodule(part.path.format(i=1))
        assert shapes == named(module, set(shapes)), part.id
        if part.role != "mlp":
            assert shapes == named(module, set()), part.id
        total += sum(torch.Size(s).numel() for s in shapes.values()) * (SIZES["layers"] if part.repeated else 1)
    assert total == sum(p.numel() for p in model.parameters())


def test_parameters_of_the_block() -> None:
    layer = EncoderLayer(SIZES["dim"], SIZES["heads"], SIZES["hidden"])
    total = 0
    for part in parts_of("block"):
        shapes = {name: numbers(shape, SIZES) for name, shape in part.parameters}
        assert shapes == named(layer.get_submodule(part.path), set(shapes)) if shapes else part.role in ("data", "add")
        total += sum(torch.Size(s).numel() for s in shapes.values())
    assert total == sum(p.numel() for p in layer.parameters())


# ---- code ---------------------------------------------------------------------------------------------------------------


def said(part: Part, norm: str) -> str:
    assert part.code is not None
    return part.code if isinstance(part.code, str) else part.code[norm]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("place", ["encoder", "decoder", "block"])
def test_lines_of_code_run_as_the_layer_does(place: str, norm: str) -> None:
    torch.manual_seed(5)
    kind = DecoderLayer if place == "decoder" else EncoderLayer
    layer = kind(22, 2, 13, norm=norm, dropout=0.3).eval().double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    x, memory = torch.randn(3, 5, 22).double(), torch.randn(3, 7, 22).double()
    mask, memory_mask = padding_mask(torch.tensor([5, 2, 3])), padding_mask(torch.tensor([7, 1, 4]))
    around: dict[str, Any] = {"self": layer, "x": x, "mask": mask, "memory": memory, "memory_mask": memory_mask}
    lines = [
        said(part, norm) for part in parts_of("block" if place == "block" else "whole") if part.place == place and part.step
    ]
    for line in dict.fromkeys(lines):
        exec(line, around)
    expected = layer(x, memory, None, memory_mask) if place == "decoder" else layer(x, mask)
    assert torch.allclose(around["x"], expected, atol=1e-12)
    other = next(n for n in NORMS if n != norm)
    assert not torch.allclose(expected, layer_with(layer, other, x, memory, mask, memory_mask), atol=1e-3)


def layer_with(layer: nn.Module, norm: str, x: Tensor, memory: Tensor, mask: Tensor, memory_mask: Tensor) -> Tensor:
    """The same parameters with the norm in the other place."""
    layer.norm = norm
    return layer(x, memory, None, memory_mask) if isinstance(layer, DecoderLayer) else layer(x, mask)


def test_lines_of_code_outside_the_blocks_run_as_the_model_does() -> None:
    model = translator("pre").double()
    source, lengths, target = texts()
    parts = {part.id: part for part in parts_of("whole")}
    around: dict[str, Any] = {"self": model, "ids": source, "sources": source, "lengths": lengths}
    with torch.no_grad():
        exec(said(parts["source_embedding"], "pre"), around)
        x = model.transformer.encoder(around["x"], lengths=lengths)
        exec(said(parts["memory"], "pre"), around)
        assert torch.equal(x, around["memory"])
        around["ids"] = target
        exec(said(parts["target_embedding"], "pre"), around)
        how = {"memory_mask": padding_mask(lengths, source.shape[1])}
        around["x"] = model.transformer.decoder(around["x"], around["memory"], **how)
        exec(said(parts["logits"], "pre"), around)
        exec(said(parts["softmax"], "pre"), around)
        assert torch.equal(around["logits"], model(source, lengths, target))
    assert torch.allclose(around["probabilities"].sum(-1), torch.ones(3, 5, dtype=torch.float64))


def test_masks_in_code_are_those_the_model_uses() -> None:
    parts = {part.id: part for part in [*parts_of("whole"), *parts_of("block")] if part.mask}
    assert set(parts) == {"encoder_self", "decoder_masked", "decoder_cross", "block_self"}
    known: dict[str, Any] = {"causal_mask": causal_mask, "padding_mask": padding_mask, "S": 7, "T": 5}
    known |= {"source_lengths": torch.tensor([7, 3, 1]), "lengths": torch.tensor([5, 3, 1])}
    for part in parts.values():
        queries, keys = dict(part.shapes)["weights A"].split()[2:]
        for code in part.mask.split("|"):
            mask = eval(code, known)
            assert torch.broadcast_shapes(mask.shape, (3, 2, known[queries], known[keys])) == (
                3,
                2,
                known[queries],
                known[keys],
            )
    model = translator("post")
    source, lengths, target = texts()
    weights = model.cross_weights(source, lengths, target)
    allowed = padding_mask(lengths, source.shape[1])[:, None].expand_as(weights)
    assert torch.equal(weights > 0, allowed)


# ---- use and misuse -----------------------------------------------------------------------------------------------------


def test_parts_reach_the_page_as_they_are() -> None:
    widget = ArchitectureWalk()
    assert [part["id"] for part in widget.parts] == [part.id for part in parts_of("whole")]
    assert len({part["id"] for part in widget.parts}) == len(widget.parts)
    assert widget.chosen == "encoder_self"
    assert (widget.hidden, widget.source_length, widget.target_length) == (2048, 5, 4)
    norms = {part["id"]: tuple(part["norms"]) for part in ArchitectureWalk(final_norm=True).parts}
    assert norms["encoder_norm"] == norms["decoder_norm"] == NORMS
    assert {part["id"]: part["norms"] for part in ArchitectureWalk(final_norm=False).parts}["encoder_norm"] == ()
    assert ArchitectureWalk("block").chosen == "block_self"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"part": "half"}, "part is 'half'; allowed: 'whole', 'block'"),
        ({"norm": "none"}, "norm is 'none'; allowed: 'post', 'pre'"),
        ({"chosen": "gate"}, "chosen is 'gate'; allowed: 'source'"),
        ({"dim": 30, "heads": 4}, "dim=30 is not a multiple of heads=4"),
        ({"heads": 65}, "heads is 65; allowed: 1 to 64"),
        ({"batch": 0}, "batch is 0; allowed: 1 to 64"),
        ({"source": 13}, "source is 13; allowed: 1 to 12"),
        ({"target": 13}, "target is 13; allowed: 1 to 12"),
        ({"layers": 49}, "layers is 49"),
        ({"hidden": 0}, "hidden is 0"),
        ({"source_length": 7}, "source_length is 7; allowed: 1 to 6"),
        ({"target_length": 0}, "target_length is 0; allowed: 1 to 5"),
        ({"vocabulary": (7,)}, r"vocabulary is \(7,\)"),
        ({"vocabulary": (7, -1)}, "two positive numbers"),
        ({"dim": "wide"}, "wide"),
    ],
)
def test_refuses(unchecked: None, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ArchitectureWalk(**change)


def test_choices_travel_both_ways() -> None:
    widget = ArchitectureWalk(source=9, source_length=9)
    widget.set_state({"dim": 96, "heads": 6, "hidden": 100, "norm": "pre", "chosen": "decoder_cross"})  # as the page sends them
    assert (widget.dim, widget.heads, widget.hidden, widget.norm, widget.chosen) == (96, 6, 100, "pre", "decoder_cross")
    widget.source = 4
    assert widget.source_length == 4
    for name, value in {"norm": "x", "chosen": "x", "heads": 5, "source_length": 5, "layers": 0}.items():
        before = getattr(widget, name)
        with pytest.raises(ValueError, match=r"allowed|multiple"):
            setattr(widget, name, value)
        assert getattr(widget, name) == before
    assert set(MOST) <= set(widget.get_state())


def test_sentence_for_those_who_cannot_see_it() -> None:
    whole, block = ArchitectureWalk(layers=3).alt, ArchitectureWalk("block", dim=48, heads=3, hidden=7).alt
    for text, parts in (
        (whole, ("3 blocks", "encoder", "cross-attention", "softmax")),
        (block, ("3 heads", "48 wide", "7 hidden")),
    ):
        assert text.endswith(".")
        for part in parts:
            assert part in text
