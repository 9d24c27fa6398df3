"""The loss of the masked language model (Devlin et al. 2019, section 3.1): the cross-entropy at the chosen places alone, with
the token embeddings as the output matrix."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case

READY = (
    "torch.nn.functional.cross_entropy",
    "torch._C._nn.cross_entropy_loss",
    "torch.nn.functional.nll_loss",
    "torch._C._nn.nll_loss_nd",
    "lmcore",
)


def masked_language_loss(states, targets, E, bias):
    chosen = targets != -100
    logits = states[chosen] @ E.T + bias
    right = logits.gather(1, targets[chosen].unsqueeze(1)).squeeze(1)
    return (logits.logsumexp(dim=1) - right).sum() / chosen.sum().clamp(min=1)


# Right, written differently


def with_log_softmax_everywhere(states, targets, E, bias):
    """All logits are computed, and what was not chosen has the weight 0."""
    chosen = (targets >= 0).to(states.dtype)
    log_q = torch.log_softmax(torch.einsum("btc,vc->btv", states, E) + bias, -1)
    one_hot = torch.nn.functional.one_hot(targets.clamp(min=0), len(E))
    return -((log_q * one_hot).sum(-1) * chosen).sum() / max(int(chosen.sum()), 1)


def place_by_place(states, targets, E, bias):
    total, count = 0.0 * (states.sum() + E.sum() + bias.sum()), 0
    for x, y in zip(states.flatten(0, 1), targets.flatten().tolist(), strict=True):
        if y == -100:
            continue
        z = torch.mv(E, x) + bias
        largest = z.detach().max()
        total = total + largest + (z - largest).exp().sum().log() - z[y]
        count += 1
    return total / count if count else total


def with_indices(states, targets, E, bias):
    rows, places = torch.nonzero(targets + 100, as_tuple=True)
    if len(rows) == 0:
        return (states[rows, places] @ E.T + bias).sum()
    log_q = torch.nn.functional.linear(states[rows, places], E, bias).log_softmax(1)
    return -log_q[torch.arange(len(rows)), targets[rows, places]].mean()


# Wrong: the docstring is the hint


def _losses(states, targets, E, bias):
    """The loss of every chosen place."""
    chosen = targets != -100
    logits = states[chosen] @ E.T + bias
    return logits.logsumexp(1) - logits.gather(1, targets[chosen][:, None])[:, 0]


def _at_all_places(states, targets, E, bias):
    """The loss of every place, for targets that are all words."""
    logits = states @ E.T + bias
    return logits.logsumexp(2) - logits.gather(2, targets[..., None])[..., 0]


def mean_over_all_places(states, targets, E, bias):
    """The sum was divided by all B·T places. Only the chosen ones ask something: by how many is the sum divided?"""
    return _losses(states, targets, E, bias).sum() / targets.numel()


def not_chosen_as_word_zero(states, targets, E, bias):
    """At the places that were not chosen, the loss asks for the word 0, as −100 was raised to 0. Nothing is asked there."""
    return _at_all_places(states, targets.clamp(min=0), E, bias).mean()


def not_chosen_as_the_last_word(states, targets, E, bias):
    """At the places that were not chosen, the loss asks for the last word of the vocabulary: a negative number counts from the
    end. Nothing is asked there."""
    return _at_all_places(states, torch.where(targets < 0, len(E) - 1, targets), E, bias).mean()


def nan_for_nothing_chosen(states, targets, E, bias):
    """Where nothing was chosen, the result is nan: a mean over nothing divides by 0. With short texts this happens, and one nan
    spoils all weights of a model. The loss is 0 then."""
    return _losses(states, targets, E, bias).mean()


def zero_without_a_graph(states, targets, E, bias):
    """Where nothing was chosen, the 0 is a number by itself: no gradient flows through it, and backward fails. Make the 0 of
    the same tensors as any other result."""
    found = _losses(states, targets, E, bias)
    return found.mean() if len(found) else torch.zeros((), dtype=states.dtype, device=states.device)


def shifted_by_one(states, targets, E, bias):
    """The target of a place was asked of the vector one place before it. That is how a model that reads from left to right
    predicts the next word. This one sees both sides: the word of a place is asked of that place's own vector."""
    return masked_language_loss(states[:, :-1], targets[:, 1:], E, bias)


