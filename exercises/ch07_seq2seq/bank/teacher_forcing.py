"""What a decoder reads and what it should say: the target shifted by one place (Williams and Zipser 1989; Sutskever et al.
2014)."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.run import Case

IGNORE = -100


def teacher_forcing(sentences, lengths, start, end, pad):
    B, T = sentences.shape
    inputs = torch.full((B, T + 1), pad)
    targets = torch.full((B, T + 1), IGNORE)
    for b, n in enumerate(lengths.tolist()):
        words = sentences[b, :n]
        inputs[b, 0] = start
        inputs[b, 1 : n + 1] = words
        targets[b, :n] = words
        targets[b, n] = end
    return inputs, targets


# Right, written differently


def with_lists(sentences, lengths, start, end, pad):
    inputs, targets = [], []
    for row, n in zip(sentences.tolist(), lengths.tolist(), strict=True):
        rest = len(row) - n
        inputs.append([start, *row[:n], *[pad] * rest])
        targets.append([*row[:n], end, *[IGNORE] * rest])
    return torch.tensor(inputs), torch.tensor(targets)


def with_masks(sentences, lengths, start, end, pad):
    column = torch.nn.functional.pad(sentences, (1, 0), value=start)
    place = torch.arange(column.shape[1], device=sentences.device)
    n = lengths[:, None]
    inputs = torch.where(place <= n, column, pad)
    shifted = torch.nn.functional.pad(sentences, (0, 1), value=end)
    targets = torch.where(place < n, shifted, torch.where(place == n, end, IGNORE))
    return inputs, targets


def with_padded_sequences(sentences, lengths, start, end, pad):
    rows = [row[:n] for row, n in zip(sentences, lengths, strict=True)]
    one = torch.ones_like(sentences[0, :1])
    width = sentences.shape[1] + 1

    def side_by_side(parts, value):
        longest = torch.cat([one, sentences[0]])  # makes the result one column wider than the sentences
        padded = torch.nn.utils.rnn.pad_sequence([longest, *parts], batch_first=True, padding_value=value)
        return padded[1:, :width]

    inputs = side_by_side([torch.cat([start * one, row]) for row in rows], pad)
    return inputs, side_by_side([torch.cat([row, end * one]) for row in rows], IGNORE)


def shifted_by_scatter(sentences, lengths, start, end, pad):
    extra = torch.full_like(lengths, IGNORE)[:, None]
    inside = torch.arange(sentences.shape[1], device=sentences.device) < lengths[:, None]
    targets = torch.cat([sentences.masked_fill(~inside, IGNORE), extra], dim=1)
    targets = targets.scatter(1, lengths[:, None], end)
    inputs = targets.roll(1, dims=1)
    inputs[:, 0] = start
    over = torch.arange(targets.shape[1], device=sentences.device) > lengths[:, None]
    return inputs.masked_fill(over, pad), targets


# Wrong: the docstring is the hint


def _places(sentences, lengths):
    """The number of each place of the result, and the length of each sentence, to compare."""
    return torch.arange(sentences.shape[1] + 1, device=sentences.device), lengths[:, None]


def wrong_direction(sentences, lengths, start, end, pad):
    """The shift goes the wrong way: the decoder reads a word and is asked for the word before it. At the first place it reads
    ⟨start⟩ and should say the first word."""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    place, n = _places(sentences, lengths)
    return torch.where(place <= n, targets, pad), torch.where(place <= n, inputs, IGNORE)


def nothing_shifted(sentences, lengths, start, end, pad):
    """Inputs and targets are the same, so the decoder is asked for the word it has just read, and learns to copy. The target at
    a place is the word that comes next."""
    inputs, _ = teacher_forcing(sentences, lengths, start, end, pad)
    place, n = _places(sentences, lengths)
    return inputs, torch.where(place <= n, inputs, IGNORE)


def shifted_twice(sentences, lengths, start, end, pad):
    """The targets are two places ahead of the inputs: after ⟨start⟩ the decoder is asked for the second word. One place is
    enough, and then nothing is left out."""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    return inputs, torch.cat([targets[:, 1:], torch.full_like(targets[:, :1], IGNORE)], dim=1)


def padding_in_targets(sentences, lengths, start, end, pad):
    """The targets are filled up with the padding token. Then the loss asks the model to say it, over and over. A target that is
    not to count is IGNORE, −100."""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    return inputs, targets.masked_fill(targets == IGNORE, pad)


def ignore_in_inputs(sentences, lengths, start, end, pad):
    """The inputs are filled up with IGNORE. The decoder looks its inputs up in an embedding, which has no row −100: fill the
    inputs with `pad`, and only the targets with IGNORE."""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    place, n = _places(sentences, lengths)
    return inputs.masked_fill(place > n, IGNORE), targets


def end_in_inputs(sentences, lengths, start, end, pad):
    """In the sentences that are shorter than the longest, ⟨end⟩ stands in the inputs too. Its place carries no loss, so
    training would not suffer, but nothing comes after ⟨end⟩: what does the decoder read last, before it should say ⟨end⟩?"""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    place, n = _places(sentences, lengths)
    return inputs.masked_fill(place == n + 1, end), targets


def end_behind_the_padding(sentences, lengths, start, end, pad):
    """⟨end⟩ stands in the last column, behind the padding. It belongs right behind the last word of its sentence, which lies
    somewhere else in every row."""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    place, n = _places(sentences, lengths)
    targets = targets.masked_fill(place >= n, IGNORE)
    targets[:, -1] = end
    return inputs, targets


def end_missing(sentences, lengths, start, end, pad):
    """⟨end⟩ is not among the targets. A model that never learns to say it never stops: after the last word, ⟨end⟩ is the right
    answer."""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    place, n = _places(sentences, lengths)
    return inputs, targets.masked_fill(place == n, IGNORE)


def padding_by_token(sentences, lengths, start, end, pad):
    """Every target that equals `pad` was ignored. In some vocabularies one token does for ⟨end⟩ and for padding, and then no
    ⟨end⟩ is left to learn from. The lengths say for certain what is padding."""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    return inputs, targets.masked_fill(targets == pad, IGNORE)


def padding_by_input(sentences, lengths, start, end, pad):
    """Every target under an input that equals `pad` was ignored. In some vocabularies one token does for ⟨start⟩ and for
    padding: which target is lost then in every sentence? The lengths say for certain what is padding."""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    return inputs, targets.masked_fill(inputs == pad, IGNORE)


def by_slices_and_token(sentences, lengths, start, end, pad):
    """Two things are off. In short sentences ⟨end⟩ stands in the inputs too: the last that the decoder reads is the last
    word. And every target that equals `pad` was ignored, which in a vocabulary with one token for ⟨end⟩ and padding leaves no
    ⟨end⟩ to learn from. The lengths tell you both places."""
    inputs, _ = end_in_inputs(sentences, lengths, start, end, pad)
    return inputs, padding_by_token(sentences, lengths, start, end, pad)[1]


def last_word_not_read(sentences, lengths, start, end, pad):
    """The last word of every sentence is missing from the inputs. The decoder has to read it before it can say ⟨end⟩: with
    ⟨start⟩ a sentence of n words has n + 1 inputs."""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    place, n = _places(sentences, lengths)
    return inputs.masked_fill((place == n) & (place > 0), pad), targets


def end_in_every_padding(sentences, lengths, start, end, pad):
    """⟨end⟩ is the target at all places behind a sentence. It is to be said once. What comes after it carries no loss."""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    return inputs, targets.masked_fill(targets == IGNORE, end)


def start_in_targets(sentences, lengths, start, end, pad):
    """⟨start⟩ stands among the targets, and the inputs do not begin with it. It is given to the decoder, never asked of it."""
    inputs, _ = teacher_forcing(sentences, lengths, start, end, pad)
    place, n = _places(sentences, lengths)
    words = torch.cat([inputs[:, 1:], torch.full_like(inputs[:, :1], pad)], dim=1)
    return words, torch.where(place <= n, inputs, IGNORE)


def start_missing(sentences, lengths, start, end, pad):
    """The inputs begin with the first word. What would the decoder be given when it has to find that word itself? The first
    input is ⟨start⟩."""
    _, targets = teacher_forcing(sentences, lengths, start, end, pad)
    place, n = _places(sentences, lengths)
    words = torch.nn.functional.pad(sentences, (0, 1), value=pad)
    return torch.where(place < n, words, pad), targets


def last_column_missing(sentences, lengths, start, end, pad):
    """The result is one column short: the longest sentence lost its end. A sentence of n words has n + 1 targets, ⟨end⟩
    included."""
    return tuple(part[:, :-1] for part in teacher_forcing(sentences, lengths, start, end, pad))


def one_column_too_many(sentences, lengths, start, end, pad):
    """The result has a column too many. With ⟨start⟩ and ⟨end⟩ a sentence of n words has n + 2 tokens, but the decoder reads
    all but the last of them and says all but the first."""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    extra = torch.full_like(inputs[:, :1], pad)
    return torch.cat([inputs, extra], dim=1), torch.cat([targets, torch.full_like(extra, IGNORE)], dim=1)


def reversed_targets(sentences, lengths, start, end, pad):
    """The words of the targets stand in reverse order. Sutskever et al. turn the source round. The target is always
    written, and read, from its first word."""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    for row, n in zip(targets, lengths.tolist(), strict=True):
        row[:n] = row[:n].flip(0)
    return inputs, targets


def targets_first(sentences, lengths, start, end, pad):
    """The two tensors are right and their order is not: return the inputs first, then the targets."""
    return teacher_forcing(sentences, lengths, start, end, pad)[::-1]


def lengths_unused(sentences, lengths, start, end, pad):
    """Every sentence was taken to fill its row, padding included. `lengths` says where each one ends."""
    return teacher_forcing(sentences, torch.full_like(lengths, sentences.shape[1]), start, end, pad)


def first_word_ignored(sentences, lengths, start, end, pad):
    """The first target of every sentence is IGNORE. The decoder has to say the first word as well; it knows the source by
    then."""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    targets[:, 0] = IGNORE
    return inputs, targets


def as_logical_masks(sentences, lengths, start, end, pad):
    """You return a mask for the targets, True where a target counts. Return the targets themselves, with −100 where they do not
    count: the loss tells the two apart by that."""
    inputs, targets = teacher_forcing(sentences, lengths, start, end, pad)
    return inputs, targets != IGNORE


def cases(rng: random.Random) -> list[Case]:
    three = torch.tensor([[11, 12, 13, 14], [15, 16, 0, 0], [17, 18, 19, 0]])
    return [
        public("one sentence", torch.tensor([[7, 8, 9]]), torch.tensor([3]), 1, 2, 0),
        public("three sentences, padded", three, torch.tensor([4, 2, 3]), 1, 2, 0),
        public("one token for end and padding", torch.tensor([[5, 6, 3], [4, 3, 3]]), torch.tensor([2, 1]), 0, 3, 3),
        public("one token for start and padding", torch.tensor([[5, 6, 0], [4, 0, 0]]), torch.tensor([2, 1]), 0, 3, 0),
        hidden("sentences of one word", torch.tensor([[9], [8]]), torch.tensor([1, 1]), 2, 3, 1),
        hidden("an empty sentence", torch.tensor([[21, 22], [0, 0]]), torch.tensor([2, 0]), 1, 2, 0),
        hidden("room to spare", *_sentences(rng, 3, 7, 4), 1, 2, 0),
        hidden("a larger batch", *_sentences(rng, 11, 5, 5, pad=3), 2, 1, 3),
        hidden("padding with another number", *_sentences(rng, 5, 6, 6, pad=3), 97, 98, 3),
    ]


def _sentences(rng: random.Random, rows: int, columns: int, longest: int, pad: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = [rng.randint(1, longest) for _ in range(rows)]
    padded = [[rng.randint(10, 90) if t < n else pad for t in range(columns)] for n in lengths]
    return torch.tensor(padded), torch.tensor(lengths)


EXERCISE = Exercise(
    chapter="ch07_seq2seq",
    minutes=15,
    difficulty=1,
    points=2,
    reference=teacher_forcing,
    right=[with_lists, with_masks, with_padded_sequences, shifted_by_scatter],
    wrong=[
        wrong_direction,
        nothing_shifted,
        shifted_twice,
        padding_in_targets,
        ignore_in_inputs,
        end_in_inputs,
        end_behind_the_padding,
        end_missing,
        padding_by_token,
        padding_by_input,
        by_slices_and_token,
        last_word_not_read,
        end_in_every_padding,
        start_in_targets,
        start_missing,
        last_column_missing,
        one_column_too_many,
        reversed_targets,
        targets_first,
        lengths_unused,
        first_word_ignored,
        as_logical_masks,
    ],
    cases=cases,
    ready=("lmcore",),
)
