"""A pre-norm block as in GPT: causal self-attention and a network, each on a normalised copy of what runs through. It is
swapped into a Transformer."""

import random

import torch
import torch.nn.functional as F

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case

# The two functions of the chapter's exercises before may be used here: what is asked is how the parts go together.
READY = (
    "torch.nn.TransformerEncoderLayer.forward",
    "torch.nn.TransformerDecoderLayer.forward",
    "torch.nn.MultiheadAttention.forward",
    "torch.nn.functional.multi_head_attention_forward",
    "torch._transformer_encoder_layer_fwd",
    "torch._native_multi_head_attention",
    "lmcore",
)


def pre_norm_block(x, p, heads):
    x = x + _attention(_norm(x, p["norm1.weight"], p["norm1.bias"]), p, heads)
    return x + _network(_norm(x, p["norm2.weight"], p["norm2.bias"]), p)


def _norm(x, weight, bias):
    return F.layer_norm(x, weight.shape, weight, bias)


def _attention(h, p, heads):
    qkv = h @ p["self_attn.in_proj_weight"].T + p["self_attn.in_proj_bias"]
    q, k, v = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=2))
    found = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
    return found @ p["self_attn.out_proj.weight"].T + p["self_attn.out_proj.bias"]


def _network(h, p):
    return torch.relu(h @ p["linear1.weight"].T + p["linear1.bias"]) @ p["linear2.weight"].T + p["linear2.bias"]


# Right, written differently


def step_by_step(x, p, heads):
    size = x.shape[1]
    future = torch.ones(size, size, device=x.device).triu(1).bool()
    centred = x - x.mean(-1, keepdim=True)
    h = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * p["norm1.weight"] + p["norm1.bias"]
    W_q, W_k, W_v = p["self_attn.in_proj_weight"].chunk(3)
    b_q, b_k, b_v = p["self_attn.in_proj_bias"].chunk(3)
    q, k, v = h @ W_q.T + b_q, h @ W_k.T + b_k, h @ W_v.T + b_v
    found = []
    for q_h, k_h, v_h in zip(q.chunk(heads, 2), k.chunk(heads, 2), v.chunk(heads, 2), strict=True):
        scores = q_h @ k_h.mT * q_h.shape[2] ** -0.5
        found.append(scores.masked_fill(future, float("-inf")).softmax(2) @ v_h)
    x = x + torch.cat(found, 2) @ p["self_attn.out_proj.weight"].T + p["self_attn.out_proj.bias"]
    centred = x - x.mean(-1, keepdim=True)
    h = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * p["norm2.weight"] + p["norm2.bias"]
    hidden_layer = (h @ p["linear1.weight"].T + p["linear1.bias"]).clamp(min=0)
    return x + hidden_layer @ p["linear2.weight"].T + p["linear2.bias"]


def with_modules(x, p, heads):
    """The parts are torch's modules, called with these parameters."""
    width, made = x.shape[2], {}
    for name in ("norm1", "norm2", "linear1", "linear2"):
        weight = p[f"{name}.weight"]
        module = torch.nn.LayerNorm(width) if name.startswith("norm") else torch.nn.Linear(*weight.shape[::-1])
        own = {"weight": weight, "bias": p[f"{name}.bias"]}
        made[name] = lambda h, module=module, own=own: torch.func.functional_call(module, own, (h,))
    x = x + _attention(made["norm1"](x), p, heads)
    return x + made["linear2"](F.relu(made["linear1"](made["norm2"](x))))


