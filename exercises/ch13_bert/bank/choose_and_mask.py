"""BERT's masking noise (Devlin et al. 2019, section 3.1): every token is chosen by a coin of its own; of the chosen ones 80 %
are masked, 10 % replaced and 10 % kept. All draws are given, so the result is certain."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.run import Case


def choose_and_mask(ids, special, mask, size, choose, kind, which):
    ordinary = ids.new_tensor([word for word in range(size) if word not in special])
    chosen = torch.isin(ids, ordinary) & (choose < 0.15)
    drawn = ordinary[(which * len(ordinary)).long()]
    noisy = torch.where(kind < 0.8, mask, torch.where(kind < 0.9, drawn, ids))
    return torch.where(chosen, noisy, ids), torch.where(chosen, ids, -100)


# Right, written differently


def token_by_token(ids, special, mask, size, choose, kind, which):
    words = sorted(set(range(size)) - set(special))
    noisy, targets = ids.clone(), torch.full_like(ids, -100)
    for b in range(ids.shape[0]):
        for t in range(ids.shape[1]):
            if int(ids[b, t]) in special or choose[b, t] >= 0.15:
                continue
            targets[b, t] = ids[b, t]
            if kind[b, t] < 0.8:
                noisy[b, t] = mask
            elif kind[b, t] < 0.9:
                noisy[b, t] = words[int(which[b, t] * len(words))]
    return noisy, targets


def with_masked_fill(ids, special, mask, size, choose, kind, which):
    forbidden = torch.zeros_like(ids, dtype=torch.bool)
    for token in special:
        forbidden |= ids == token
    spared = forbidden | ~choose.lt(0.15)
    words = torch.arange(size, device=ids.device)
    words = words[~torch.isin(words, torch.tensor(special, device=ids.device))]
    changed = ids.masked_fill(kind < 0.8, mask)
    replaced = (kind >= 0.8) & (kind < 0.9)
    changed[replaced] = words[torch.floor(which[replaced] * words.numel()).long()]
    changed[spared] = ids[spared]
    return changed, ids.masked_fill(spared, -100)


def by_shares_of_indices(ids, special, mask, size, choose, kind, which):
    flat, targets = ids.reshape(-1).tolist(), [-100] * ids.numel()
    draws = zip(choose.reshape(-1).tolist(), kind.reshape(-1).tolist(), which.reshape(-1).tolist(), strict=True)
    noisy, words = list(flat), [word for word in range(size) if word not in set(special)]
    for i, (first, second, third) in enumerate(draws):
        if flat[i] not in special and first < 0.15:
            targets[i] = flat[i]
            noisy[i] = [mask, words[int(third * len(words))], flat[i]][(second >= 0.8) + (second >= 0.9)]
    return tuple(torch.tensor(part, device=ids.device).reshape(ids.shape) for part in (noisy, targets))


# Wrong: the docstring is the hint


def _ordinary(ids, special, size):
    """The words that may be drawn, and where such a word stands."""
    words = torch.tensor([word for word in range(size) if word not in special], device=ids.device)
    return words, torch.isin(ids, words)


def _noise(ids, chosen, mask, drawn, kind, to_mask=0.8, to_draw=0.9):
    noisy = torch.where(kind < to_mask, mask, torch.where(kind < to_draw, drawn, ids))
    return torch.where(chosen, noisy, ids), torch.where(chosen, ids, -100)


def _parts(ids, special, size, choose, which):
    words, allowed = _ordinary(ids, special, size)
    return allowed & (choose < 0.15), words[(which * len(words)).long()]


def specials_chosen(ids, special, mask, size, choose, kind, which):
    """Special tokens were chosen as well. [CLS], [SEP] and the padding are no words of the text: what should a model learn from
    guessing them?"""
    _, drawn = _parts(ids, special, size, choose, which)
    return _noise(ids, choose < 0.15, mask, drawn, kind)


def specials_drawn(ids, special, mask, size, choose, kind, which):
    """The random token was drawn from the whole vocabulary, special tokens among them. Only the ordinary words stand in the
    row: how many are there?"""
    chosen, _ = _parts(ids, special, size, choose, which)
    return _noise(ids, chosen, mask, (which * size).long(), kind)


def first_numbers_drawn(ids, special, mask, size, choose, kind, which):
    """The random token is right in its rank, wrong in its number: a rank among the ordinary words was taken for the number of
    a word. The special tokens leave gaps between the ordinary words."""
    chosen, _ = _parts(ids, special, size, choose, which)
    words, _ = _ordinary(ids, special, size)
    return _noise(ids, chosen, mask, (which * len(words)).long(), kind)


def next_word_drawn(ids, special, mask, size, choose, kind, which):
    """The random token comes one place too late in the list of ordinary words, and after the last one comes the first. Draws
    run from 0 up to, but not including, 1: which place has the draw 0?"""
    words, _ = _ordinary(ids, special, size)
    chosen, _ = _parts(ids, special, size, choose, which)
    return _noise(ids, chosen, mask, words[((which * len(words)).long() + 1) % len(words)], kind)


def shares_of_all_tokens(ids, special, mask, size, choose, kind, which):
    """All ordinary tokens were masked, replaced or kept in the shares 80, 10 and 10 %, chosen or not, and a model would hardly
    see a text any more. These are shares of the chosen tokens; the others stay as they are."""
    chosen, drawn = _parts(ids, special, size, choose, which)
    return _noise(ids, _ordinary(ids, special, size)[1], mask, drawn, kind)[0], torch.where(chosen, ids, -100)


def all_are_chosen(ids, special, mask, size, choose, kind, which):
    """Every ordinary token was chosen: `choose` plays no part. Only those with a draw below 0.15 are."""
    _, drawn = _parts(ids, special, size, choose, which)
    return _noise(ids, _ordinary(ids, special, size)[1], mask, drawn, kind)


def others_chosen(ids, special, mask, size, choose, kind, which):
    """The tokens with a draw of 0.15 or more were chosen, which are 85 % of all. Which side of 0.15 is the small one?"""
    _, drawn = _parts(ids, special, size, choose, which)
    return _noise(ids, _ordinary(ids, special, size)[1] & (choose >= 0.15), mask, drawn, kind)


def all_chosen_masked(ids, special, mask, size, choose, kind, which):
    """Every chosen token became [MASK]: `kind` plays no part. A fifth of them does not. There is no [MASK] in the texts that
    the model will read later."""
    chosen, drawn = _parts(ids, special, size, choose, which)
    return _noise(ids, chosen, mask, drawn, kind, 2.0, 2.0)


def none_replaced(ids, special, mask, size, choose, kind, which):
    """No token was replaced by a random one: what is not masked was kept. Half of these tokens get a random word, so that the
    model cannot trust what it reads."""
    chosen, drawn = _parts(ids, special, size, choose, which)
    return _noise(ids, chosen, mask, drawn, kind, 0.8, 0.8)


def none_kept(ids, special, mask, size, choose, kind, which):
    """No chosen token was kept: what is not masked was replaced. What happens where `kind` is 0.9 or more?"""
    chosen, drawn = _parts(ids, special, size, choose, which)
    return _noise(ids, chosen, mask, drawn, kind, 0.8, 2.0)


def kept_before_replaced(ids, special, mask, size, choose, kind, which):
    """Kept and replaced tokens have changed places. From 0.8 up to 0.9 a token is replaced, from 0.9 on it is kept."""
    chosen, drawn = _parts(ids, special, size, choose, which)
    noisy = torch.where(kind < 0.8, mask, torch.where(kind < 0.9, ids, drawn))
    return torch.where(chosen, noisy, ids), torch.where(chosen, ids, -100)


def replaced_first(ids, special, mask, size, choose, kind, which):
    """The tenth that is replaced was taken from below: draws up to 0.1 were replaced and those up to 0.9 masked. The shares are
    right, but the statement says which draw means what: masked below 0.8."""
    chosen, drawn = _parts(ids, special, size, choose, which)
    noisy = torch.where(kind < 0.1, drawn, torch.where(kind < 0.9, mask, ids))
    return torch.where(chosen, noisy, ids), torch.where(chosen, ids, -100)


def one_coin_for_both(ids, special, mask, size, choose, kind, which):
    """What happens to a chosen token was read from `choose` again, with the limits made smaller in proportion. The shares are
    right, but this question has a draw of its own: which argument plays no part in your result?"""
    chosen, drawn = _parts(ids, special, size, choose, which)
    return _noise(ids, chosen, mask, drawn, choose / 0.15)


def kept_is_no_target(ids, special, mask, size, choose, kind, which):
    """Where nothing changed, you have no target. A token that was chosen and kept has one too: the model has to say what stands
    there without knowing whether to believe it. Targets stand at all chosen places."""
    noisy, targets = choose_and_mask(ids, special, mask, size, choose, kind, which)
    return noisy, torch.where(noisy != ids, targets, -100)


def targets_at_masks_only(ids, special, mask, size, choose, kind, which):
    """Only the tokens that became [MASK] have a target. Those that were replaced or kept were chosen as well, and the model has
    to guess them too."""
    noisy, targets = choose_and_mask(ids, special, mask, size, choose, kind, which)
    return noisy, torch.where(noisy == mask, targets, -100)


def targets_everywhere(ids, special, mask, size, choose, kind, which):
    """Every token has a target. A token that was not chosen stands in the text for all to read: there −100 belongs."""
    return choose_and_mask(ids, special, mask, size, choose, kind, which)[0], ids.clone()


def targets_of_the_others(ids, special, mask, size, choose, kind, which):
    """The targets stand where nothing was chosen, and −100 where something was. Where does the model have to guess?"""
    noisy, targets = choose_and_mask(ids, special, mask, size, choose, kind, which)
    return noisy, torch.where(targets == -100, ids, -100)


def targets_after_the_noise(ids, special, mask, size, choose, kind, which):
    """The targets were read from the changed text: the model is asked to say [MASK] where [MASK] stands. It has to say what
    stood there before. Did you change `ids` before you copied the targets?"""
    noisy, targets = choose_and_mask(ids, special, mask, size, choose, kind, which)
    return noisy, torch.where(targets == -100, -100, noisy)


def zero_where_nothing_is_asked(ids, special, mask, size, choose, kind, which):
    """The number 0 stands where there is no target. 0 is a token like any other, and the loss would ask for it. Which number
    did the statement choose?"""
    noisy, targets = choose_and_mask(ids, special, mask, size, choose, kind, which)
    return noisy, targets.clamp(min=0)


def text_changed_in_place(ids, special, mask, size, choose, kind, which):
    """The values are right, but the text itself was changed: the noise was written into `ids`. The same text gets other noise
    in the next epoch, and then it is still needed. Work on a copy."""
    noisy, targets = choose_and_mask(ids, special, mask, size, choose, kind, which)
    ids.copy_(noisy)
    return ids, targets


def targets_first(ids, special, mask, size, choose, kind, which):
    """You return the targets first. Asked for is the text with its noise, and after it the targets."""
    noisy, targets = choose_and_mask(ids, special, mask, size, choose, kind, which)
    return targets, noisy


def ordinary_words_as_one_block(ids, special, mask, size, choose, kind, which):
    """The ordinary words were taken for one block that begins behind the special tokens. Special tokens may have any numbers:
    look which words are left."""
    chosen, _ = _parts(ids, special, size, choose, which)
    return _noise(ids, chosen, mask, len(special) + (which * (size - len(special))).long(), kind)


def words_of_the_texts_drawn(ids, special, mask, size, choose, kind, which):
    """The random word was drawn from those that occur in the texts. It may be any ordinary word, whether it stands there or
    not: how many are there in a vocabulary of V tokens?"""
    chosen, _ = _parts(ids, special, size, choose, which)
    words = torch.tensor(sorted(set(ids.flatten().tolist()) - set(special)) or [0], device=ids.device)
    return _noise(ids, chosen, mask, words[(which * len(words)).long()], kind)


def cases(rng: random.Random) -> list[Case]:
    special, mask, size = [0, 2, 4, 5], 4, 12  # [PAD] 0, [CLS] 2, [MASK] 4, [SEP] 5
    by_hand = torch.tensor([[2, 7, 3, 8, 11, 5, 0]])
    choose = torch.tensor([[0.02, 0.1, 0.5, 0.03, 0.149, 0.01, 0.05]], dtype=torch.float64)
    kind = torch.tensor([[0.3, 0.4, 0.6, 0.85, 0.95, 0.2, 0.1]], dtype=torch.float64)
    which = torch.tensor([[0.9, 0.1, 0.9, 0.4, 0.2, 0.9, 0.4]], dtype=torch.float64)
    limits = [[0.15, 0.0, 0.1, 0.05, 0.14, 0.14, 0.12]], [[0.1, 0.8, 0.9, 0.79, 0.82, 0.899, 0.05]]
    edges = torch.tensor([[0.2, 0.0, 0.5, 0.5, 0.999, 0.5, 0.3]], dtype=torch.float64)
    return [
        public("one text, by hand", by_hand, special, mask, size, choose, kind, which),
        public(
            "draws at the limits",
            torch.tensor([[6, 1, 3, 9, 10, 11, 7]]), special, mask, size,
            *(torch.tensor(part, dtype=torch.float64) for part in limits), edges,
        ),
        public("two texts", *_texts(random.Random(13), 2, 9, special, size, often=True)),
        hidden("nothing chosen", by_hand, special, mask, size, torch.ones(1, 7).double() * 0.5, kind, which),
        hidden("special tokens alone", torch.tensor([[2, 5, 0, 0]]), special, mask, size,
            *(part[:, :4] for part in (choose, kind, which))),
        hidden("a mask in the text", torch.tensor([[2, 4, 3, 5, 11, 1, 6]]), special, mask, size, choose, kind, which),
        hidden("many texts", *_texts(rng, 5, 11, [1, 3, 7], 9, often=True)),
        hidden("few chosen", *_texts(rng, 3, 31, [0, 1, 2, 3], 40)),
    ]  # fmt: skip


def _texts(rng: random.Random, texts: int, length: int, special: list[int], size: int, often: bool = False) -> list:
    """Random texts and draws; ``often`` makes draws that choose about two tokens of three."""
    ids = torch.tensor([[rng.randrange(size) for _ in range(length)] for _ in range(texts)])
    draws = [torch.tensor([[rng.random() for _ in range(length)] for _ in range(texts)], dtype=torch.float64) for _ in range(3)]
    return [ids, special, special[-1], size, draws[0] * (0.22 if often else 1.0), *draws[1:]]


EXERCISE = Exercise(
    chapter="ch13_bert",
    minutes=20,
    difficulty=2,
    points=3,
    reference=choose_and_mask,
    right=[token_by_token, with_masked_fill, by_shares_of_indices],
    wrong=[
        specials_chosen,
        specials_drawn,
        first_numbers_drawn,
        next_word_drawn,
        shares_of_all_tokens,
        all_are_chosen,
        others_chosen,
        all_chosen_masked,
        none_replaced,
        none_kept,
        kept_before_replaced,
        replaced_first,
        one_coin_for_both,
        kept_is_no_target,
        targets_at_masks_only,
        targets_everywhere,
        targets_of_the_others,
        targets_after_the_noise,
        zero_where_nothing_is_asked,
        text_changed_in_place,
        targets_first,
        ordinary_words_as_one_block,
        words_of_the_texts_drawn,
    ],
    cases=cases,
    ready=("lmcore",),
)
