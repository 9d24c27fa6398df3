"""GPT-2's first weights (Radford et al. 2019, section 2.3): what ends a sublayer begins smaller, by the root of how many there
are."""

import math
import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def residual_init(draws, std):
    N = sum(name.endswith("attn.c_proj.weight") for name in draws)
    weights = {}
    for name, z in draws.items():
        if name.endswith("bias"):
            weights[name] = torch.zeros_like(z)
        elif "ln_" in name:
            weights[name] = torch.ones_like(z)
        elif name.endswith("c_proj.weight"):
            weights[name] = std / math.sqrt(2 * N) * z
        else:
            weights[name] = std * z
    return weights


# Right, written differently


def with_the_last_part_of_the_name(draws, std):
    layers = {name.split(".")[1] for name in draws if name[:2] == "h."}

    def scale(name):
        module = name.split(".")[-2]
        return std * (2 * len(layers)) ** -0.5 if module == "c_proj" else std

    return {
        name: (z * scale(name)) if z.ndim == 2 else torch.full_like(z, float(name.endswith("weight")))
        for name, z in draws.items()
    }


def all_matrices_first(draws, std):
    """All are drawn alike, and then the ends of the sublayers are divided once more."""
    found = {name: torch.mul(z, std) for name, z in draws.items()}
    ends = [name for name in found if name.endswith(("attn.c_proj.weight", "mlp.c_proj.weight"))]
    for name in ends:
        found[name] = found[name] / len(ends) ** 0.5
    for name, z in draws.items():
        if z.dim() == 1:
            found[name] = z * 0 + (1 if name.endswith(".weight") else 0)
    return found


def layer_by_layer(draws, std):
    numbers = sorted({int(name.split(".")[1]) for name in draws if name.startswith("h.")})
    outside = {name: z for name, z in draws.items() if not name.startswith("h.")}
    found = {name: std * z for name, z in outside.items() if "ln_f" not in name}
    found |= {name: torch.ones(len(z)).to(z) if "weight" in name else z - z for name, z in outside.items() if "ln_f" in name}
    for n in numbers:
        for part in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj", "ln_1", "ln_2"):
            for kind in ("weight", "bias"):
                z = draws.get(name := f"h.{n}.{part}.{kind}")
                if z is None:
                    continue
                variance = std**2 / (2 * len(numbers)) if part.endswith("c_proj") else std**2
                fixed = z.new_ones(z.shape) if part.startswith("ln") else z.new_zeros(z.shape)
                found[name] = math.sqrt(variance) * z if kind == "weight" and part[:2] != "ln" else fixed
                if kind == "bias":
                    found[name] = z.new_zeros(z.shape)
    return {name: found[name] for name in draws}


# Wrong: the docstring is the hint


def _layers(draws):
    return sum(name.endswith("attn.c_proj.weight") for name in draws)


def _made(draws, std, narrow, ends="c_proj.weight"):
    """The weights, with another standard deviation for the ends of the sublayers, or other ends."""
    right = residual_init(draws, std)
    matrices = {name: z for name, z in draws.items() if z.ndim == 2}
    return right | {name: (narrow if name.endswith(ends) else std) * z for name, z in matrices.items()}


def all_matrices_alike(draws, std):
    """All matrices have the same standard deviation, so the stream grows with the depth. Which matrices end a sublayer, and
    what are they divided by?"""
    return _made(draws, std, std)


def divided_by_the_root_of_the_layers(draws, std):
    """You divided by the root of N. How many contributions does each layer add to the stream?"""
    return _made(draws, std, std / math.sqrt(_layers(draws)))


def divided_by_their_number(draws, std):
    """You divided by 2N. The variances of the 2N contributions add up, and a variance is the square of a standard deviation:
    what must each standard deviation be divided by?"""
    return _made(draws, std, std / (2 * _layers(draws)))


def multiplied_by_the_root(draws, std):
    """The ends of the sublayers were multiplied by the root of 2N: the deeper the model, the larger they begin. Their sum is
    to stay as it is, so each has to be smaller."""
    return _made(draws, std, std * math.sqrt(2 * _layers(draws)))


