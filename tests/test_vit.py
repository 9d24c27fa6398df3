"""Patches and back, the encoder, classifier and captioner: what they compute, what they must not depend on, bad input."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lmcore.batches import IGNORE
from lmcore.generate import Stepper, Uncached, generate
from lmcore.positions import Learned
from lmcore.vit import (
    Captioner,
    Captions,
    Pictures,
    Vit,
    VitClassifier,
    VitConfig,
    caption_loss,
    moved,
    patchify,
    picture_loss,
    unpatchify,
)

B, c, P, GRID = 5, 2, 3, (2, 4)  # 6 × 12 pixels, 8 patches of 18 numbers
N, T = math.prod(GRID), 1 + math.prod(GRID)
CONFIG = VitConfig((6, 12), patch=P, channels=c, dim=21, heads=7, layers=2, hidden=19)
V, W = 11, 4
PAD, START, END = 0, 1, 2


def some(b: int = B, seed: int = 3) -> torch.Tensor:
    return torch.randn(b, c, 6, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def randomised(model: torch.nn.Module, seed: int = 5) -> torch.nn.Module:
    torch.manual_seed(seed)
    for parameter in model.parameters():  # nothing is left at 0 or 1, so that no part can be forgotten
        torch.nn.init.normal_(parameter, std=0.4)
    return model.double()


# ---------------------------------------------------------------- patches


def test_patches_lie_as_they_are_drawn():
    """Pixel by pixel, from the definition: patch (i, j), row and column in it, channel."""
    images, h, w = torch.arange(2 * c * 6 * 12).view(2, c, 6, 12), 6, 12
    found = patchify(images, P)
    assert found.shape == (2, N, P * P * c)
    for b, i, j, y, x, k in itertools.product(range(2), range(h // P), range(w // P), range(P), range(P), range(c)):
        assert found[b, i * (w // P) + j, (y * P + x) * c + k] == images[b, k, i * P + y, j * P + x]


@pytest.mark.parametrize(
    ("b", "channels", "height", "width", "patch"),
    [(2, 3, 10, 15, 5), (1, 1, 7, 7, 7), (3, 2, 4, 6, 1), (7, 5, 22, 2, 2), (1, 1, 1, 13, 1)],
)
def test_back_and_forth_is_where_we_began(b, channels, height, width, patch):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(b, channels, height, width, generator=generator)
    patches = patchify(images, patch)
    assert patches.shape == (b, height * width // patch**2, patch**2 * channels)
    assert torch.equal(unpatchify(patches, patch, height, width), images)
    rows = torch.randn(patches.shape, generator=generator)
    assert torch.equal(patchify(unpatchify(rows, patch, height, width), patch), rows)


def test_patches_keep_the_type_and_are_those_of_unfold():
    images = some()
    unfolded = F.unfold(images, P, stride=P).transpose(1, 2)  # the channels of a patch one after the other
    ours = patchify(images, P).unflatten(2, (P * P, c)).transpose(2, 3).flatten(2)
    assert torch.equal(ours, unfolded)
    assert patchify((images * 9).to(torch.uint8), P).dtype == torch.uint8


def test_a_matrix_on_patches_is_a_convolution_with_that_stride():
    model = randomised(Vit(CONFIG))
    kernel = model.patches.weight.unflatten(1, (P, P, c)).permute(0, 3, 1, 2)
    expected = F.conv2d(some(), kernel, model.patches.bias, stride=P).flatten(2).transpose(1, 2)
    torch.testing.assert_close(model.patches(patchify(some(), P)), expected, atol=1e-12, rtol=0)


# ---------------------------------------------------------------- encoder


def plain(model: Vit, images: torch.Tensor) -> torch.Tensor:
    """The encoder once more, from torch's own layers."""
    x = model.patches(patchify(images, P))
    x = torch.cat([model.cls.expand(len(x), 1, -1), x], dim=1) + model.positions.weight
    layer = torch.nn.TransformerEncoderLayer(
        21, 7, 19, dropout=0.0, activation="gelu", layer_norm_eps=1e-12, batch_first=True, norm_first=True
    )
    for ours in model.layers:
        layer.double().load_state_dict(ours.state_dict())
        x = layer(x)
    return F.layer_norm(x, (21,), model.norm.weight, model.norm.bias, 1e-12)


