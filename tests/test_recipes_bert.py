"""Recipes for BERT: words and their pieces, pre-training that goes on after a kill, and MiniLM's recipes on small languages."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from lmcore import corpora, ledger, pretrained
from lmcore.batches import IGNORE
from lmcore.bert import CHOICES, Bert, BertConfig, BertPretraining, MaskedTexts, SentencePairs
from lmcore.corpora import Corpus, Review, Tagged
from lmcore.corpora.downloads import DownloadError
from lmcore.recipes import _minilm, bert_pretraining, film_reviews_minilm, wnut17_features, wnut17_minilm
from lmcore.wordpiece import BERT_SPECIAL, WordPiece

PLACES, PEOPLE, OTHERS = ["rome", "oslo", "lima"], ["ann", "bob", "eve"], ["went", "to", "saw", "the", "new", "lee"]
WITH_MINILM = (wnut17_minilm, wnut17_features, film_reviews_minilm)


@pytest.fixture
def receipt(monkeypatch, tmp_path):
    """Reads the receipt that a recipe leaves."""
    path = tmp_path / "receipt.json"
    monkeypatch.setenv("LMCORE_RECEIPT", str(path))
    return lambda: json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tokenizer():
    """Every word is one token, but for ``oslo`` (two pieces) and ``bob`` (three)."""
    words = [word for word in (*PLACES, *PEOPLE, *OTHERS, "good", "bad") if word not in ("oslo", "bob")]
    return WordPiece([*BERT_SPECIAL, *words, "os", "##lo", "b", "##o", "##b"])


@pytest.fixture
def tiny(tokenizer, monkeypatch):
    """Instead of MiniLM an encoder with random weights, of five layers."""

    def encoder():
        torch.manual_seed(5)
        config = BertConfig(len(tokenizer), dim=14, heads=2, layers=5, hidden=23, max_length=29, dropout=0.0)
        return Bert(config), tokenizer

    monkeypatch.setattr(pretrained, "minilm", encoder)
    return encoder


def tagged_sentences(count: int, seed: int) -> tuple[Tagged, ...]:
    """Places and persons, now and then of two words; the tag of ``lee`` depends on the word before it."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        tokens, tags = [], []
        for kind in rng.integers(4, size=rng.integers(2, 6)):
            if kind == 0:
                tokens.append(str(rng.choice(PLACES)))
                tags.append("B-place")
            elif kind == 1:
                tokens += [str(rng.choice(PEOPLE)), "lee"]
                tags += ["B-person", "I-person"]
            else:
                tokens.append(str(rng.choice(OTHERS)))
                tags.append("O")
        found.append(Tagged(tuple(tokens), tuple(tags)))
    return tuple(found)


@pytest.fixture
def entities(monkeypatch):
    corpus = Corpus(tagged_sentences(240, 1), tagged_sentences(31, 2), tagged_sentences(47, 3))
    monkeypatch.setattr(corpora, "wnut17", lambda: corpus)
    return corpus


# ---------------------------------------------------------------- words and their pieces


def test_a_word_stands_where_its_first_piece_is(tokenizer):
    ids, first = _minilm.words(tokenizer, ["ann", "saw", "oslo", "to", "bob", "\u200b", "went"])
    pieces = [tokenizer.vocabulary[i] for i in ids]
    assert pieces == ["[CLS]", "ann", "saw", "os", "##lo", "to", "b", "##o", "##b", "[UNK]", "went", "[SEP]"]
    assert [pieces[place] for place in first] == ["ann", "saw", "os", "to", "b", "[UNK]", "went"]


@pytest.mark.parametrize("longest", range(3, 10))
def test_a_sentence_is_cut_between_two_words(tokenizer, longest):
    whole = _minilm.words(tokenizer, ["ann", "oslo", "bob", "to"])
    ids, first = _minilm.words(tokenizer, ["ann", "oslo", "bob", "to"], longest)
    assert len(ids) <= longest
    assert ids[:-1] == whole.ids[: len(ids) - 1]
    assert tokenizer.vocabulary[ids[-1]] == "[SEP]"
    assert first == whole.first[: len(first)]
    assert not tokenizer.vocabulary[whole.ids[len(ids) - 1]].startswith("##")
    assert _minilm.pieces(tokenizer, "ann oslo bob to", longest)[:-1] == whole.ids[: longest - 1][: len(whole.ids) - 1]