def only_the_attention(draws, std):
    """Only the attention's last matrix was made smaller. The network of a layer adds to the stream as well: its last matrix is
    called mlp.c_proj."""
    return _made(draws, std, std / math.sqrt(2 * _layers(draws)), "attn.c_proj.weight")


def only_the_network(draws, std):
    """Only the last matrix of the networks was made smaller. The attention adds to the stream as well: its last matrix is
    called attn.c_proj."""
    return _made(draws, std, std / math.sqrt(2 * _layers(draws)), "mlp.c_proj.weight")


def all_of_a_layer(draws, std):
    """All matrices of the layers were made smaller. Only those that end a sublayer add to the stream; c_attn and c_fc stand
    before a softmax or an activation."""
    return _made(draws, std, std / math.sqrt(2 * _layers(draws)), ("c_proj.weight", "c_attn.weight", "c_fc.weight"))


def embeddings_too(draws, std):
    """The embeddings were made smaller too. Tokens and positions are added once, whatever the depth: they keep the standard
    deviation σ."""
    return _made(draws, std, std / math.sqrt(2 * _layers(draws)), ("c_proj.weight", "wte.weight", "wpe.weight"))


def the_first_instead_of_the_last(draws, std):
    """The first matrices of the sublayers were made smaller, c_attn and c_fc. The result of which matrix is added to the
    stream?"""
    return _made(draws, std, std / math.sqrt(2 * _layers(draws)), ("c_attn.weight", "c_fc.weight"))


def one_digit_of_the_number(draws, std):
    """Layers were told apart by the first digit of their number. From layer 10 on there are two: take all that stands between
    the dots."""
    layers = len({name[2] for name in draws if name.startswith("h.")})
    return _made(draws, std, std / math.sqrt(2 * layers))


def number_of_the_last_layer(draws, std):
    """N was taken to be the number of the last layer. They are counted from 0: how many are there? With a single layer it
    shows best."""
    last = max(int(name.split(".")[1]) for name in draws if name.startswith("h."))
    return _made(draws, std, std / math.sqrt(2 * max(last, 0.5)))


def smaller_layer_by_layer(draws, std):
    """Each layer was divided by its own number: the first begins large and the last small. All layers begin alike, and N is
    how many there are in all."""
    right = residual_init(draws, std)
    for name, z in draws.items():
        if name.endswith("c_proj.weight"):
            right[name] = std / math.sqrt(2 * (int(name.split(".")[1]) + 1)) * z
    return right


def variance_for_deviation(draws, std):
    """σ was taken for a variance: the numbers were multiplied by its root. A standard normal number times σ has the standard
    deviation σ."""
    return _made(draws, math.sqrt(std), math.sqrt(std / (2 * _layers(draws))))


def always_two_hundredths(draws, std):
    """The standard deviation is 0.02, whatever `std` says. That is the one of GPT-2, which is 768 wide; narrower models
    begin with a larger one."""
    return residual_init(draws, 0.02)


def biases_drawn(draws, std):
    """The biases were drawn like matrices. A fresh GPT-2 has biases of 0."""
    return residual_init(draws, std) | {name: std * z for name, z in draws.items() if name.endswith("bias")}


def norms_drawn(draws, std):
    """The gains of the norms were drawn like matrices. A fresh norm changes nothing: which number does it multiply with?"""
    norms = [name for name in draws if "ln_" in name and name.endswith("weight")]
    return residual_init(draws, std) | {name: std * draws[name] for name in norms}


def norms_zero(draws, std):
    """The gains of the norms are 0. A norm multiplies with its gain: nothing would get through."""
    norms = [name for name in draws if "ln_" in name and name.endswith("weight")]
    return residual_init(draws, std) | {name: torch.zeros_like(draws[name]) for name in norms}


def last_norm_forgotten(draws, std):
    """The gain of the last norm was drawn like a matrix. It stands outside of the layers, is called ln_f, and begins with 1
    like the others."""
    name = "ln_f.weight"
    return residual_init(draws, std) | ({name: std * draws[name]} if name in draws else {})


def norms_all_one(draws, std):
    """The biases of the norms are 1. Only their gains are; what a norm adds begins with 0."""
    norms = [name for name in draws if "ln_" in name]
    return residual_init(draws, std) | {name: torch.ones_like(draws[name]) for name in norms}


