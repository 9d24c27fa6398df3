"""The parts of the Transformer as the architecture walk shows them: what each does, formula, code, shapes, parameters, mask.

A shape is a string of symbols, ``"B S C"``: B texts, S source tokens, T target tokens, C model width, H heads of width D,
F hidden units, U and V words of the source and the target vocabulary; ``"3C"`` is three times C. Shapes, parameters and code
lines are tested against the modules of :mod:`lmcore.transformer`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

NORMS = ("post", "pre")
Named = tuple[tuple[str, str], ...]  # a name and a shape, in this order
Text = str | Mapping[str, str]  # what depends on where the norm stands has the keys "post" and "pre"


@dataclass(frozen=True)
class Part:
    """One box of the drawing."""

    id: str
    label: str
    title: str
    text: Text
    place: str  # "encoder", "decoder" or "block": in which of them it stands
    role: str = "data"  # colour and form: "data", "embedding", "attention", "norm", "mlp", "output", "add"
    out: str = ""  # the shape that leaves it
    shapes: Named = ()
    parameters: Named = ()
    path: str = ""  # its module as seen from the model, {i} being the number of the layer
    formula: tuple[str, ...] = ()
    step: Mapping[str, str] | None = None  # the formula of the sublayer that it belongs to
    code: Text | None = None  # the line of code
    mask: str = ""  # the mask of an attention in code; "…|…" with the second half for a block that is causal
    norms: tuple[str, ...] = NORMS  # the settings of the switch with which it is there
    repeated: bool = False  # once in every layer


# ---- sublayers ----------------------------------------------------------------------------------------------------------

ADD = {
    "post": "Adds what came in to what the sublayer computed. The sum goes through a norm next: nothing passes a block as it "
    "was, neither the numbers on their way up nor the gradient on its way back.",
    "pre": "Adds what came in to what the sublayer computed. No norm stands on this road: from the bottom of the stack to its "
    "top there is a path of additions alone, for the numbers on their way up and for the gradient on its way back.",
}
NORM = {
    "post": "Normalises the sum: the C numbers of every vector get mean 0 and variance 1, then a learned size γ and offset β. "
    "What goes on to the next sublayer is normalised.",
    "pre": "Normalises what the sublayer reads, not the sum: the C numbers of every vector get mean 0 and variance 1, then a "
    "learned size γ and offset β. The sum itself goes on as it is.",
}
NORM_FORMULA = ("LayerNorm(x) = γ (x − μ) / √(σ² + ε) + β",)
NORM_PARAMETERS = (("weight", "C"), ("bias", "C"))
MLP_TEXT = (
    "The same small network at every position, each position by itself: from C numbers to F hidden ones and back to C. "
    "Attention only mixes vectors; here each of them goes through a non-linear function."
)
MLP_PARAMETERS = (("linear1.weight", "F C"), ("linear1.bias", "F"), ("linear2.weight", "C F"), ("linear2.bias", "C"))
ATTENTION_FORMULA = (
    "Q = {x} W_{Q}^{⊤},  K = {m} W_{K}^{⊤},  V = {m} W_{V}^{⊤}",
    "A_{h} = softmax(Q_{h} K_{h}^{⊤} / √D)",
    "out = [A_{1} V_{1} … A_{H} V_{H}] W_{O}^{⊤}",
)
ATTENTION_PARAMETERS = (("in_proj_weight", "3C C"), ("in_proj_bias", "3C"), ("out_proj.weight", "C C"), ("out_proj.bias", "C"))
ATTENTION_LABELS = {"self": "Self-attention", "masked": "Masked self-attention", "cross": "Cross-attention"}
CALLS = {
    "self": "self.self_attn({x}, mask=mask)[0]",
    "masked": "self.self_attn({x}, causal=True)[0]",
    "cross": "self.multihead_attn({x}, memory, mask=memory_mask)[0]",
    "mlp": "self.feed_forward({x})",
}


def sublayer(main: Part, kind: str, number: int, x: str) -> list[Part]:
    """The part itself, the addition behind it and its norm, each with the formula and the code line of all three."""
    name, more = ("MLP", "") if kind == "mlp" else ("Attention", ", Z" if kind == "cross" else "")
    norm, length = f"self.norm{number}", main.out
    step = {
        "post": f"{x} ← LayerNorm({x} + {name}({x}{more}))",
        "pre": f"{x} ← {x} + {name}(LayerNorm({x}){more})",
    }
    code = {"post": f"x = {norm}(x + {CALLS[kind].format(x='x')})", "pre": f"x = x + {CALLS[kind].format(x=f'{norm}(x)')}"}
    main = replace(main, step=step, code=code, repeated=True)
    add = replace(
        main,
        id=f"{main.place}_add{number}",
        label="+",
        title="Residual connection",
        text=ADD,
        role="add",
        shapes=(("what came in", length), ("what the sublayer computed", length), ("sum", length)),
        parameters=(),
        path="",
        formula=(),
        mask="",
    )
    after = replace(
        add,
        id=f"{main.place}_norm{number}",
        label="LayerNorm",
        title="Layer normalisation",
        text=NORM,
        role="norm",
        shapes=(("in", length), ("out", length)),
        parameters=NORM_PARAMETERS,
        path=f"{layer_of(main.place)}norm{number}",
        formula=NORM_FORMULA,
    )
    return [main, add, after]


def layer_of(place: str) -> str:
    """The path of a layer, with the dot behind it."""
    return "" if place == "block" else f"transformer.{place}.layers.{{i}}."


def attention(place: str, kind: str, number: int, lengths: tuple[str, str], title: str, text: str, mask: str) -> list[Part]:
    """An attention sublayer; ``lengths`` are the symbols of the queries and of the keys."""
    x, (queries, keys) = ("Y" if place == "decoder" else "X"), lengths
    source = (("keys and values from Z", f"B {keys} C"),) if kind == "cross" else ()
    main = Part(
        id=f"{place}_{kind}",
        label=ATTENTION_LABELS[kind],
        title=title,
        text=text,
        place=place,
        role="attention",
        out=f"B {queries} C",
        shapes=(
            ("in", f"B {queries} C"),
            *source,
            ("Q, all heads", f"B H {queries} D"),
            ("K and V, all heads", f"B H {keys} D"),
            ("weights A", f"B H {queries} {keys}"),
            ("out", f"B {queries} C"),
        ),
        parameters=ATTENTION_PARAMETERS,
        path=layer_of(place) + ("multihead_attn" if kind == "cross" else "self_attn"),
        formula=tuple(line.replace("{x}", x).replace("{m}", "Z" if kind == "cross" else x) for line in ATTENTION_FORMULA),
        mask=mask,
    )
    return sublayer(main, kind, number, x)


def mlp(place: str, number: int, length: str) -> list[Part]:
    """The feed-forward sublayer."""
    main = Part(
        id=f"{place}_mlp",
        label="MLP",
        title="Feed-forward network",
        text=MLP_TEXT,
        place=place,
        role="mlp",
        out=f"B {length} C",
        shapes=(("in", f"B {length} C"), ("hidden", f"B {length} F"), ("out", f"B {length} C")),
        parameters=MLP_PARAMETERS,
        path=layer_of(place).removesuffix("."),
        formula=("MLP(x) = W_{2} max(0, W_{1} x + b_{1}) + b_{2}",),
    )
    return sublayer(main, "mlp", number, "Y" if place == "decoder" else "X")


# ---- what stands around the blocks --------------------------------------------------------------------------------------


def below(place: str, side: str, length: str, words: str, title: str, text: str) -> list[Part]:
    """Tokens, their embedding, their positions."""
    vectors = f"B {length} C"
    ids = Part(side, f"{side.title()} ids", title, text, place, out=f"B {length}", shapes=(("ids", f"B {length}"),))
    table = Part(
        id=f"{side}_embedding",
        label="Embedding",
        title="Token embedding",
        text="Looks up the row of every token in a table E with one row per word. The factor √C brings the vectors to the size "
        "of the positions that are added next.",
        place=place,
        role="embedding",
        out=vectors,
        shapes=(("ids", f"B {length}"), ("vectors", vectors)),
        parameters=(("weight", f"{words} C"),),
        path=side,
        formula=("x_{t} = √C E_{w_t}",),
        code=f"x = self.{side}(ids)",
    )
    positions = Part(
        id=f"{side}_positions",
        label="+",
        title="Positions",
        text="Adds to every vector that of its position. Without it a text would be a bag of words to the attention above.",
        place=place,
        role="add",
        out=vectors,
        shapes=(("vectors", vectors), ("positions r", f"{length} C"), ("sum", vectors)),
        formula=("r_{t,2i} = sin(t / L^{2i/C})", "r_{t,2i+1} = cos(t / L^{2i/C})"),
    )
    return [ids, table, positions]


def final_norm(place: str, length: str, norms: tuple[str, ...]) -> Part:
    """The norm behind the last block of a stack."""
    return Part(
        id=f"{place}_norm",
        label="LayerNorm",
        title=f"Norm at the end of the {place}",
        text={
            "pre": "With pre-norm the sum that leaves the last block was normalised nowhere. One norm at the end does it.",
            "post": "The last block ends with a norm already, and the paper has no other. torch.nn.Transformer has this one.",
        },
        place=place,
        role="norm",
        out=f"B {length} C",
        shapes=(("in", f"B {length} C"), ("out", f"B {length} C")),
        parameters=NORM_PARAMETERS,
        path=f"transformer.{place}.norm",
        formula=NORM_FORMULA,
        norms=norms,
    )


def encoder_parts(norms: tuple[str, ...]) -> list[Part]:
    """The left half of the drawing, from bottom to top."""
    title, text = "Source text", "B texts of S tokens, as numbers. Shorter texts are filled up with padding at their end."
    asks = (
        "Every position of the source asks every position, its own included, in H heads at once. Padding is no word: no query "
        "may look at it."
    )
    memory = "What the encoder says about the source: one vector for every token. It is computed once, and every block of the "
    return [
        *below("encoder", "source", "S", "U", title, text),
        *attention("encoder", "self", 1, ("S", "S"), "Self-attention of the encoder", asks, "padding_mask(source_lengths, S)"),
        *mlp("encoder", 2, "S"),
        final_norm("encoder", "S", norms),
        Part(
            id="memory",
            label="Memory Z",
            title="Memory",
            text=memory + "decoder reads it.",
            place="encoder",
            out="B S C",
            shapes=(("Z", "B S C"),),
            code="memory = self.encode(sources, lengths)",
        ),
    ]


def decoder_parts(norms: tuple[str, ...]) -> list[Part]:
    """The right half of the drawing, from bottom to top."""
    title = "Target text, shifted right"
    text = "B translations of T tokens behind ⟨start⟩: position t holds the token before the one that it has to predict."
    back = (
        "As in the encoder, but no position may look ahead: position t predicts token t + 1 and must not see it. So all "
        "positions can be trained at once. Padding needs no mask here: it stands at the end, ahead of every real token."
    )
    cross = (
        "The decoder asks the encoder. Queries come from the decoder, keys and values from the memory Z. Every position of the "
        "target may look at the whole source, except its padding."
    )
    logits = (
        "One logit for every word of the target vocabulary, at every position. The matrix is the target's embedding E, tied."
    )
    return [
        *below("decoder", "target", "T", "V", title, text),
        *attention("decoder", "masked", 1, ("T", "T"), "Masked self-attention of the decoder", back, "causal_mask(T)"),
        *attention("decoder", "cross", 2, ("T", "S"), "Cross-attention", cross, "padding_mask(source_lengths, S)"),
        *mlp("decoder", 3, "T"),
        final_norm("decoder", "T", norms),
        Part(
            id="logits",
            label="Linear",
            title="Linear layer",
            text=logits,
            place="decoder",
            role="output",
            out="B T V",
            shapes=(("in", "B T C"), ("logits z", "B T V")),
            path="output",
            formula=("z = Y E^{⊤}",),
            code="logits = self.output(x)",
        ),
        Part(
            id="softmax",
            label="Softmax",
            title="Softmax",
            text="At position t: how probable each word is as token t + 1, given the source and the target up to t.",
            place="decoder",
            role="output",
            out="B T V",
            shapes=(("logits z", "B T V"), ("probabilities q", "B T V")),
            formula=("q_{w} = exp(z_{w}) / Σ_{v} exp(z_{v})",),
            code="probabilities = logits.softmax(-1)",
        ),
    ]


def block_parts() -> list[Part]:
    """One block by itself."""
    asks = (
        "Every position asks every position, its own included, in H heads at once: the only place of a block where positions "
        "exchange anything. Padding is no word: no query may look at it."
    )
    mask, x = "padding_mask(lengths, T)", (("X", "B T C"),)
    start = "One vector for every token: embedding and position, or what the block below has computed."
    end = "As many vectors, as wide as those that came in. That is why blocks can be stacked."
    return [
        Part("block_in", "X", "What comes in", start, "block", out="B T C", shapes=x),
        *attention("block", "self", 1, ("T", "T"), "Multi-head self-attention", asks, f"{mask}|causal_mask(T) & {mask}"),
        *mlp("block", 2, "T"),
        Part("block_out", "X", "What goes out", end, "block", out="B T C", shapes=x),
    ]


def parts_of(part: str, final: bool | None = None) -> list[Part]:
    """All parts of the drawing, from bottom to top; ``final``: with a norm at the end of a stack, by default with pre-norm."""
    norms = ("pre",) if final is None else NORMS if final else ()
    return block_parts() if part == "block" else [*encoder_parts(norms), *decoder_parts(norms)]
