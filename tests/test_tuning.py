"""Prompts with examples, instruction tuning and preference tuning: against plain loops and by hand."""

import copy
import math

import pytest
import torch
from torch.nn import functional as F

from lmcore.batches import IGNORE
from lmcore.generate import sample
from lmcore.gpt import GPT, GPTConfig
from lmcore.train import fit
from lmcore.transformer import TransformerLM, next_token_loss
from lmcore.tuning import (
    AnswerBatch,
    Answers,
    Preferences,
    answer_log_probs,
    answer_loss,
    dpo_loss,
    few_shot_prompt,
    preference_loss,
    rewards,
    sequence_kl,
)

PAD, START, END = 0, 1, 2
SPECIAL = {"pad": PAD, "start": START, "end": END}
PAIRS = [([3, 4, 5], [6, 7]), ([8], [9, 10, 11, 12]), ([4, 4], []), ([5, 6, 7, 8, 9], [3])]


def model(seed: int = 5, V: int = 13, dropout: float = 0.0) -> GPT:
    torch.manual_seed(seed)
    return GPT(GPTConfig(V, max_length=17, dim=14, heads=2, layers=1, std=0.3, dropout=dropout)).double()


def batch(pairs=PAIRS) -> AnswerBatch:
    return next(Answers(pairs, len(pairs), shuffle=False, **SPECIAL))


@torch.no_grad()
def by_hand(net: GPT, prompt: list[int], answer: list[int]) -> list[float]:
    """log q of every token of the answer and of ⟨end⟩, read one text at a time."""
    text = [START, *prompt, *answer, END]
    log_q = net(torch.tensor([text]))[0].log_softmax(-1)
    return [log_q[t - 1, text[t]].item() for t in range(len(prompt) + 1, len(text))]


def test_a_prompt_has_its_examples_in_order_and_asks_at_the_end():
    assert few_shot_prompt([], "Kenya") == ["Kenya", "→"]
    words = few_shot_prompt([("France", "Paris"), ("New York", "a city")], "Kenya", title="what is it")
    assert words == ["what", "is", "it", ":", "France", "→", "Paris", ".", "New", "York", "→", "a", "city", ".", "Kenya", "→"]
    assert few_shot_prompt([("a", "b")], "c", arrow="=>", stop=";") == ["a", "=>", "b", ";", "c", "=>"]
    assert few_shot_prompt([], "c", title=" ") == ["c", "→"], "a title without words is none"


@pytest.mark.parametrize(
    ("shots", "question", "says"),
    [
        ([("France", "Paris", "x")], "Kenya", "pairs of a question"),
        ([("France", "")], "Kenya", "'' is no question"),
        ([], " ", "' ' is no question"),
    ],
)
def test_what_is_no_prompt(shots, question, says):
    with pytest.raises(ValueError, match=says):
        few_shot_prompt(shots, question)


def test_the_batch_marks_answers_and_their_end():
    found = batch()
    assert found.ids[1].tolist() == [START, 8, 9, 10, 11, 12, END, PAD]
    assert found.answered.sum(1).tolist() == [len(answer) + 1 for _, answer in PAIRS]
    next_ones = [found.ids[row, 1:][found.answered[row]].tolist() for row in range(4)]
    assert next_ones == [[*answer, END] for _, answer in PAIRS]


def test_a_batch_is_as_wide_as_its_longest_text():
    found = list(Answers(PAIRS, 2, shuffle=False, epochs=1, **SPECIAL))
    assert [each.ids.shape[1] for each in found] == [7, 8]
    assert [int(each.lengths.max()) for each in found] == [7, 8]