def sum_kept_apart(x, p, heads):
    """What runs through is kept as a list of what has been added to it."""
    added = [x]
    h = F.layer_norm(sum(added), (x.shape[2],), p["norm1.weight"], p["norm1.bias"])
    qkv = F.linear(h, p["self_attn.in_proj_weight"], p["self_attn.in_proj_bias"])
    q, k, v = qkv.view(*h.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)
    causal = torch.ones(h.shape[1], h.shape[1], dtype=torch.bool, device=h.device).tril()
    seen = F.scaled_dot_product_attention(q, k, v, causal).permute(0, 2, 1, 3).reshape(h.shape)
    added.append(F.linear(seen, p["self_attn.out_proj.weight"], p["self_attn.out_proj.bias"]))
    h = F.layer_norm(sum(added), (x.shape[2],), p["norm2.weight"], p["norm2.bias"])
    inner = F.linear(h, p["linear1.weight"], p["linear1.bias"]).relu()
    added.append(F.linear(inner, p["linear2.weight"], p["linear2.bias"]))
    return torch.stack(added).sum(0)


# Wrong: the docstring is the hint


def _norm1(x, p):
    return _norm(x, p["norm1.weight"], p["norm1.bias"])


def _norm2(x, p):
    return _norm(x, p["norm2.weight"], p["norm2.bias"])


def post_norm(x, p, heads):
    """This is a post-norm block: the sum is normalised. In a pre-norm block only what a part reads is normalised, and what runs
    through the block is never touched but by adding."""
    x = _norm1(x + _attention(x, p, heads), p)
    return _norm2(x + _network(x, p), p)


def parts_normalised_after(x, p, heads):
    """What comes out of each part is normalised before it is added. It is what goes into a part that is normalised."""
    x = x + _norm1(_attention(x, p, heads), p)
    return x + _norm2(_network(x, p), p)


def nothing_added_to_attention(x, p, heads):
    """x goes on only through the attention: its residual connection is missing. What is x after the first half, if the
    attention gives zeros?"""
    x = _attention(_norm1(x, p), p, heads)
    return x + _network(_norm2(x, p), p)


def nothing_added_to_the_network(x, p, heads):
    """What comes out is the network's result alone: the second residual connection is missing."""
    x = x + _attention(_norm1(x, p), p, heads)
    return _network(_norm2(x, p), p)


def nothing_added(x, p, heads):
    """Both residual connections are missing: the parts stand one behind the other. If `out_proj` and `linear2` hold nothing
    but zeros, the block should leave x as it is."""
    return _network(_norm2(_attention(_norm1(x, p), p, heads), p), p)


def normalised_x_added(x, p, heads):
    """The normalised x was added instead of x itself. The normalised copy is for the part to read; what runs through stays as
    it is."""
    h = _norm1(x, p)
    x = h + _attention(h, p, heads)
    h = _norm2(x, p)
    return h + _network(h, p)


def copy_added_first(x, p, heads):
    """In the first half the normalised x was added instead of x itself. The normalised copy is for the attention to read; what
    runs through stays as it is."""
    h = _norm1(x, p)
    x = h + _attention(h, p, heads)
    return x + _network(_norm2(x, p), p)


def copy_added_last(x, p, heads):
    """In the second half the normalised x was added instead of x itself. The normalised copy is for the network to read; what
    runs through stays as it is."""
    x = x + _attention(_norm1(x, p), p, heads)
    h = _norm2(x, p)
    return h + _network(h, p)


def side_by_side(x, p, heads):
    """The network reads the input of the block. It comes after the attention, and reads what x has become by then."""
    return x + _attention(_norm1(x, p), p, heads) + _network(_norm2(x, p), p)


def first_x_added_twice(x, p, heads):
    """The network's result was added to the input of the block, and what the attention found is lost on the way. What runs
    through the block keeps everything that was added."""
    after = x + _attention(_norm1(x, p), p, heads)
    return x + _network(_norm2(after, p), p)


def network_first(x, p, heads):
    """The network comes before the attention. First every place gathers from the others, then it works by itself."""
    x = x + _network(_norm1(x, p), p)
    return x + _attention(_norm2(x, p), p, heads)


def norms_exchanged(x, p, heads):
    """The two normalisations have changed places: norm1 belongs to the attention, norm2 to the network."""
    x = x + _attention(_norm2(x, p), p, heads)
    return x + _network(_norm1(x, p), p)


