"""Prompts of different lengths continue as each would alone, and a cache changes nothing, for every model of the book."""

import pytest
import torch
from torch import nn

from lmcore.generate import Uncached, beam, generate, greedy, length_power
from lmcore.recurrent import RecurrentLM
from lmcore.seq2seq import Seq2Seq
from lmcore.transformer import TransformerLM, TransformerTranslator

V, END, PAD, MAX = 13, 3, 0, 5
PROMPTS = [[5, 7, 2], [4], [6, 1, 9, 9, 8, 12], [4, 3, 0, 4], [2, 2]]  # END and PAD may be in a prompt
ROWS = len(PROMPTS)

LANGUAGE = {
    "rnn": lambda: RecurrentLM(V, 5, 7),
    "lstm, two layers": lambda: RecurrentLM(V, 5, 7, cell="lstm", layers=2),
    "transformer": lambda: TransformerLM(V, 6, 3, 1, norm="post"),
    "transformer, rotary, no tie": lambda: TransformerLM(V, 8, 2, 2, positions="rotary", tie=False),
}
TRANSLATORS = {
    "seq2seq": lambda: Seq2Seq(11, V, 5, 7, cell="gru"),
    "seq2seq, attention": lambda: Seq2Seq(11, V, 5, 7, attention=True, bidirectional=True),
    "transformer": lambda: TransformerTranslator(11, V, 6, 2, 1, max_length=17, positions="learned", tie=False),
}
WAYS = {
    "greedy": {},
    "greedy, penalty": {"repetition": 1.4},
    "beam": {"width": 3, "alpha": 0.7, "normalizer": length_power},
    "draw, filtered": {"draw": True, "temperature": 1.3, "top_k": 9, "top_p": 0.9, "repetition": 1.2},
}


def lively(model: nn.Module) -> nn.Module:
    """With weights wide enough for texts to differ, in double precision."""
    torch.manual_seed(5)
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, std=0.0 if "bias" in name else 1.0)  # a bias would say the same word everywhere
    return model.double().eval()


def run(model, way, rows=range(ROWS), prompts=PROMPTS, **more):
    """Texts of these rows; whatever is drawn for a row depends on the row alone."""
    how = dict(WAYS[way])
    if how.pop("draw", False):
        how["generator"] = [torch.Generator().manual_seed(50 + row) for row in rows]
    return generate(model, [prompts[row] for row in rows], max_new=MAX, end=END, never=(PAD,), **how, **more)


def assert_same(ours, theirs):
    assert [(text.ids, text.ended) for text in ours] == [(text.ids, text.ended) for text in theirs]
    assert [text.log_prob for text in ours] == pytest.approx([text.log_prob for text in theirs])
    assert [text.score for text in ours] == pytest.approx([text.score for text in theirs])


@pytest.fixture(scope="module", params=LANGUAGE)
def language(request):
    return lively(LANGUAGE[request.param]())


@pytest.mark.parametrize("way", WAYS)
def test_with_and_without_a_cache_token_for_token(language, way):
    cached = run(language, way)
    assert_same(cached, run(language, way, cache=False))
    assert len({text.ids for text in cached}) > 2, "the test wants texts that differ"
    assert all(len(text.ids) + text.ended <= MAX and END not in text.ids and PAD not in text.ids for text in cached)


@pytest.mark.parametrize("way", WAYS)
def test_a_prompt_continues_as_it_would_alone(language, way):
    together = run(language, way)
    assert_same(together, [run(language, way, rows=[row])[0] for row in range(ROWS)])
    order = [3, 0, 2, 1, 4]
    shuffled = run(language, way, rows=order)
    assert_same([together[row] for row in order], shuffled)
    assert_same(together, run(language, way, batch_size=2))


@torch.no_grad()
def test_greedy_is_what_the_whole_model_says_word_for_word(language):
    """Nothing of the room is used here: the model reads the whole text anew and the best token is added."""
    for prompt, found in zip(PROMPTS, run(language, "greedy"), strict=True):
        ids, total = list(prompt), 0.0
        for _ in range(MAX):
            logits = language(torch.tensor([ids]))
            logits = (logits[0] if isinstance(logits, tuple) else logits)[0, -1].clone()
            logits[PAD] = -torch.inf
            total += float(logits.log_softmax(0).max())
            ids.append(int(logits.argmax()))
            if ids[-1] == END:
                break
        assert found.ended == (ids[-1] == END)
        assert list(found.ids) == ids[len(prompt) : len(ids) - found.ended]
        assert found.log_prob == pytest.approx(total)