@pytest.mark.parametrize("shuffle", [True, False])
def test_every_epoch_has_every_text_once_in_a_new_order_if_shuffled(shuffle):
    pairs = [([3 + n], [n]) for n in range(9)]
    triples = [(prompt, answer, [12]) for prompt, answer in pairs]
    how = {"shuffle": shuffle, "seed": 5, "epochs": 2, **SPECIAL}
    answers = [row[2].item() for found in Answers(pairs, 3, **how) for row in found.ids]
    preferred = [row[2].item() for found in Preferences(triples, 3, reference=model(), **how) for row in found.chosen_ids]
    for seen in (answers, preferred):
        assert sorted(seen[:9]) == sorted(seen[9:]) == list(range(9))
        assert (seen[:9] == list(range(9))) is not shuffle
        assert (seen[:9] == seen[9:]) is not shuffle


def test_batches_hold_every_pair_once_an_epoch_and_can_go_on():
    source = Answers(PAIRS, 3, epochs=1, seed=7, **SPECIAL)
    first = next(source)
    rest = Answers(PAIRS, 3, epochs=1, seed=7, **SPECIAL)
    rest.load_state_dict(source.state_dict())
    both = [row for part in (first, next(rest)) for row in part.begins.tolist()]
    assert sorted(both) == sorted(len(prompt) + 1 for prompt, _ in PAIRS)


def test_the_loss_is_that_of_the_answers_read_one_by_one():
    net = model()
    each = [value for pair in PAIRS for value in by_hand(net, *pair)]
    assert math.isclose(answer_loss(net, batch()).item(), -sum(each) / len(each), rel_tol=1e-12)
    sums = torch.tensor([sum(by_hand(net, *pair)) for pair in PAIRS], dtype=torch.float64)
    torch.testing.assert_close(answer_log_probs(net, batch()), sums)


def test_the_loss_is_cross_entropy_with_ignored_prompts_values_and_gradients():
    net, other = model(), model()
    given = batch()
    loss = answer_loss(net, given)
    loss.backward()
    targets = given.ids[:, 1:].masked_fill(~given.answered, IGNORE)
    reference = F.cross_entropy(other(given.ids[:, :-1]).flatten(0, 1), targets.flatten())
    reference.backward()
    torch.testing.assert_close(loss, reference)
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_an_answer_to_an_empty_prompt_costs_what_the_text_costs():
    net = model()
    given = batch([([], [4, 5, 6])])
    assert torch.isclose(answer_loss(net, given), next_token_loss(net, (given.ids[:, :-1], given.ids[:, 1:])))


def test_prompt_and_padding_carry_no_loss():
    """The gradient of the logits where a prompt's token is due, or padding, is exactly zero."""
    net = model()
    kept = []
    output = net.output
    net.output = lambda states: kept.append(states) or output(states)
    given = batch()
    answer_loss(net, given)
    assert kept[0].shape == (int(given.answered.sum()), 14), "no logits are computed where nothing is asked"
    longer = AnswerBatch(F.pad(given.ids, (0, 3), value=PAD), given.begins, given.lengths)
    torch.testing.assert_close(answer_loss(net, longer), answer_loss(net, given))


def test_the_transformer_of_chapter_11_can_be_tuned_too():
    torch.manual_seed(3)
    net = TransformerLM(13, 14, 2, 1)
    before = answer_loss(net, batch()).item()
    (*_, last) = fit(net, Answers(PAIRS, 4, seed=1, **SPECIAL), answer_loss, steps=40, lr=0.01)
    assert last.loss < before / 2


CHOSEN, REJECTED = torch.tensor([-3.0, -7.0, -2.5]), torch.tensor([-4.0, -5.0, -2.5])
REFERENCE = torch.tensor([-3.5, -6.0, -2.0]), torch.tensor([-3.0, -6.5, -2.5])


def test_dpo_by_hand():
    margins = [
        0.3 * ((c - rc) - (r - rr)) for c, r, rc, rr in zip(*(t.tolist() for t in (CHOSEN, REJECTED, *REFERENCE)), strict=True)
    ]
    expected = sum(-math.log(1 / (1 + math.exp(-m))) for m in margins) / 3
    assert math.isclose(dpo_loss(CHOSEN, REJECTED, *REFERENCE, beta=0.3).item(), expected, rel_tol=1e-6)