def attention_not_normalised(x, p, heads):
    """The attention reads x as it is: norm1 plays no part."""
    x = x + _attention(x, p, heads)
    return x + _network(_norm2(x, p), p)


def network_not_normalised(x, p, heads):
    """The network reads x as it is: norm2 plays no part."""
    x = x + _attention(_norm1(x, p), p, heads)
    return x + _network(x, p)


def normalised_at_the_end(x, p, heads):
    """The result was normalised once more. In a pre-norm Transformer one normalisation stands behind the last block, not behind
    each."""
    return _norm2(pre_norm_block(x, p, heads), p)


def looks_ahead(x, p, heads):
    """The attention looks ahead: a change of the last word changes the result at the first. In this block no place looks at a
    later one."""
    width = p["self_attn.out_proj.weight"].shape[0]
    qkv = F.linear(_norm1(x, p), p["self_attn.in_proj_weight"], p["self_attn.in_proj_bias"])
    q, k, v = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in qkv.split(width, 2))
    found = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    x = x + F.linear(found, p["self_attn.out_proj.weight"], p["self_attn.out_proj.bias"])
    return x + _network(_norm2(x, p), p)


def one_head(x, p, heads):
    """One head attends with the whole width C: `heads` plays no part."""
    return pre_norm_block(x, p, 1)


def order_of_the_rows(x, p, heads):
    """The rows of `in_proj_weight` were read in another order than they stand in. Look it up in the statement: what do the
    first C rows make, the next C, and the last C?"""
    turned = {name: torch.cat(p[f"self_attn.in_proj_{name}"].chunk(3)[::-1]) for name in ("weight", "bias")}
    return pre_norm_block(x, {**p, **{f"self_attn.in_proj_{name}": part for name, part in turned.items()}}, heads)


def output_matrix_missing(x, p, heads):
    """What the heads found was added as it is: `out_proj` is missing, which mixes the heads."""
    same = torch.eye(x.shape[2]).to(x)
    return pre_norm_block(x, {**p, "self_attn.out_proj.weight": same, "self_attn.out_proj.bias": 0 * same[0]}, heads)


def network_linear(x, p, heads):
    """The network has no ReLU. Two linear maps behind each other are one linear map: what would the wide layer be for?"""
    x = x + _attention(_norm1(x, p), p, heads)
    inner = F.linear(_norm2(x, p), p["linear1.weight"], p["linear1.bias"])
    return x + F.linear(inner, p["linear2.weight"], p["linear2.bias"])


def network_with_gelu(x, p, heads):
    """The network uses GELU, as BERT and GPT-2 do. In this block it is ReLU, as in the first Transformer."""
    x = x + _attention(_norm1(x, p), p, heads)
    inner = F.gelu(F.linear(_norm2(x, p), p["linear1.weight"], p["linear1.bias"]))
    return x + F.linear(inner, p["linear2.weight"], p["linear2.bias"])


def relu_at_the_end(x, p, heads):
    """The ReLU stands behind the second linear map, so that the network can only ever add positive numbers to x. It belongs
    between the two maps."""
    x = x + _attention(_norm1(x, p), p, heads)
    inner = F.linear(_norm2(x, p), p["linear1.weight"], p["linear1.bias"])
    return x + F.linear(inner, p["linear2.weight"], p["linear2.bias"]).relu()


def only_the_attention(x, p, heads):
    """You return x after the attention. The network is missing, or its result was not added."""
    return x + _attention(_norm1(x, p), p, heads)


def _block(x, p, found):
    """The block around what its heads have found."""
    x = x + F.linear(found, p["self_attn.out_proj.weight"], p["self_attn.out_proj.bias"])
    return x + _network(_norm2(x, p), p)


