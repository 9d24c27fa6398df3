"""The features of Devlin et al. (2019, section 5.3): the last layers side by side, for the first piece of every word."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def layer_concatenation(states, count, first):
    if count >= len(states):
        raise ValueError("there are fewer layers; the embeddings are none")
    rows = torch.arange(len(first)).unsqueeze(1)
    return torch.cat([layer[rows, first] for layer in states[-count:]], dim=-1)


# Right, written differently


def with_permute(states, count, first):
    layers = len(states) - 1
    if count > layers:
        raise ValueError(f"{count} layers were asked for, there are {layers}")
    wide = states[layers - count + 1 :].permute(1, 2, 0, 3).flatten(2)
    return torch.take_along_dim(wide, first[..., None], dim=1)


def with_gather(states, count, first):
    _, *layers = states
    if len(layers) < count:
        raise ValueError("not so many layers")
    index = first.unsqueeze(2).repeat(1, 1, states.shape[-1])
    found = []
    while len(found) < count:
        found.insert(0, layers.pop().gather(1, index))
    return torch.concatenate(found, 2)


def word_by_word(states, count, first):
    n, batch, _, width = states.shape
    if not count < n:
        raise ValueError("count")
    result = states.new_empty(batch, first.shape[1], count * width)
    for b in range(batch):
        for w, place in enumerate(first[b].tolist()):
            for k in range(count):
                result[b, w, k * width : (k + 1) * width] = states[n - count + k, b, place]
    return result


# Wrong: the docstring is the hint


def _words(layers, first):
    """The vectors of the words at every given layer: (layers, B, W, C)."""
    return torch.stack([layer[torch.arange(len(first))[:, None], first] for layer in layers])


def _enough(states, count):
    if count >= len(states):
        raise ValueError("there are fewer layers; the embeddings are none")


def embeddings_instead(states, count, first):
    """For k = N + 1 the embeddings came in. They are no layer: what has to happen where k is larger than N?"""
    return torch.cat(list(_words(states[-count:], first)), -1)


def one_layer_too_few(states, count, first):
    """One layer less was taken than was asked for: which layers are the last ones, if the embeddings are not counted?"""
    _enough(states, count)
    return torch.cat(list(_words(states[len(states) - count + 1 :], first)) or [_words(states[-1:], first)[0]], -1)


def one_layer_too_many(states, count, first):
    """One layer more was taken than was asked for. `states` holds the layers after the embeddings: where do the last ones
    begin?"""
    _enough(states, count)
    return torch.cat(list(_words(states[-count - 1 :], first)), -1)


def last_layer_left_out(states, count, first):
    """The last layer was left out, and the layers before it were taken. An index that stops at −1 stops before the last."""
    _enough(states, count)
    return torch.cat(list(_words(states[-count - 1 : -1], first)), -1)


def first_layers(states, count, first):
    """These are the first layers. The last ones are asked for: those nearest to the output."""
    _enough(states, count)
    return torch.cat(list(_words(states[1 : count + 1], first)), -1)


def from_the_embeddings_on(states, count, first):
    """You counted from the front, and the embeddings were the first. The last layers are asked for, and the embeddings are no
    layer."""
    _enough(states, count)
    return torch.cat(list(_words(states[:count], first)), -1)


def highest_first(states, count, first):
    """The layers stand in the opposite order, the highest first. Which of them comes first in the equation?"""
    _enough(states, count)
    return torch.cat(list(_words(states[-count:].flip(0), first)), -1)


def along_the_words(states, count, first):
    """The layers lie one behind the other along the axis of the words: a text seems to have more words. Each word's vector gets
    longer: which axis is that?"""
    _enough(states, count)
    return torch.cat(list(_words(states[-count:], first)), 1)


def along_the_texts(states, count, first):
    """The layers lie one below the other along the axis of the texts: the batch seems to have more texts. Each word's vector
    gets longer: which axis is that?"""
    _enough(states, count)
    return torch.cat(list(_words(states[-count:], first)), 0)


def stacked(states, count, first):
    """The layers have an axis of their own. Side by side means that they share the last axis, which becomes longer."""
    _enough(states, count)
    return _words(states[-count:], first).permute(1, 2, 0, 3)


def reshaped(states, count, first):
    """The shape is right, and the numbers of different words and layers are mixed: the axis of the layers was the first, and a
    reshape does not move axes. First move it beside the last."""
    _enough(states, count)
    return _words(states[-count:], first).reshape(*first.shape, -1)


def interleaved(states, count, first):
    """The numbers of the layers alternate: the first number of each layer, then the second of each. All C numbers of a layer
    stay together."""
    _enough(states, count)
    return _words(states[-count:], first).permute(1, 2, 3, 0).flatten(2)


def added(states, count, first):
    """The layers were added up. Side by side keeps each of them as it is, and the vector becomes longer."""
    _enough(states, count)
    return _words(states[-count:], first).sum(0)


def averaged(states, count, first):
    """The mean of the layers was taken. Side by side keeps each of them as it is, and the vector becomes longer."""
    _enough(states, count)
    return _words(states[-count:], first).mean(0)


def last_layer_repeated(states, count, first):
    """The same layer stands there several times. Each block of C numbers comes from another layer."""
    _enough(states, count)
    return torch.cat([_words(states[-1:], first)[0]] * count, -1)


def every_piece(states, count, first):
    """There is a vector for every piece: `first` plays no part. Asked for is one for every word, that of its first piece."""
    _enough(states, count)
    return torch.cat(list(states[-count:]), -1)


def places_counted_through(states, count, first):
    """The vectors are those of the first W places. The first piece of word w stands at the place that `first` gives."""
    _enough(states, count)
    return torch.cat(list(states[-count:, :, : first.shape[1]]), -1)


def one_place_before(states, count, first):
    """The piece before the first piece of each word was taken. `first` counts all tokens from 0, [CLS] among them."""
    _enough(states, count)
    return torch.cat(list(_words(states[-count:], first - 1)), -1)


def last_pieces(states, count, first):
    """The last piece of each word was taken. Asked for is the first."""
    _enough(states, count)
    after = torch.cat([first[:, 1:], torch.full_like(first[:, :1], states.shape[2])], 1)
    return torch.cat(list(_words(states[-count:], after - 1)), -1)


def places_of_the_first_text(states, count, first):
    """All texts were read at the places of the first one. Each text has its own."""
    _enough(states, count)
    return torch.cat(list(_words(states[-count:], first[:1].expand_as(first))), -1)


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.arange(24.0).view(3, 1, 4, 2)
    small = random.Random(14)
    return [
        public("two layers, by hand", by_hand, 2, torch.tensor([[1, 3]])),
        public("the last two of three", normal(small, 4, 2, 5, 3), 2, torch.tensor([[1, 2], [1, 4]])),
        public("more than there are", by_hand, 3, torch.tensor([[1, 3]])),
        hidden("the last alone", normal(rng, 3, 2, 4, 2), 1, torch.tensor([[1, 2, 3], [0, 0, 2]])),
        hidden("all layers", normal(rng, 6, 3, 7, 2), 5, _places(rng, 3, 7)),
        hidden("the last four", normal(rng, 8, 2, 9, 3), 4, _places(rng, 2, 9)),
        hidden("far more than there are", normal(rng, 3, 1, 2, 2), 7, torch.tensor([[0]])),
    ]


def _places(rng: random.Random, texts: int, length: int) -> torch.Tensor:
    """Three places of each text, in order."""
    return torch.tensor([sorted(rng.sample(range(1, length), 3)) for _ in range(texts)])


EXERCISE = Exercise(
    chapter="ch14_fine_tuning",
    minutes=15,
    difficulty=2,
    points=3,
    reference=layer_concatenation,
    right=[with_permute, with_gather, word_by_word],
    wrong=[
        embeddings_instead,
        one_layer_too_few,
        one_layer_too_many,
        last_layer_left_out,
        first_layers,
        from_the_embeddings_on,
        highest_first,
        along_the_words,
        along_the_texts,
        stacked,
        reshaped,
        interleaved,
        added,
        averaged,
        last_layer_repeated,
        every_piece,
        places_counted_through,
        one_place_before,
        last_pieces,
        places_of_the_first_text,
    ],
    cases=cases,
    equivalent={"'there are fewer layers; the embeddings are none' → ''": "what the error says is for people"},
    ready=("lmcore",),
)