def test_what_is_left_of_a_prompt_is_read_and_not_scored(language):
    """Read at once, or one after the other: the same state, and no probability is counted for what was given."""
    whole, ways = PROMPTS[2], []
    for place in range(len(whole)):
        begun, first = torch.tensor([whole[:place]]).long(), torch.tensor([whole[place]])
        how = {"end": END, "max_length": MAX, "rest": [whole[place + 1 :]]}
        ways.append(greedy(language, language.begin(begun), first, **how))
        ways.append([beam(language, language.begin(begun), first, width=1, **how)[0][0]])
    for way in ways[1:]:
        assert_same(ways[0], way)


@pytest.mark.parametrize("kind", TRANSLATORS)
@pytest.mark.parametrize("way", WAYS)
def test_translators_too_go_on_from_what_is_given(kind, way):
    model = lively(TRANSLATORS[kind]())
    sources, lengths = (
        torch.randint(1, 11, (ROWS, 5), generator=torch.Generator().manual_seed(1)),
        torch.tensor([5, 2, 1, 4, 3]),
    )
    together = run(model, way, given=(sources, lengths))
    assert_same(together, run(model, way, given=(sources, lengths), cache=False))
    for row in (1, 2, 3):
        mine = sources[row : row + 1, : lengths[row]], lengths[row : row + 1]
        assert_same(run(model, way, rows=[row], given=mine), [together[row]])
    assert len({text.ids for text in together}) > 1


def test_no_token_is_read_twice(language):
    """As many steps as tokens that one row reads at most, and the shortest prompts' part at once."""
    begun, steps = [], []

    class Counting:
        select = staticmethod(language.select)

        def begin(self, ids):
            begun.append(ids.shape)
            return language.begin(ids)

        def step(self, tokens, state):
            steps.append(len(tokens))
            return language.step(tokens, state)

    texts = generate(Counting(), [[1, 2, 4], [5, 6, 7, 8, 9]], max_new=3)
    assert begun == [(2, 2)]
    assert steps == [2, 2, 2, 1, 1]  # the first row has its three after three steps, the other reads two more before
    assert all(len(text.ids) == 3 for text in texts)


def test_uncached_gives_the_logits_of_the_last_place():
    model = lively(LANGUAGE["rnn"]())
    naive = Uncached(model)
    ids = torch.tensor([[1, 2, 4], [5, 6, 7]])
    state = naive.begin(ids)
    logits, state = naive.step(torch.tensor([8, 9]), naive.select(state, torch.tensor([1, 0])))
    torch.testing.assert_close(logits, model(torch.tensor([[5, 6, 7, 8], [1, 2, 4, 9]]))[0][:, -1])
    assert state[-1].tolist() == [[5, 6, 7, 8], [1, 2, 4, 9]]


def test_dropout_is_off_while_texts_are_generated():
    model = RecurrentLM(V, 5, 7, dropout=0.5).train()
    texts = [generate(model, PROMPTS, max_new=5, end=END) for _ in range(2)]
    assert texts[0] == texts[1]
    assert not model.training


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"prompts": []}, "give at least one text"),
        ({"prompts": [[1], []]}, "prompt 1 is empty"),
        ({"prompts": ["ab"]}, "encode them with a tokenizer"),
        ({"prompts": [[99]]}, "holds the id 99"),
        ({"max_new": 0}, "max_new=0"),
        ({"width": 0}, "width=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"temperature": 0.5}, r"temperature=0\.5 changes what is drawn; to draw, give a generator"),
        ({"top_p": 0.5}, r"top_p=0\.5 changes what is drawn"),
        ({"width": 2, "repetition": 1.5}, "beam search, which has no place for repetition"),
        ({"width": 2, "generator": torch.Generator()}, "has no place for generator"),
        ({"generator": [torch.Generator()] * 3}, "3 generators for 2 prompts"),
        ({"generator": 7}, "generator must be a torch.Generator"),
        ({"given": (torch.ones(3, 1),)}, r"given has \[3\] rows for 2 prompts"),
        ({"model": nn.Linear(2, 2)}, r"a Linear has no begin\(ids\); use cache=False"),
        ({"model": 5, "cache": False}, "a int cannot be"),
        ({"end": PAD, "never": (PAD,)}, "a text could not end"),
    ],
)
def test_what_cannot_be_generated_is_refused(changed, message):
    given = {"model": RecurrentLM(V, 5, 7), "prompts": [[1, 2], [4]], "max_new": 3, "end": END, **changed}
    with pytest.raises(ValueError, match=message):
        generate(given.pop("model"), given.pop("prompts"), **given)