def test_the_first_piece_of_each_word_carries_its_tag(tokenizer):
    sentences = [Tagged(("bob", "lee", "went"), ("B-person", "I-person", "O")), Tagged(("oslo",), ("B-place",))]
    names = _minilm.tag_names(sentences)
    assert names == ["O", "B-person", "B-place", "I-person"]
    examples, first = _minilm.tagged(tokenizer, sentences, names, 2, None, shuffle=False, epochs=1)
    ids, lengths, tags = next(examples)
    assert lengths.tolist() == [4, 7]  # shorter texts first
    none = IGNORE
    assert tags.tolist() == [[none, 2, none, none, none, none, none], [none, 1, none, none, 3, 0, none]]
    assert ids.shape == tags.shape
    assert first == [[1, 4, 5], [1]]


def test_words_that_were_cut_off_count_as_no_entity(tokenizer):
    sentences = [Tagged(("ann", "lee", "saw", "bob"), ("B-person", "I-person", "O", "B-person"))]
    assert _minilm.score(sentences, [["B-person", "I-person", "O", "B-person"]]).f1 == 1
    cut = _minilm.score(sentences, [["B-person", "I-person"]])
    assert (cut.precision, cut.recall, cut.spans) == (1, 0.5, 2)


# ---------------------------------------------------------------- batches


def test_an_epoch_has_every_text_once_in_batches_of_about_equal_length():
    rng = np.random.default_rng(0)
    texts = [[number, *[1] * rng.integers(40)] for number in range(503)]
    examples = _minilm.Examples(texts, [len(text) for text in texts], 7, epochs=2, seed=11)
    orders, waste = [], 0
    for _ in range(2):
        seen = []
        for _ in range(72):
            ids, lengths, labels = next(examples)
            assert labels.tolist() == lengths.tolist()
            seen += ids[:, 0].tolist()
            waste += ids.numel() - int(lengths.sum())
        assert sorted(seen) == list(range(503))
        orders.append(seen)
    assert orders[0] != orders[1]
    assert next(examples, None) is None
    assert waste < 0.06 * 2 * sum(map(len, texts))  # in random batches it is some 80 %


def test_a_stream_of_examples_goes_on_where_it_stopped():
    texts = [[number] * (1 + number % 5) for number in range(23)]

    def stream():
        return _minilm.Examples(texts, list(range(23)), 4, seed=3)

    one = stream()
    for _ in range(8):
        next(one)
    other = stream()
    other.load_state_dict(one.state_dict())
    for _ in range(9):
        assert all(torch.equal(a, b) for a, b in zip(next(one), next(other), strict=True))


def test_every_text_gets_its_own_output():
    texts = [[number] * (1 + (7 * number) % 11) for number in range(1, 24)]
    examples = _minilm.Examples(texts, [0] * len(texts), 5)
    found = dict(_minilm.outputs(lambda ids, lengths: torch.stack([ids, -ids], 2), examples))
    assert sorted(found) == list(range(23))
    assert all(output[:, 0].tolist() == texts[row] for row, output in found.items())
    sums = dict(_minilm.outputs(lambda ids, lengths: ids.sum(1, keepdim=True), examples))
    assert all(output.tolist() == [sum(texts[row])] for row, output in sums.items())


def test_frozen_layers_are_not_trained(tiny, entities):
    encoder, _ = tiny()
    _minilm.freeze(encoder, 3)
    trained = {name.split(".")[1] for name, p in encoder.named_parameters() if p.requires_grad and name.startswith("layers")}
    assert trained == {"3", "4"}
    assert not any(p.requires_grad for name, p in encoder.named_parameters() if not name.startswith(("layers", "pooler")))
    encoder, _ = tiny()
    _minilm.freeze(encoder, 0)
    assert all(p.requires_grad for p in encoder.parameters())