def test_the_encoder_equals_torchs_layers():
    model = randomised(Vit(CONFIG))
    torch.testing.assert_close(model(some()), plain(model, some()), atol=1e-12, rtol=0)


def test_what_is_looked_at():
    model = randomised(Vit(CONFIG))
    plainly, looked = model.look(some()), model.look(some(), weights=True)
    assert plainly.weights is None
    assert len(looked.states) == 3
    assert [tuple(w.shape) for w in looked.weights] == [(B, 7, T, T)] * 2
    for weights in looked.weights:
        torch.testing.assert_close(weights.sum(-1), torch.ones(B, 7, T, dtype=torch.float64))
    for a, b in zip(plainly.states, looked.states, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)
    torch.testing.assert_close(model.norm(looked.states[-1]), model(some()), atol=1e-12, rtol=0)


def test_every_pixel_reaches_every_place():
    model = randomised(Vit(CONFIG))
    images = some(1).requires_grad_()
    for place in (0, 1, N):
        (gradient,) = torch.autograd.grad(model(images)[0, place].sum(), images)
        assert (gradient != 0).all()


def test_pictures_of_a_batch_do_not_see_each_other():
    model = randomised(Vit(CONFIG))
    together = model(some())
    for row in range(B):
        torch.testing.assert_close(model(some()[row : row + 1])[0], together[row], atol=1e-12, rtol=0)


def test_without_positions_the_order_of_the_patches_is_lost():
    model = randomised(VitClassifier(CONFIG, 3))
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    moved = unpatchify(patchify(some(), P)[:, order], P, 6, 12)
    assert not torch.allclose(model(moved), model(some()))
    with torch.no_grad():
        model.vit.positions.weight[1:] = model.vit.positions.weight[1]
    torch.testing.assert_close(model(moved), model(some()), atol=1e-12, rtol=0)


