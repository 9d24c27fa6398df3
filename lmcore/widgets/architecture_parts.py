"""The parts of the Transformer as the architecture walk shows them: what each does, formula, code, shapes, parameters, mask.

A shape is a string of symbols, ``"B S C"``: B texts, S source tokens, T target tokens, C model width, H heads of width D,
F hidden units, U and V words of the source and the target vocabulary; ``"3C"`` is three times C. Shapes, parameters and code
lines are tested against the modules of :mod:`lmcore.transformer`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

NORMS = ("post", "pre")
Named = tuple[tuple[str, str], ...]  # a name and a shape, in this order


@dataclass(frozen=True)
class Part:
    """One box of the drawing. What depends on where the norm stands is a dict with the keys "post" and "pre"."""

    id: str
    label: str
    title: str
    text: str | Mapping[str, str]
    place: str = ""  # "encoder", "decoder" or "block": in which of them it stands
    role: str = "data"  # colour and outline: "data", "embedding", "attention", "norm", "mlp", "linear", "softmax", "add"
    out: str = ""  # the shape that leaves it
    shapes: Named = ()
    parameters: Named = ()
    path: str = ""  # the module, as seen from the model; {i} is the number of the layer
    formula: tuple[str, ...] = ()
    step: Mapping[str, str] | None = None  # the formula of the sublayer that it belongs to
    code: Mapping[str, str] | None = None  # the same in code
    mask: str = ""  # of an attention: "source", "target", "cross"
    norms: tuple[str, ...] = NORMS  # with which switch it is there
    repeated: bool = False  # once in every layer


def attention_parameters() -> Named:
    """The parameters of multi-head attention, named as torch.nn.MultiheadAttention names them."""
    return (
        ("in_proj_weight", "3C C"),
        ("in_proj_bias", "3C"),
        ("out_proj.weight", "C C"),
        ("out_proj.bias", "C"),
    )


def norm_parameters() -> Named:
    """The parameters of a layer norm."""
    return (("weight", "C"), ("bias", "C"))


def mlp_parameters() -> Named:
    """The parameters of the two linear maps of the MLP."""
    return (("linear1.weight", "F C"), ("linear1.bias", "F"), ("linear2.weight", "C F"), ("linear2.bias", "C"))


# ---- what the sublayers have in common ----------------------------------------------------------------------------------


def both(what: str) -> dict[str, str]:
    """The same for either place of the norm."""
    return {"post": what, "pre": what}


def sublayer(kind: str, number: int, read: str) -> dict[str, Any]:
    """Formula and code line of one sublayer, for either place of the norm."""
    name, code = {
        "self": ("Attention", "self.self_attn({x}, mask=mask)[0]"),
        "masked": ("MaskedAttention", "self.self_attn({x}, mask=mask, causal=True)[0]"),
        "cross": ("Attention", "self.multihead_attn({x}, memory, mask=memory_mask)[0]"),
        "mlp": ("MLP", "self.feed_forward({x})"),
    }[kind]
    x = read
    more = ", Z" if kind == "cross" else ""
    norm = f"self.norm{number}"
    return {
        "step": {
            "post": f"{x} ← LayerNorm({x} + {name}({x}{more}))",
            "pre": f"{x} ← {x} + {name}(LayerNorm({x}){more})",
        },
        "code": {
            "post": f"x = {norm}(x + {code.format(x='x')})",
            "pre": f"x = x + {code.format(x=f'{norm}(x)')}",
        },
    }


ADD = {
    "post": "Adds what came in to what the sublayer computed. The sum goes through the norm next, so nothing passes a block "
    "unchanged.",
    "pre": "Adds what came in to what the sublayer computed. No norm lies on this road: from the first embedding to the end "
    "of the stack there is a path of additions alone, for the numbers on the way up and for the gradient on the way back.",
}
NORM = {
    "post": "Normalises the sum: every vector gets mean 0 and variance 1 over its {C} numbers, then learned γ and β. What goes "
    "on to the next sublayer is normalised.",
    "pre": "Normalises what the sublayer reads, not the sum: every vector gets mean 0 and variance 1 over its {C} numbers, then "
    "learned γ and β.",
}
NORM_FORMULA = ("LayerNorm(x) = γ (x − μ) / √(σ² + ε) + β",)
ATTENTION_FORMULA = (
    "Q = {q} W_{Q}^{⊤},  K = {m} W_{K}^{⊤},  V = {m} W_{V}^{⊤}",
    "A = softmax(Q K^{⊤} / √D),  per head",
    "out = [A_{1}V_{1} … A_{H}V_{H}] W_{O}^{⊤}",
)


def attention(
    place: str, kind: str, number: int, title: str, text: str, mask: str, query: str, key: str, path: str
) -> list[Part]:
    """The three boxes of an attention sublayer: the attention, the addition, the norm."""
    x = {"encoder": "X", "block": "X", "decoder": "Y"}[place]
    memory = "Z" if kind == "cross" else x
    label = {"self": "Self-attention", "masked": "Masked self-attention", "cross": "Cross-attention"}[kind]
    module = {"self": "self_attn", "masked": "self_attn", "cross": "multihead_attn"}[kind]
    formula = tuple(line.replace("{q}", x).replace("{m}", memory) for line in ATTENTION_FORMULA)
    shapes = [("queries from", f"B {query} C")]
    if kind == "cross":
        shapes.append(("keys and values from Z", f"B {key} C"))
    shapes += [
        ("Q, per head", f"B H {query} D"),
        ("K and V, per head", f"B H {key} D"),
        ("weights A", f"B H {query} {key}"),
        ("out", f"B {query} C"),
    ]
    main = Part(
        id=f"{place}_{kind}", label=label, title=title, text=text, place=place, role="attention", out=f"B {query} C",
        shapes=tuple(shapes), parameters=attention_parameters(), path=f"{path}.{module}", formula=formula, mask=mask,
        repeated=True, **sublayer(kind, number, x),
    )  # fmt: skip
    return [main, *around(place, kind, number, x, query, path)]


def mlp(place: str, number: int, length: str, path: str) -> list[Part]:
    """The three boxes of the feed-forward sublayer."""
    x = {"encoder": "X", "block": "X", "decoder": "Y"}[place]
    main = Part(
        id=f"{place}_mlp", label="MLP", title="Feed-forward network", place=place, role="mlp", out=f"B {length} C",
        text="The same small network at every position, one position at a time: from C numbers to F hidden ones and back. "
        "Attention only mixes; this is where each vector is changed by a non-linear function.",
        shapes=(("in", f"B {length} C"), ("hidden", f"B {length} F"), ("out", f"B {length} C")),
        parameters=mlp_parameters(), path=path, formula=("MLP(x) = W_{2} max(0, W_{1} x + b_{1}) + b_{2}",),
        repeated=True, **sublayer("mlp", number, x),
    )  # fmt: skip
    return [main, *around(place, "mlp", number, x, length, path)]


def around(place: str, kind: str, number: int, x: str, length: str, path: str) -> list[Part]:
    """Addition and norm of one sublayer."""
    shared = {"place": place, "out": f"B {length} C", "repeated": True, **sublayer(kind, number, x)}
    shapes = (("in", f"B {length} C"), ("out", f"B {length} C"))
    return [
        Part(
            id=f"{place}_add{number}", label="+", title="Residual connection", text=ADD, role="add",
            shapes=(("what came in", f"B {length} C"), ("what was computed", f"B {length} C"), ("sum", f"B {length} C")),
            **shared,
        ),
        Part(
            id=f"{place}_norm{number}", label="LayerNorm", title="Layer normalisation", text=NORM, role="norm", shapes=shapes,
            parameters=norm_parameters(), path=f"{path}.norm{number}", formula=NORM_FORMULA, **shared,
        ),
    ]  # fmt: skip


# ---- the whole and the block --------------------------------------------------------------------------------------------


def encoder_parts() -> list[Part]:
    """The left half of the drawing, from bottom to top."""
    self_text = (
        "Every position of the source text asks every position, itself included, in H heads at once. Padding is no word: no "
        "query may look at it."
    )
    path = "encoder.layers.{i}"
    return [
        Part("source", "Source text", "Source text", "B texts of S tokens, as numbers. Shorter texts are filled up with padding.",
             place="encoder", out="B S", shapes=(("source ids", "B S"),)),
        embedding("source", "S", "U"),
        positions("source", "S"),
        *attention("encoder", "self", 1, "Self-attention of the encoder", self_text, "source", "S", "S", path),
        *mlp("encoder", 2, "S", path),
        final_norm("encoder", "S"),
        Part("memory", "Memory Z", "Memory", "What the encoder says about the source text: one vector for every source token. It is "
             "computed once, and every block of the decoder reads it.", place="encoder", out="B S C", shapes=(("Z", "B S C"),)),
    ]  # fmt: skip


def decoder_parts() -> list[Part]:
    """The right half of the drawing, from bottom to top."""
    masked_text = (
        "As in the encoder, but no position may look ahead: position t predicts token t + 1, and must not see it. So all "
        "positions can be trained at once."
    )
    cross_text = (
        "The decoder asks the encoder: queries come from the decoder, keys and values from the memory Z. Every target position "
        "may look at the whole source text, except its padding."
    )
    path = "decoder.layers.{i}"
    return [
        Part("target", "Target text", "Target text, shifted right", "B translations of T tokens, with ⟨start⟩ in front, so that position t "
             "holds the token before the one it has to predict.", place="decoder", out="B T", shapes=(("target ids", "B T"),)),
        embedding("target", "T", "V"),
        positions("target", "T"),
        *attention("decoder", "masked", 1, "Masked self-attention of the decoder", masked_text, "target", "T", "T", path),
        *attention("decoder", "cross", 2, "Cross-attention", cross_text, "cross", "T", "S", path),
        *mlp("decoder", 3, "T", path),
        final_norm("decoder", "T"),
        Part("logits", "Linear", "Linear layer", "One logit for every word of the target vocabulary, at every position.", place="decoder",
             role="linear", out="B T V", shapes=(("in", "B T C"), ("logits", "B T V")), formula=("logits = Y E^{⊤}",)),
        Part("softmax", "Softmax", "Softmax", "At position t, the distribution of token t + 1, given the source text and the target "
             "tokens up to t.", place="decoder", role="softmax", out="B T V", shapes=(("probabilities", "B T V"),),
             formula=("q(w) = e^{logit of w} / Σ e^{logit}",)),
    ]  # fmt: skip


def block_parts() -> list[Part]:
    """One block by itself."""
    text = (
        "Every position asks every position, itself included, in H heads at once. It is the only place where positions "
        "exchange anything. Padding is no word: no query may look at it."
    )
    return [
        Part("block_in", "X", "What comes in", "One vector for every token: embedding and position, or the output of the block below.",
             place="block", out="B T C", shapes=(("X", "B T C"),)),
        *attention("block", "self", 1, "Multi-head self-attention", text, "target", "T", "T", ""),
        *mlp("block", 2, "T", ""),
        Part("block_out", "X", "What goes out", "The same shape as what came in: that is why blocks can be stacked.", place="block", out="B T C",
             shapes=(("X", "B T C"),)),
    ]  # fmt: skip


def embedding(side: str, length: str, words: str) -> Part:
    """The token embedding of one side."""
    return Part(
        id=f"{side}_embedding", label="Embedding", title=f"Token embedding, {side}", place="encoder" if side == "source" else "decoder",
        text="Looks up the row of every token in a table with one row per word, and multiplies it by √C, so that it is not "
        "drowned by the positions.", role="embedding", out=f"B {length} C",
        shapes=((f"{side} ids", f"B {length}"), ("vectors", f"B {length} C")), parameters=(("weight", f"{words} C"),),
        formula=("x_{t} = √C · E_{w_t}",),
    )  # fmt: skip


def positions(side: str, length: str) -> Part:
    """The positions of one side."""
    return Part(
        id=f"{side}_positions", label="+ positions", title="Positions", role="add", place="encoder" if side == "source" else "decoder",
        text="Adds to every vector that of its position. Without it, attention would see a bag of words.",
        out=f"B {length} C", shapes=(("positions r", f"{length} C"), ("sum", f"B {length} C")),
        formula=("r_{t,2i} = sin(t / L^{2i/C}),  r_{t,2i+1} = cos(t / L^{2i/C})",),
    )  # fmt: skip


def final_norm(place: str, length: str) -> Part:
    """The norm at the end of a stack."""
    text = {
        "pre": "With pre-norm the sum that leaves the last block was never normalised; one norm at the end of the stack does it.",
        "post": "With post-norm the last block ends with a norm, and the stack needs none.",
    }
    return Part(
        id=f"{place}_norm", label="LayerNorm", title=f"Norm at the end of the {place}", text=text, place=place, role="norm",
        out=f"B {length} C", shapes=(("in", f"B {length} C"), ("out", f"B {length} C")), parameters=norm_parameters(),
        path=f"{place}.norm", formula=NORM_FORMULA, norms=("pre",),
    )  # fmt: skip


def parts_of(part: str) -> list[Part]:
    """All parts of the drawing."""
    return block_parts() if part == "block" else [*encoder_parts(), *decoder_parts()]


def described(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The parts as the page gets them."""
    return [asdict(part) for part in parts]