# ---------------------------------------------------------------- MiniLM's recipes on small languages


def test_the_tagger_learns_a_small_language(tiny, entities, capsys):
    page = ledger.Page("wnut17_minilm", config={"test": True})
    sizes = wnut17_minilm.Sizes(frozen=0, longest=11, batch_size=16, epochs=5, lr=1e-2)
    wnut17_minilm.run(sizes, page)
    values = page.receipt().run.values
    assert values["test.f1"] > 90
    assert values["valid.f1"] > 90
    assert values["entities.test"] == sum(tag.startswith("B") for sentence in entities.test for tag in sentence.tags)
    assert values["sentences.train"] == 240
    assert values["parameters"] == values["parameters.trained"]
    assert "epoch 5 of 5" in capsys.readouterr().out


def test_the_six_choices_are_compared_on_vectors_that_stay_as_they_are(tiny, entities):
    page = ledger.Page("wnut17_features", config={"test": True})
    before = {name: tensor.clone() for name, tensor in tiny()[0].state_dict().items()}
    wnut17_features.run(wnut17_features.Sizes(hidden=8, dropout=0.0, batch_size=16, epochs=3, lr=2e-2), page)
    values = page.receipt().run.values
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny()[0].state_dict().items())
    rows = wnut17_features.ROWS
    assert tuple(rows) == CHOICES
    for choice in rows.values():
        assert values[f"{choice}.f1"] > 50
        assert values[f"{choice}.valid_f1"] > 50
        assert 0 < values[f"{choice}.precision"] <= 100
    for choice, layers in (("weighted_sum_all", range(1, 6)), ("weighted_sum_last_four", range(2, 6))):
        shares = [values[f"{choice}.weight_{layer}"] for layer in layers]
        assert sum(shares) == pytest.approx(1)
        assert max(shares) - min(shares) > 1e-3  # they have been learnt
        assert f"{choice}.weight_{layers[0] - 1}" not in values
    parameters = [values[f"{choice}.parameters"] for choice in rows.values()]
    assert parameters[5] - parameters[0] == 3 * 14 * 2 * 4 * 8  # three vectors more, into four gates in two directions


def test_a_words_vectors_are_those_of_its_first_piece_in_every_layer(tiny, tokenizer, entities):
    encoder, _ = tiny()
    sentences = [Tagged(("bob", "saw", "oslo"), ("O",) * 3), Tagged(("ann",), ("O",)), Tagged(("oslo", "to"), ("O",) * 2)]
    found = wnut17_features.features(encoder, tokenizer, sentences, 2)
    assert found.shape == (6, 6, 14)
    assert found.dtype == torch.float16
    ids, first = _minilm.words(tokenizer, sentences[0].tokens)
    states = torch.stack(encoder.look(torch.tensor([ids])).states, 2)[0, first]
    torch.testing.assert_close(found[:3].float(), states, atol=2e-3, rtol=2e-3)
    vectors = wnut17_features.Vectors(found, [[1, 2, 3], [4], [5, 6]], 3, shuffle=False, epochs=1)
    given, lengths, tags = next(vectors)
    assert lengths.tolist() == [1, 2, 3]
    assert tags.tolist() == [[4, IGNORE, IGNORE], [5, 6, IGNORE], [1, 2, 3]]
    assert torch.equal(given[2].transpose(0, 1), found[:3].float())
    assert torch.equal(given[1, :, :2].transpose(0, 1), found[4:].float())