def only_what_is_scaled(draws, std):
    """The result holds only the matrices that end a sublayer. A model needs all of its parameters: one tensor for each
    name."""
    return {name: z for name, z in residual_init(draws, std).items() if name.endswith("c_proj.weight")}


def draws_overwritten(draws, std):
    """The weights are right, but the numbers that you were given were changed. The caller may still need them: make new
    tensors."""
    for name, weights in residual_init(draws, std).items():
        draws[name].copy_(weights)
    return dict(draws)


def biases_of_the_ends_drawn(draws, std):
    """The biases of c_proj were drawn like its matrix. All biases begin with 0: look at the end of a name before you look for
    c_proj in it."""
    ends = [name for name in draws if name.endswith("c_proj.bias")]
    narrow = std / math.sqrt(2 * _layers(draws))
    return residual_init(draws, std) | {name: narrow * draws[name] for name in ends}


def cases(rng: random.Random) -> list[Case]:
    ends = {f"h.{n}.{part}.c_proj.weight": torch.tensor([[1.0, -1.0]]) for n in range(11) for part in ("attn", "mlp")}
    return [
        public("some parameters of one layer", _by_hand(), 0.04),
        public("two layers", _model(rng, 2, 2), 0.5),
        public("eleven layers, and nothing but what ends their sublayers", ends, 0.25),
        hidden("three layers", _model(rng, 3, 2), 0.02),
        hidden("one layer", _model(rng, 1, 4), 1.3),
        hidden("thirteen layers", {name: z for name, z in _model(rng, 13, 2).items() if "c_proj.weight" in name}, 0.1),
        hidden("double precision", {name: z.double() for name, z in _model(rng, 2, 2).items()}, 0.02),
    ]


def _by_hand() -> dict[str, torch.Tensor]:
    return {
        "wte.weight": torch.tensor([[1.0], [-2.0]]),
        "h.0.ln_1.weight": torch.tensor([0.5]),
        "h.0.ln_1.bias": torch.tensor([-1.0]),
        "h.0.attn.c_proj.weight": torch.tensor([[3.0]]),
        "h.0.mlp.c_proj.weight": torch.tensor([[-1.0], [2.0]]),
        "h.0.mlp.c_proj.bias": torch.tensor([1.0]),
    }


def _model(rng: random.Random, layers: int, width: int) -> dict[str, torch.Tensor]:
    """A standard normal number for every parameter of a GPT-2, in the order of its checkpoint."""
    norm = {"weight": (width,), "bias": (width,)}
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (3, width), "wpe.weight": (2, width)}
    for n in range(layers):
        for part, (inputs, outputs) in {
            "attn.c_attn": (1, 3),
            "attn.c_proj": (1, 1),
            "mlp.c_fc": (1, 2),
            "mlp.c_proj": (2, 1),
        }.items():
            shapes[f"h.{n}.{part}.weight"] = (inputs * width, outputs * width)
            shapes[f"h.{n}.{part}.bias"] = (outputs * width,)
        shapes |= {f"h.{n}.{part}.{kind}": size for part in ("ln_1", "ln_2") for kind, size in norm.items()}
    shapes |= {f"ln_f.{kind}": size for kind, size in norm.items()}
    return {name: normal(rng, *shape) for name, shape in shapes.items()}


EXERCISE = Exercise(
    chapter="ch16_gpt",
    minutes=20,
    difficulty=2,
    points=3,
    reference=residual_init,
    right=[with_the_last_part_of_the_name, all_matrices_first, layer_by_layer],
    wrong=[
        all_matrices_alike,
        divided_by_the_root_of_the_layers,
        divided_by_their_number,
        multiplied_by_the_root,
        only_the_attention,
        only_the_network,
        all_of_a_layer,
        embeddings_too,
        the_first_instead_of_the_last,
        one_digit_of_the_number,
        number_of_the_last_layer,
        smaller_layer_by_layer,
        variance_for_deviation,
        always_two_hundredths,
        biases_drawn,
        norms_drawn,
        norms_zero,
        last_norm_forgotten,
        norms_all_one,
        only_what_is_scaled,
        draws_overwritten,
        biases_of_the_ends_drawn,
    ],
    cases=cases,
    ready=("lmcore",),
)