def summed(states, targets, E, bias):
    """The losses of the chosen places were added up. Asked for is their mean."""
    return _losses(states, targets, E, bias).sum()


def one_loss_per_place(states, targets, E, bias):
    """You return a loss for every chosen place. Training needs one number: their mean."""
    return _losses(states, targets, E, bias)


def mean_over_texts(states, targets, E, bias):
    """You took the mean within each text, and then over the texts. A place in a text with few chosen ones weighs more then. All
    chosen places of the batch count alike: divide once."""
    found = [masked_language_loss(x[None], y[None], E, bias) for x, y in zip(states, targets, strict=True)]
    return torch.stack(found).mean()


def divided_by_the_texts(states, targets, E, bias):
    """The sum was divided by the number of texts. Divide by the number of chosen places."""
    return _losses(states, targets, E, bias).sum() / len(targets)


def without_bias(states, targets, E, bias):
    """The bias is missing from the logits. It has one number for each word of the vocabulary."""
    return masked_language_loss(states, targets, E, torch.zeros_like(bias) * bias)


def embeddings_detached(states, targets, E, bias):
    """The value is right, but no gradient reaches E: it was cut from the graph. The matrix is tied: the table of the input
    learns from the output too."""
    return masked_language_loss(states, targets, E.detach(), bias)


def without_a_graph(states, targets, E, bias):
    """The loss is right, but no gradient can flow through it: it was computed under no_grad, or from numbers taken out of their
    tensors."""
    return masked_language_loss(states, targets, E, bias).detach()


def sign_turned_round(states, targets, E, bias):
    """The sign is turned round: training would make the right words improbable. A loss is the negative of the mean
    log-probability."""
    return -masked_language_loss(states, targets, E, bias)


def not_normalised(states, targets, E, bias):
    """The logits themselves were taken for log-probabilities: the softmax is missing. Such a loss falls without limit when all
    logits rise."""
    chosen = targets != -100
    logits = states[chosen] @ E.T + bias
    return -logits.gather(1, targets[chosen][:, None]).sum() / chosen.sum().clamp(min=1)


def softmax_over_the_places(states, targets, E, bias):
    """The softmax ran over the chosen places. At each of them the V words compete: which axis is theirs?"""
    chosen = targets != -100
    log_q = (states[chosen] @ E.T + bias).log_softmax(0)
    return -log_q.gather(1, targets[chosen][:, None]).sum() / chosen.sum().clamp(min=1)


def logarithm_of_softmax(states, targets, E, bias):
    """With large logits the result is infinite or nan: the softmax rounds a small probability to 0, and its logarithm is −∞.
    Compute both in one step."""
    chosen = targets != -100
    q = (states[chosen] @ E.T + bias).softmax(1)
    return -q.gather(1, targets[chosen][:, None]).log().sum() / chosen.sum().clamp(min=1)


def exponentials_overflow(states, targets, E, bias):
    """With large logits the result is infinite or nan: e to the power of some hundred is more than a float can hold. Take the
    largest logit away first, or use a function that does."""
    chosen = targets != -100
    logits = states[chosen] @ E.T + bias
    right = logits.gather(1, targets[chosen][:, None])[:, 0]
    return (logits.exp().sum(1).log() - right).sum() / chosen.sum().clamp(min=1)


def states_cleared(states, targets, E, bias):
    """The vectors of the places that were not chosen were set to zero, and then these places counted all the same: with equal
    logits each costs about log V. Leave them out."""
    kept = states * (targets != -100)[..., None]
    return _at_all_places(kept, targets.clamp(min=0), E, bias).sum() / (targets != -100).sum().clamp(min=1)


def word_zero_ignored(states, targets, E, bias):
    """Places whose target is the word 0 were left out. 0 is a word like any other: only −100 says that nothing is asked."""
    return masked_language_loss(states, torch.where(targets == 0, -100, targets), E, bias)


def probability(states, targets, E, bias):
    """The result is the mean probability of the right words, with a minus sign. The loss is the negative logarithm, which grows
    without limit when a right word is thought impossible."""
    return -torch.exp(-_losses(states, targets, E, bias)).sum() / (targets != -100).sum().clamp(min=1)