def test_dpo_is_log_2_at_the_reference_and_falls_with_the_margin():
    assert math.isclose(dpo_loss(CHOSEN, REJECTED, CHOSEN, REJECTED).item(), math.log(2), rel_tol=1e-6)
    wider = [dpo_loss(CHOSEN + step, REJECTED - step, CHOSEN, REJECTED).item() for step in (0.0, 1.0, 2.0)]
    assert wider[0] > wider[1] > wider[2]
    assert dpo_loss(CHOSEN - 1e4, REJECTED, CHOSEN, REJECTED, 1).item() < math.inf, "it does not overflow"


def test_the_gradient_of_dpo():
    """∂loss/∂log q(chosen) = −β σ(−margin) / B, the opposite for the rejected, none for the reference. (Section 4 there.)"""
    given = [t.clone().double().requires_grad_() for t in (CHOSEN, REJECTED, *REFERENCE)]
    dpo_loss(*given, beta=0.7).backward()
    margin = 0.7 * ((CHOSEN - REFERENCE[0]) - (REJECTED - REFERENCE[1])).double()
    expected = -0.7 * torch.sigmoid(-margin) / 3
    torch.testing.assert_close(given[0].grad, expected)
    torch.testing.assert_close(given[1].grad, -expected)
    assert given[2].grad is None
    assert given[3].grad is None


def test_rewards_are_scaled_differences():
    torch.testing.assert_close(rewards(CHOSEN, REFERENCE[0], 2), 2 * (CHOSEN - REFERENCE[0]))


TRIPLES = [([3, 4], [5], [6, 7]), ([8], [9, 3], [10]), ([4], [5, 5, 5], []), ([7, 7, 7], [3], [4])]


def test_preferences_know_what_the_reference_gives_every_answer():
    reference = model()
    for found in Preferences(TRIPLES, 3, reference=reference, seed=11, epochs=1, **SPECIAL):
        torch.testing.assert_close(found.reference_chosen, answer_log_probs(reference, found.chosen))
        torch.testing.assert_close(found.reference_rejected, answer_log_probs(reference, found.rejected))
        assert torch.equal(found.chosen.begins, found.rejected.begins), "the two sides of a row have one prompt"
        assert not found.reference_chosen.requires_grad


def test_the_sides_of_a_preference_are_the_answers_that_were_given():
    found = next(Preferences(TRIPLES, 4, reference=model(), shuffle=False, **SPECIAL))
    for side, place in ((found.chosen, 1), (found.rejected, 2)):
        texts = [row[:length].tolist() for row, length in zip(side.ids, side.lengths, strict=True)]
        assert texts == [[START, *triple[0], *triple[place], END] for triple in TRIPLES]


def test_the_reference_is_asked_about_every_answer_without_dropout():
    reference, many = model(dropout=0.5).train(), TRIPLES * 65
    found = next(Preferences(many, len(many), reference=reference, shuffle=False, **SPECIAL))
    assert len(many) > 256
    torch.testing.assert_close(found.reference_chosen, answer_log_probs(reference.eval(), found.chosen).detach())
    policy = model(7, dropout=0.5)
    expected = sequence_kl(policy.eval(), reference.eval(), found.chosen)
    torch.testing.assert_close(sequence_kl(policy.train(), reference.train(), found.chosen), expected)


def test_the_loss_of_a_batch_is_dpo_with_its_own_beta():
    reference, policy = model(), model(7)
    found = next(Preferences(TRIPLES, 4, reference=reference, **SPECIAL))
    chosen, rejected = answer_log_probs(policy, found.chosen), answer_log_probs(policy, found.rejected)
    for beta in (0.03, 0.7):
        expected = dpo_loss(chosen, rejected, found.reference_chosen, found.reference_rejected, beta)
        torch.testing.assert_close(preference_loss(beta)(policy, found), expected)