def test_moving_patches_and_positions_together_changes_nothing():
    """Why shuffled patches are as easy to learn as a picture: the rows of one matrix are in another order, and no more."""
    model, other = randomised(VitClassifier(CONFIG, 3)), randomised(VitClassifier(CONFIG, 3))
    order = torch.randperm(N, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        other.vit.positions.weight[1:] = model.vit.positions.weight[1:][order]
    moved = unpatchify(patchify(some(), P)[:, order], P, 6, 12)
    torch.testing.assert_close(other(moved), model(some()), atol=1e-12, rtol=0)


def test_a_fresh_classifier_has_no_opinion_and_learns_one():
    torch.manual_seed(0)
    model = VitClassifier(CONFIG, 5)
    images, labels = some(20).float(), torch.arange(20) % 5
    loss = picture_loss(model, (images, labels))
    assert float(loss.detach()) == pytest.approx(math.log(5), abs=1e-6)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = picture_loss(model, (images, labels))
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.1
    assert (model(images).argmax(1) == labels).all()


def test_an_encoder_that_is_there_is_used_and_not_copied():
    vit = Vit(CONFIG)
    first, second = VitClassifier(CONFIG, 3, vit=vit), Captioner(CONFIG, V, positions="learned", vit=vit)
    assert first.vit is vit
    assert second.vit is vit


def test_a_fresh_model_begins_as_the_code_of_the_paper():
    torch.manual_seed(1)
    model = Vit(dataclasses.replace(CONFIG, dim=63, hidden=97))
    assert float(model.positions.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert float(Vit(model.config, position_std=0.7).positions.weight.detach().std()) == pytest.approx(0.7, rel=0.1)
    assert not Vit(model.config, position_std=0).positions.weight.any()
    assert float(model.patches.weight.detach().std()) == pytest.approx(18**-0.5, rel=0.1)
    assert float(model.layers[1].linear1.weight.detach().abs().max()) == pytest.approx(math.sqrt(6 / 160), rel=0.01)
    assert not model.cls.any()
    assert all(not p.any() for n, p in model.named_parameters() if n.endswith("bias"))
    assert model.norm.eps == model.layers[0].norm1.eps == 1e-12
    assert isinstance(model.positions, Learned)


def test_the_usual_size_is_that_of_the_paper():
    with torch.device("meta"):
        model = VitClassifier(VitConfig(), 1000)
    assert sum(p.numel() for p in model.parameters()) == 86_567_656  # ViT-B/16 at 224 × 224 with 1,000 classes
    assert model.vit.config.grid == (14, 14)


def test_dropout_is_for_training_only():
    model = randomised(VitClassifier(dataclasses.replace(CONFIG, dropout=0.5), 3))
    assert not torch.equal(model(some()), model(some()))
    model.eval()
    assert torch.equal(model(some()), model(some()))


# ---------------------------------------------------------------- captioner


@pytest.fixture(params=["sinusoidal", "learned"])
def captioner(request) -> Captioner:
    config = dataclasses.replace(CONFIG, dim=28)  # sinusoids come in pairs
    return randomised(Captioner(config, V, layers=3, positions=request.param, max_length=9)).eval()


def words(b: int = B, seed: int = 4) -> torch.Tensor:
    return torch.randint(3, V, (b, W), generator=torch.Generator().manual_seed(seed))


def test_no_word_sees_the_next_and_every_word_sees_all_patches(captioner):
    images, ids = some(1).requires_grad_(), words(1)
    seen: list[torch.Tensor] = []
    captioner.target.register_forward_hook(lambda module, given, out: seen.append(out) or out.retain_grad())
    logits = captioner(images, ids)
    for place in range(W):
        gradient, pixels = torch.autograd.grad(logits[0, place].square().sum(), [seen[0], images], retain_graph=True)
        reached = gradient[0].abs().sum(1) > 0
        assert reached.tolist() == [t <= place for t in range(W)]
        assert (pixels != 0).all()


def test_the_captioner_can_be_decoded_with_and_without_its_cache(captioner):
    assert isinstance(captioner, Stepper)
    images, first = some(), torch.full((B,), START)
    state, plainly = captioner.begin(images), Uncached(captioner)
    other = plainly.begin(torch.empty(B, 0, dtype=torch.long), images)
    tokens = first
    for t in range(W):
        before = [len(own) for own, _ in state.caches]
        logits, new = captioner.step(tokens, state)
        expected, other = plainly.step(tokens, other)
        torch.testing.assert_close(logits, expected, atol=1e-10, rtol=0)
        assert [len(own) for own, _ in state.caches] == before == [t] * 3  # the old state is what it was
        rows = torch.tensor([4, 0, 0, 3, 1])
        state, other = captioner.select(new, rows), plainly.select(other, rows)
        tokens = words()[rows, t]
    how = {"given": (images,), "end": END, "never": (PAD, START), "max_new": 7}
    for width in (1, 3):
        cached = generate(captioner, [[START]] * B, width=width, **how)
        anew = generate(captioner, [[START]] * B, width=width, cache=False, **how)
        assert [h.ids for h in cached] == [h.ids for h in anew]
        for a, b in zip(cached, anew, strict=True):
            assert a.log_prob == pytest.approx(b.log_prob)
    for row in range(B):
        assert generate(captioner, [[START]], **{**how, "given": (images[row : row + 1],)})[0].ids == generate(
            captioner, [[START]] * B, **how
        )[row].ids  # fmt: skip


def test_cross_weights_belong_to_patches(captioner):
    found = captioner.cross_weights(some(), words())
    assert found.shape == (B, 3, 7, W, N)
    torch.testing.assert_close(found.sum(-1), torch.ones(B, 3, 7, W, dtype=torch.float64))
    layer = captioner.decoder.layers[0]  # the first layer once more, by torch's own attention
    attention = torch.nn.MultiheadAttention(28, 7, batch_first=True).double()
    attention.load_state_dict(layer.multihead_attn.state_dict())
    x = captioner.target(words())
    x = x + layer.self_attn(layer.norm1(x), causal=True)[0]
    memory = captioner.vit(some())[:, 1:]
    _, expected = attention(layer.norm2(x), memory, memory, average_attn_weights=False)
    torch.testing.assert_close(found[:, 0], expected, atol=1e-12, rtol=0)


def test_the_loss_is_that_of_the_real_words(captioner):
    texts = [[3, 4], [5], [6, 7, 8], [9, 3, 3], [4]]
    stream = Captions(some(), texts, B, pad=PAD, start=START, end=END, shuffle=False, epochs=1)
    (batch,) = stream
    total = 0.0
    for row, text in enumerate(texts):
        logits = captioner(some()[row : row + 1], torch.tensor([[START, *text]]))[0]
        total += float(F.cross_entropy(logits, torch.tensor([*text, END]), reduction="sum").detach())
    count = sum(len(text) + 1 for text in texts)
    assert float(caption_loss(captioner, batch).detach()) == pytest.approx(total / count)


def test_a_captioner_learns_what_is_where():
    """Which half of the picture is bright: the caption must say it, and the words must depend on the picture alone."""
    torch.manual_seed(0)
    model = Captioner(dataclasses.replace(CONFIG, channels=1, dim=24, heads=3), 6, layers=1, max_length=4)
    images = torch.zeros(2, 6, 12)
    images[0, :, :6] = images[1, :, 6:] = 1
    stream = Captions(images.repeat(8, 1, 1), [[3, 4], [3, 5]] * 8, 16, pad=PAD, start=START, end=END)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _, batch in zip(range(60), stream, strict=False):
        optimizer.zero_grad()
        caption_loss(model, batch).backward()
        optimizer.step()
    said = generate(model, [[START]] * 2, given=(images[:, None],), end=END, max_new=4)
    assert [h.ids for h in said] == [(3, 4), (3, 5)]


# ---------------------------------------------------------------- streams


def test_pictures_come_with_their_labels_once_per_epoch_and_resume():
    images, labels = np.arange(7.0)[:, None, None] * np.ones((7, 2, 3)), np.arange(7) % 3
    stream = Pictures(images, labels, 3, seed=5, epochs=2)
    taken = list(stream)
    assert [len(b[1]) for b in taken] == [3, 3, 1] * 2
    for epoch in (taken[:3], taken[3:]):
        assert sorted(int(x[0, 0, 0]) for batch in epoch for x in batch[0]) == list(range(7))
    for pictures, classes in taken:
        assert pictures.shape[1:] == (1, 2, 3)
        assert pictures.dtype == torch.float32
        assert (pictures[:, 0, 0, 0].long() % 3 == classes).all()
    again = Pictures(images, labels, 3, seed=5, epochs=2)
    next(again)
    resumed = Pictures(images, labels, 3, seed=5, epochs=2)
    resumed.load_state_dict(again.state_dict())
    assert torch.equal(next(resumed)[0], taken[1][0])


def test_captions_stay_with_their_pictures():
    images = torch.arange(9.0)[:, None, None, None].expand(9, c, 6, 12)
    texts = [[3 + i] * (1 + i % 4) for i in range(8)] + [[10]]
    for batch in Captions(images, texts, 4, pad=PAD, start=START, end=END, seed=1, epochs=1):
        for picture, read, target in zip(batch.images, batch.inputs, batch.targets, strict=True):
            text = texts[int(picture[0, 0, 0])]
            assert read[: len(text) + 1].tolist() == [START, *text]
            assert target[: len(text) + 1].tolist() == [*text, END]
            assert (read[len(text) + 1 :] == PAD).all()
            assert (target[len(text) + 1 :] == IGNORE).all()


def test_pictures_move_by_whole_pixels_in_all_directions():
    torch.manual_seed(0)
    images = torch.zeros(3000, 2, 7, 11)
    images[:, 1, 3, 5] = torch.arange(1.0, 3001)
    found = moved(images, 2)
    assert found.shape == images.shape
    assert torch.equal(found.amax((1, 2, 3)), torch.arange(1.0, 3001))  # every picture its own, none lost
    assert torch.equal((found > 0).sum((1, 2, 3)), torch.ones(3000, dtype=torch.long))
    places = torch.nonzero(found[:, 1])[:, 1:] - torch.tensor([3, 5])
    assert {tuple(place) for place in places.tolist()} == {(y, x) for y in range(-2, 3) for x in range(-2, 3)}
    assert places.double().mean(0).abs().max() < 0.15
    assert moved(images, 0) is images


def test_what_leaves_the_picture_is_gone_and_paper_comes_in():
    torch.manual_seed(1)
    found = moved(torch.ones(500, 1, 5, 5), 2)
    assert set(found.sum((1, 2, 3)).int().tolist()) == {a * b for a in (3, 4, 5) for b in (3, 4, 5)}
    assert torch.equal(moved(torch.ones(50, 1, 5, 5), 2, paper=1), torch.ones(50, 1, 5, 5))


# ---------------------------------------------------------------- wrong calls


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"patch": 5}, "6 × 12 cannot be cut into patches of patch=5"),
        ({"image_size": 10}, "10 × 10 cannot"),
        ({"image_size": (6, 12, 3)}, "one number of pixels, or rows and columns"),
        ({"image_size": (6, 0)}, r"image_size\[1\]=0"),
        ({"heads": 4}, "dim=21 cannot be shared among heads=4"),
        ({"channels": 0}, "channels=0"),
        ({"dropout": 1.0}, r"dropout=1\.0 is no probability"),
        ({"eps": 0.0}, r"eps=0\.0"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changed, message, unchecked):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **changed)