def test_reviews_are_learnt_from_few_labels_and_from_many(tiny, monkeypatch):
    rng = np.random.default_rng(7)

    def reviews(count):
        labels = rng.integers(2, size=count).tolist()
        texts = [[*rng.choice(OTHERS, size=rng.integers(6)), "good" if label else "bad"] for label in labels]
        return tuple(Review(" ".join(rng.permutation(text)), label) for text, label in zip(texts, labels, strict=True))

    corpus = Corpus(reviews(200), (), reviews(61))
    monkeypatch.setattr(corpora, "film_reviews", lambda: corpus)
    sizes = film_reviews_minilm.Sizes(
        labels="8 0", fresh="0", frozen=2, epochs=3, most_epochs=5, passes=64, lr=1e-2, fresh_lr=1e-2, weight_decay=0.0
    )
    assert [sizes.epochs_of(n) for n in (8, 16, 200)] == [5, 4, 3]
    page = ledger.Page("film_reviews_minilm", config={"test": True})
    film_reviews_minilm.run(sizes, page)
    values = page.receipt().run.values
    assert values["tuned.200.accuracy"] > 90
    assert values["fresh.200.accuracy"] > 70
    assert values["frozen.200.accuracy"] > 80
    assert {"tuned.8.accuracy", "frozen.8.accuracy"} <= values.keys()
    assert "fresh.8.accuracy" not in values
    assert values["tuned.parameters"] < values["fresh.parameters"]
    assert (values["epochs.8"], values["epochs.200"], values["sentences.test"]) == (5, 3, 61)