def in_bits(states, targets, E, bias):
    """The logarithm has the base 2. Losses are in nats here: use the natural logarithm."""
    return masked_language_loss(states, targets, E, bias) / torch.log(torch.tensor(2.0)).to(states)


def one_maximum_for_all_places(states, targets, E, bias):
    """The largest logit of all places was taken away before the exponentials. At a place whose own logits are far below it
    every exponential is 0, and the logarithm of 0 is −∞. Which maximum belongs to a place?"""
    chosen = targets != -100
    logits = states[chosen] @ E.T + bias
    if logits.numel() == 0:
        return masked_language_loss(states, targets, E, bias)
    logits = logits - logits.max()
    return (logits.exp().sum(1).log() - logits.gather(1, targets[chosen][:, None])[:, 0]).mean()


def one_maximum_held_fixed(states, targets, E, bias):
    """With large logits the loss is infinite. Before the exponentials you took away one number for the whole batch, its largest
    logit. Where all logits are far below it, only zeros are left under the logarithm. Which number is to be taken away at each
    place?"""
    chosen = targets != -100
    logits = states @ E.T + bias
    largest = logits.max().detach()
    log_sum = (logits - largest).exp().sum(-1).log() + largest
    right = logits.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return (log_sum - right)[chosen].sum() / chosen.sum().clamp(min=1)


def cases(rng: random.Random) -> list[Case]:
    plain = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    by_hand = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]], [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]])
    targets, nothing = torch.tensor([[0, 2, -100], [-100, 1, -100]]), torch.full((2, 3), -100)
    bias = torch.tensor([0.0, 0.0, 0.5])
    large = torch.tensor([[[300.0, 0.0], [-250.0, 0.0], [0.0, 10.0]]])
    return [
        public("two texts, by hand", by_hand, targets, plain, bias),
        public("nothing chosen", by_hand, nothing, plain, bias),
        public("large logits", large, torch.tensor([[1, 0, 0]]), plain, bias),
        public("one place chosen", by_hand[:1], torch.tensor([[-100, 1, -100]]), plain, bias),
        hidden("everything chosen", normal(rng, 2, 3, 4), torch.tensor([[0, 1, 4], [2, 3, 0]]), *_output(rng, 5, 4)),
        hidden("one text without any", normal(rng, 3, 2, 3), torch.tensor([[-100, 6], [-100, -100], [0, 1]]),
            *_output(rng, 7, 3)),
        hidden("a place and a vocabulary of one", normal(rng, 1, 1, 2), torch.tensor([[0]]), *_output(rng, 1, 2)),
        hidden("many texts", normal(rng, 5, 11, 3), _drawn(rng, 5, 11, 13), *_output(rng, 13, 3)),
        hidden("double precision", *(part.double() if part.is_floating_point() else part for part in
            (normal(rng, 2, 7, 4), _drawn(rng, 2, 7, 6), *_output(rng, 6, 4)))),
    ]  # fmt: skip


def _output(rng: random.Random, size: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    return normal(rng, size, width), normal(rng, size)


def _drawn(rng: random.Random, texts: int, length: int, size: int) -> torch.Tensor:
    """Targets at a third of the places."""
    return torch.tensor([[rng.choice([rng.randrange(size), -100, -100]) for _ in range(length)] for _ in range(texts)])


EXERCISE = Exercise(
    chapter="ch13_bert",
    minutes=20,
    difficulty=2,
    points=3,
    reference=masked_language_loss,
    right=[with_log_softmax_everywhere, place_by_place, with_indices],
    wrong=[
        mean_over_all_places,
        not_chosen_as_word_zero,
        not_chosen_as_the_last_word,
        nan_for_nothing_chosen,
        zero_without_a_graph,
        shifted_by_one,
        summed,
        one_loss_per_place,
        mean_over_texts,
        divided_by_the_texts,
        without_bias,
        embeddings_detached,
        without_a_graph,
        sign_turned_round,
        not_normalised,
        softmax_over_the_places,
        logarithm_of_softmax,
        exponentials_overflow,
        states_cleared,
        word_zero_ignored,
        probability,
        in_bits,
        one_maximum_for_all_places,
        one_maximum_held_fixed,
    ],
    cases=cases,
    probe="gradients",
    ready=READY,
)