def _projected(x, p, heads):
    """Queries, keys and values, each of shape (B, T, H, D)."""
    qkv = F.linear(_norm1(x, p), p["self_attn.in_proj_weight"], p["self_attn.in_proj_bias"])
    return (part.unflatten(2, (heads, -1)) for part in qkv.chunk(3, 2))


def mask_of_numbers(x, p, heads):
    """The mask is made of the numbers 1 and 0. torch adds such a mask to the scores: an earlier place gets 1 more, and a later
    one is not forbidden. What must the entries of a mask be to say which places may be looked at?"""
    q, k, v = (part.transpose(1, 2) for part in _projected(x, p, heads))
    mask = torch.ones(x.shape[1], x.shape[1]).to(x).tril()
    return _block(x, p, F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2))


def heads_look_at_each_other(x, p, heads):
    """The heads of one place look at each other, and no place looks at another. The attention takes the last axis but one for
    the places: what stands there when the heads have just been cut?"""
    q, k, v = _projected(x, p, heads)
    return _block(x, p, F.scaled_dot_product_attention(q, k, v, is_causal=True).flatten(2))


def cases(rng: random.Random) -> list[Case]:
    same, zero = torch.eye(2), torch.zeros(2)
    by_hand = {
        "norm1.weight": zero + 1,
        "norm1.bias": zero,
        "self_attn.in_proj_weight": torch.cat([same, same, same]),
        "self_attn.in_proj_bias": torch.zeros(6),
        "self_attn.out_proj.weight": same,
        "self_attn.out_proj.bias": zero,
        "norm2.weight": zero + 1,
        "norm2.bias": zero,
        "linear1.weight": same,
        "linear1.bias": zero,
        "linear2.weight": same,
        "linear2.bias": zero,
    }
    return [
        public("one word, by hand", torch.tensor([[[1.0, 3.0]]]), by_hand, 1),
        public("two texts of three words", normal(rng, 2, 3, 4), _parameters(rng, 4, 5), 2),
        hidden("one text", normal(rng, 1, 5, 6), _parameters(rng, 6, 3), 3),
        hidden("double precision", normal(rng, 3, 2, 3).double(), _parameters(rng, 3, 7, torch.float64), 1),
    ]


def _parameters(rng: random.Random, width: int, inner: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    shapes = {
        "norm1.weight": (width,),
        "norm1.bias": (width,),
        "self_attn.in_proj_weight": (3 * width, width),
        "self_attn.in_proj_bias": (3 * width,),
        "self_attn.out_proj.weight": (width, width),
        "self_attn.out_proj.bias": (width,),
        "norm2.weight": (width,),
        "norm2.bias": (width,),
        "linear1.weight": (inner, width),
        "linear1.bias": (inner,),
        "linear2.weight": (width, inner),
        "linear2.bias": (width,),
    }
    scales = {name: shape[1] ** -0.5 if len(shape) == 2 else 1.0 for name, shape in shapes.items()}
    return {name: (scales[name] * normal(rng, *shape)).to(dtype) for name, shape in shapes.items()}


EXERCISE = Exercise(
    chapter="ch10_transformer_block",
    minutes=30,
    difficulty=3,
    points=5,
    reference=pre_norm_block,
    right=[step_by_step, with_modules, sum_kept_apart],
    wrong=[
        post_norm,
        parts_normalised_after,
        nothing_added_to_attention,
        nothing_added_to_the_network,
        nothing_added,
        normalised_x_added,
        copy_added_first,
        copy_added_last,
        side_by_side,
        first_x_added_twice,
        network_first,
        norms_exchanged,
        attention_not_normalised,
        network_not_normalised,
        normalised_at_the_end,
        looks_ahead,
        one_head,
        order_of_the_rows,
        output_matrix_missing,
        network_linear,
        network_with_gelu,
        relu_at_the_end,
        only_the_attention,
        mask_of_numbers,
        heads_look_at_each_other,
    ],
    cases=cases,
    probe="blocks",
    rtol=1e-3,
    atol=1e-4,
    ready=READY,
)