@pytest.mark.parametrize("recipe", WITH_MINILM)
def test_where_minilm_or_the_data_are_missing_the_message_says_what_to_do(recipe, monkeypatch, tmp_path):
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    monkeypatch.setenv("LMCORE_DATA", str(tmp_path))
    monkeypatch.setenv("LMCORE_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="LMCORE_DATA names another folder"):
        recipe.main()

    def missing():
        raise FileNotFoundError("MiniLM is not there")

    nothing = Corpus((), (), ())
    monkeypatch.setattr(corpora, "wnut17", lambda: nothing)
    monkeypatch.setattr(corpora, "film_reviews", lambda: nothing)
    monkeypatch.setattr(pretrained, "minilm", missing)
    with pytest.raises(FileNotFoundError, match="MiniLM is not there"):
        recipe.main()


@pytest.mark.parametrize("recipe", WITH_MINILM)
def test_recipes_with_minilm_run_from_beginning_to_end(recipe, receipt, monkeypatch):
    name = recipe.__name__.rpartition(".")[2]
    corpus = name.rpartition("_")[0]
    if not corpora.available(corpus):
        pytest.skip(f"{corpus} is not downloaded")
    try:
        pretrained.minilm_folder()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    recipe.main()
    found = receipt()
    assert found["chapter"] == name
    assert found["setting"]["data"][corpus] == corpora.sha256(corpus)
    assert found["setting"]["config"] == asdict(recipe.SIZES["smoke"])
    assert all(0 <= value <= 100 for key, value in found["run"]["values"].items() if key.endswith(("f1", "accuracy")))


def test_every_setting_can_be_kept_by_the_ledger():
    for recipe in (*WITH_MINILM, bert_pretraining):
        assert set(recipe.SIZES) == {"smoke", "small", "full"}
        for sizes in recipe.SIZES.values():
            assert all(isinstance(value, int | float | str | bool) for value in asdict(sizes).values())


# ---------------------------------------------------------------- pre-training

PLAN = replace(bert_pretraining.SIZES["smoke"], longest=24, steps=8, save_every=2, dropout=0.1)


def test_short_sentences_are_joined_with_the_next():
    paragraphs = ["One two. Three\n  four five six. seven", "Eight? Nine ten eleven twelve!"]
    assert bert_pretraining.sentences(paragraphs, 4) == [
        "One two. Three four five six. seven",
        "Eight? Nine ten eleven twelve!",
    ]
    assert bert_pretraining.sentences(paragraphs, 1) == [
        "One two.", "Three four five six. seven", "Eight?", "Nine ten eleven twelve!",
    ]  # fmt: skip
    assert " ".join(bert_pretraining.sentences(paragraphs, 100)).split() == " ".join(paragraphs).split()
    assert bert_pretraining.sentences([], 3) == []


def test_held_out_documents_have_no_paragraph_of_the_others():
    page = ledger.Page("bert_pretraining")
    paired, single = bert_pretraining.read(replace(PLAN, least=1), page)
    assert single == {}
    known, new = paired["manual"]
    assert len(known) > 50
    assert sum(map(len, new)) > 200
    topics = [topic.split("\n\n") for topic in corpora.manual_topics().values()]
    shared = {p for topic in topics[::10] for p in topic} & {p for i, topic in enumerate(topics) if i % 10 for p in topic}
    assert any(shared)  # the manual repeats itself, so leaving out is needed
    known, new = bert_pretraining.documents([["a", "b", "b"], ["c", "a", "c"], ["d"], *[["e"]] * 7, ["d", "f"]], 1)
    assert known == [["c", "a"], ["d"], *[["e"]] * 7]
    assert new == [["b", "b"], ["f"]]


def test_streams_are_mixed_by_their_shares_and_go_on_where_they_stopped(tokenizer):
    def mixed():
        pairs = SentencePairs([["ann saw", "the new", "lee went"], ["to rome", "oslo saw"]], 2, tokenizer=tokenizer, seed=1)
        texts = MaskedTexts(["ann saw rome", "bob", "lee went to lima"], 2, tokenizer=tokenizer, seed=2)
        return bert_pretraining.Mixed([pairs, texts], [5, 2])

    one = mixed()
    kinds = [next(one).next is not None for _ in range(73)]
    assert sum(kinds[:70]) == 50
    assert all(sum(kinds[i : i + 7]) == 5 for i in range(0, 70, 7))
    other = mixed()
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for _ in range(20):
        a, b = next(one), next(other)
        assert torch.equal(a.ids, b.ids)
        assert torch.equal(a.targets, b.targets)


def test_the_frequencies_alone_give_these_bits(tokenizer):
    batches = [*MaskedTexts(["ann saw rome", "ann went"] * 40, 9, tokenizer=tokenizer, shuffle=False, epochs=1)]
    counts = np.zeros(len(tokenizer), dtype=int)
    counts[[tokenizer.number[word] for word in ("ann", "saw")]] = 17, 5
    p = (counts + 1) / (22 + len(tokenizer))
    hidden = [target for batch in batches for target in batch.targets.flatten().tolist() if target != IGNORE]
    assert len(hidden) > 10
    assert bert_pretraining.unigram_bits(counts, batches) == pytest.approx(-np.mean(np.log2(p[hidden])))


@pytest.mark.parametrize("stop", [1, 3])
def test_a_killed_pretraining_ends_with_the_same_numbers(monkeypatch, tmp_path, stop):
    small = {f"topic {i}": corpora.manual_topics()[name][:1500] for i, name in enumerate(list(corpora.manual_topics())[:21])}
    monkeypatch.setattr(corpora, "manual_topics", lambda: small)

    def numbers(checkpoint):
        page = ledger.Page("bert_pretraining", config={"test": True})
        bert_pretraining.run(PLAN, page, checkpoint)
        return page.receipt().run.values

    whole = numbers(None)
    assert whole.pop("resumed.step") == 0
    real, kept = bert_pretraining.progress, tmp_path / "kept.pt"

    def interrupted(steps, *args):
        for number, step in enumerate(real(steps, *args), 1):
            if number == stop:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(bert_pretraining, "progress", interrupted)
    with pytest.raises(KeyboardInterrupt):
        numbers(kept)
    monkeypatch.setattr(bert_pretraining, "progress", real)
    for done in (2 * stop, PLAN.steps):  # the second time nothing is left to train
        again = numbers(kept)
        assert again.pop("resumed.step") == done
        assert again == whole
    assert whole["manual.pairs"] > 5
    with pytest.raises(ValueError, match="belongs to a run with"):
        bert_pretraining.run(replace(PLAN, lr=0.5), ledger.Page("bert_pretraining"), kept)


def test_single_sentences_are_learnt_beside_pairs_where_they_are_there(monkeypatch):
    monkeypatch.setattr(corpora, "available", lambda name: name in ("tatoeba", "tiny_shakespeare"))
    tatoeba = Corpus(
        (("the red house", "x"), ("the red house", "y"), ("a horse runs", "z")) * 9, (), (("a red horse", "x"),) * 30
    )
    plays = "\n\n".join(f"SPEAKER {i}:\nSpeech number {i} goes here, and it goes on." for i in range(900))
    load = corpora.load
    monkeypatch.setattr(corpora, "load", lambda name: tatoeba if name == "tatoeba" else load(name))
    monkeypatch.setattr(corpora, "tiny_shakespeare", lambda: plays)
    page = ledger.Page("bert_pretraining", config={"test": True})
    paired, single = bert_pretraining.read(replace(PLAN, more=True), page)
    assert single == {"tatoeba": (["the red house", "a horse runs"], ["a red horse"])}
    assert list(paired) == ["manual", "tiny_shakespeare"]
    assert (len(paired["tiny_shakespeare"][0]), len(paired["tiny_shakespeare"][1])) == (20, 3)
    single["tatoeba"] = single["tatoeba"][0], [f"a red horse number {i}" for i in range(40)]
    monkeypatch.setattr(bert_pretraining, "read", lambda sizes, page: (paired, single))
    bert_pretraining.run(replace(PLAN, steps=2), page)
    receipt = page.receipt()
    assert {
        "manual.bits",
        "manual.next_accuracy",
        "tiny_shakespeare.next_accuracy",
        "tatoeba.bits",
    } <= receipt.run.values.keys()
    assert "tatoeba.next_accuracy" not in receipt.run.values
    assert {"film_reviews.bits", "multi30k.bits"} <= receipt.skipped.keys()


def test_pretraining_learns_more_than_frequencies(monkeypatch, capsys):
    rng = np.random.default_rng(1)
    words = {"red": "house", "old": "horse", "new": "bridge", "tall": "tower"}

    def document(word):
        return "\n\n".join(f"The {word} {words[word]} is there, and {rng.choice(['Ann', 'Bob'])} sees it." for _ in range(8))

    topics = {f"t{i}": document(rng.choice(list(words))) for i in range(50)}
    monkeypatch.setattr(corpora, "manual_topics", lambda: topics)
    monkeypatch.setattr(bert_pretraining, "documents", lambda whole, least: tuple(
        [bert_pretraining.sentences(document, least) for document in part] for part in (whole[5:], whole[:5])
    ))  # fmt: skip
    page = ledger.Page("bert_pretraining", config={"test": True})
    sizes = replace(
        PLAN, vocabulary=120, longest=40, dim=32, hidden=64, batch_size=16, steps=160, save_every=80, lr=8e-3, dropout=0.0
    )
    bert_pretraining.run(sizes, page)
    values = page.receipt().run.values
    assert values["manual.bits"] < values["manual.unigram_bits"] - 1.5
    assert values["manual.accuracy"] > 60
    assert "step 160 of 160" in capsys.readouterr().out


def test_pretraining_runs_from_beginning_to_end(receipt, monkeypatch, tmp_path):
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    monkeypatch.setenv("LMCORE_CHECKPOINTS", str(tmp_path))
    bert_pretraining.main([])
    assert [path.name.partition("-")[0] for path in tmp_path.glob("*.pt")] == ["bert_pretraining"]
    found = receipt()
    assert found["setting"]["data"]["manual"] == corpora.sha256("manual")
    values = found["run"]["values"]
    assert 5 < values["manual.unigram_bits"] < np.log2(500)
    assert 0 <= values["manual.next_accuracy"] <= 100
    with torch.device("meta"):
        sizes = bert_pretraining.SIZES["small"]
        model = BertPretraining(BertConfig(sizes.vocabulary, sizes.dim, sizes.heads, sizes.layers, sizes.hidden, sizes.longest))
    assert sum(p.numel() for p in model.parameters()) < 1e6