def test_what_does_not_fit_is_refused(unchecked):
    with pytest.raises(ValueError, match=r"images\[:, None\]"):
        patchify(torch.zeros(2, 6, 6), 3)
    with pytest.raises(ValueError, match="2 × 6 × 12 pictures cannot be cut into patches of 4 × 4"):
        patchify(some(), 4)
    with pytest.raises(ValueError, match="has 8 patches of 3 × 3, each with a multiple of 9"):
        unpatchify(torch.zeros(1, 7, 18), 3, 6, 12)
    with pytest.raises(ValueError, match="has no patches of 3 × 3"):
        unpatchify(torch.zeros(1, 8, 18), 3, 6, 13)
    model = randomised(VitClassifier(CONFIG, 3))
    for wrong in (some()[:, :1], some()[..., :6], some().long(), "a picture"):
        with pytest.raises(ValueError, match=r"shape \(B, 2, 6, 12\); got"):
            model(wrong)
    with pytest.raises(ValueError, match=r"Give config=vit\.config"):
        VitClassifier(dataclasses.replace(CONFIG, layers=1), 3, vit=Vit(CONFIG))
    with pytest.raises(ValueError, match="4 rows for 5 pictures"):
        randomised(Captioner(CONFIG, V, positions="learned"))(some(), words(4))
    with pytest.raises(ValueError, match=r"position_std=-0\.1 is not allowed"):
        Vit(CONFIG, position_std=-0.1)
    with pytest.raises(ValueError, match="positions='rotary' is not allowed; use one of sinusoidal, learned, none"):
        Captioner(CONFIG, V, positions="rotary")
    with pytest.raises(ValueError, match="labels has 2 entries for 5 pictures"):
        Pictures(some(), [1, 2], 3)
    with pytest.raises(ValueError, match="texts has 1 entries for 5 pictures"):
        Captions(some(), [[3]], 3, pad=0, start=1, end=2)
    with pytest.raises(ValueError, match="at least one picture"):
        Pictures(np.zeros((0, 3, 3)), [], 3)