def test_training_on_preferences_widens_the_margin_and_leaves_the_reference():
    reference = model()
    policy, kept = copy.deepcopy(reference), copy.deepcopy(reference.state_dict())
    source = Preferences(TRIPLES, 4, reference=reference, seed=3, **SPECIAL)
    first, *_, last = fit(policy, source, preference_loss(0.5), steps=30, lr=0.003)
    assert math.isclose(first.loss, math.log(2), rel_tol=1e-6)
    assert last.loss < 0.5 * math.log(2)
    now = next(source)
    chosen, rejected = answer_log_probs(policy, now.chosen), answer_log_probs(policy, now.rejected)
    assert ((chosen - now.reference_chosen) > (rejected - now.reference_rejected)).all()
    assert all(torch.equal(value, reference.state_dict()[name]) for name, value in kept.items())


def test_divergence_is_zero_from_itself_and_positive_from_another():
    assert sequence_kl(model(), model(), batch()).abs().max() < 1e-12
    assert (sequence_kl(model(5), model(7), batch()) > 0).all()


@torch.no_grad()
def test_divergence_of_an_answer_is_summed_over_its_positions_and_all_words():
    policy, reference = model(5), model(7)
    for (prompt, answer), found in zip(PAIRS, sequence_kl(policy, reference, batch()), strict=True):
        text = torch.tensor([[START, *prompt, *answer]])
        ours, theirs = (net(text)[0, len(prompt) :].softmax(-1) for net in (policy, reference))
        torch.testing.assert_close(found, sum((p * (p / q).log()).sum() for p, q in zip(ours, theirs, strict=True)))


def test_divergence_is_that_of_all_answers_weighed_by_the_policy():
    """A language of three tokens and answers of at most two: every answer can be written down."""
    policy, reference, prompt = model(5, 4), model(7, 4), [3]

    def log_q(net: GPT, ids: list[int]) -> torch.Tensor:
        with torch.no_grad():
            return net(torch.tensor([[START, *prompt, *ids]]))[0, -1].log_softmax(-1)

    def divergence(ids: list[int], left: int) -> float:
        ours, theirs = log_q(policy, ids), log_q(reference, ids)
        here = (ours.exp() * (ours - theirs)).sum().item()
        return here + sum(ours[w].exp().item() * divergence([*ids, w], left - 1) for w in (0, 1, 3) if left > 1)

    exact = divergence([], 3)
    first = torch.full((4_000,), 3)
    state = policy.begin(torch.full((4_000, 1), START))
    drawn = sample(policy, state, first, generator=torch.Generator().manual_seed(1), end=END, max_length=3)
    # An answer of three tokens without ⟨end⟩ was cut off: of its positions the first three count, as of all others.
    pairs = [(prompt, list(text.ids)[: 2 if not text.ended else None]) for text in drawn]
    found = sequence_kl(policy, reference, batch(pairs))
    assert abs(found.mean().item() - exact) < 4 * found.std().item() / math.sqrt(len(found))
    assert found.std() > 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Answers([], 3, **SPECIAL), "texts is empty"),
        (lambda: Answers([("ab", [3])], 3, **SPECIAL), "not strings"),
        (lambda: Answers(PAIRS, 0, **SPECIAL), "batch_size=0"),
        (lambda: Answers(PAIRS, 3, pad=-1, start=1, end=2), "pad=-1"),
        (lambda: Preferences([([1], [2])], 3, reference=model(), **SPECIAL), "triple 0"),
        (lambda: dpo_loss(CHOSEN, REJECTED, *REFERENCE, beta=0), "beta=0"),
        (lambda: dpo_loss(CHOSEN, REJECTED, *REFERENCE, beta=math.inf), "beta=inf"),
        (lambda: preference_loss(-1), "beta=-1"),
        (lambda: rewards(CHOSEN, REJECTED, True), "beta=True"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call()
