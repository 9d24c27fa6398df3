"""Recipes count what they say they count, go on where they stopped, and are recorded like chapters."""

import json
import math
from dataclasses import asdict

import pytest
import torch
from torch.nn import functional as F

from lmcore import END, UNK, ledger
from lmcore.batches import IGNORE, Lanes
from lmcore.ledger import record, recorder
from lmcore.recipes import char_lstm, film_reviews, word_lstm
from lmcore.recurrent import RecurrentLM, TruncatedBPTT

LINES = ["the cat sat on the mat", "a dog sat", "", "the dog and the cat ran <unk> and ran", "a mat ran"]


@pytest.fixture
def files(tmp_path):
    """Three small texts; the test text has words that the training text lacks."""
    texts = {"train": "\n".join(LINES * 7) + "\n", "valid": "the dog sat\n", "test": "a zebra sat on the mat\nthe end\n"}
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    return [f"--{name}={tmp_path / name}.txt" for name in texts]


@pytest.fixture
def receipt(monkeypatch, tmp_path):
    """Reads the receipt that a recipe leaves."""
    path = tmp_path / "receipt.json"
    monkeypatch.setenv("LMCORE_RECEIPT", str(path))
    return lambda: json.loads(path.read_text(encoding="utf-8"))["run"]["values"]


def test_zaremba_rates_fall_after_the_flat_epochs():
    small, medium = word_lstm.SIZES["small"], word_lstm.SIZES["medium"]
    assert [small.rate(epoch) for epoch in (1, 4, 5, 6, 13)] == [1, 1, 0.5, 0.25, 0.5**9]
    assert [medium.rate(epoch) for epoch in (6, 7)] == [1, 1 / 1.2]


def test_the_loss_is_summed_over_steps_and_averaged_over_lanes():
    torch.manual_seed(1)
    model = RecurrentLM(11, 5, 5, cell="lstm")
    ids = torch.randint(11, (32,))
    source = word_lstm.SummedBPTT(Lanes(ids, 7, 3, shuffle=False))
    state = None
    for _ in range(2):  # the last piece of a pass is shorter
        batch = next(source)
        logits, state = model(batch.inputs, state)
        nats = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORE, reduction="none")
        torch.testing.assert_close(source.loss(model, batch), nats.sum() / 3)


def test_the_parts_of_the_manual_share_no_paragraph():
    texts = word_lstm.read(dict.fromkeys(word_lstm.PARTS))
    parts = [text.split("\n") for text in texts.values()]
    assert all(len(set(part)) == len(part) > 50 for part in parts)
    assert len(set().union(*parts)) == sum(map(len, parts))
    assert not any(line != " ".join(line.split()) or not line for part in parts for line in part)


def test_words_lines_and_unknown_words_are_counted_as_in_the_literature(files, receipt, capsys):
    word_lstm.main([*files, "--hidden=3", "--epochs=1", "--layers=1"])
    values = receipt()
    words = sum(len(line.split()) for line in LINES) * 7
    assert values["train.words"] == words + 7 * len(LINES)
    assert values["test.words"] == 8 + 2
    assert values["test.unknown"] == 20  # zebra, end
    assert values["vocabulary"] == len({word for line in LINES for word in line.split()} | {UNK, END})
    assert "perplexity" in capsys.readouterr().out


def test_perplexity_is_that_of_the_whole_file_with_every_line_end(files, receipt, tmp_path):
    kept = tmp_path / "model.pt"
    word_lstm.main([*files, "--hidden=3", "--epochs=2", "--layers=2", f"--checkpoint={kept}"])
    values = receipt()
    state = torch.load(kept, weights_only=True)
    tokenizer = word_lstm.WordTokenizer.train("\n".join(LINES * 7), size=10_000, special=(UNK, END), pattern=r"\S+")
    model = RecurrentLM(len(tokenizer), 3, 3, cell="lstm", layers=2)
    model.load_state_dict(state["model"])
    ids = [tokenizer.number.get(w, 0) for w in f"{END} a {UNK} sat on the mat {END} the {UNK} {END}".split()]
    logits, _ = model(torch.tensor([ids[:-1]]))
    nats = F.cross_entropy(logits[0], torch.tensor(ids[1:])).item()
    assert math.isclose(values["test.perplexity"], math.exp(nats), rel_tol=1e-5)


def test_a_run_that_stopped_after_an_epoch_ends_with_the_same_numbers(files, receipt, tmp_path, monkeypatch):
    kept, options = tmp_path / "model.pt", [*files, "--hidden=3", "--epochs=3", "--dropout=0.5"]
    word_lstm.main(options)
    whole = receipt()
    real, epochs = word_lstm.fit, []

    def interrupted(*args, **how):
        epochs.append(how["lr"])
        if len(epochs) == 3:
            raise KeyboardInterrupt
        return real(*args, **how)

    monkeypatch.setattr(word_lstm, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        word_lstm.main([*options, f"--checkpoint={kept}"])
    monkeypatch.setattr(word_lstm, "fit", real)
    word_lstm.main([*options, f"--checkpoint={kept}"])
    assert receipt() == whole


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--train=missing.txt"], "--valid and --test missing"),
        (["--train=no.txt", "--valid=no.txt", "--test=no.txt"], "no.txt"),
        (["--dropout", "0", "0.5", "--checkpoint=x.pt"], "give one --dropout"),
        (["--hidden=0"], "hidden"),
        (["--dropout=1.5"], "dropout=1.5"),
    ],
)
def test_a_wrong_command_line_says_what_to_do(options, complaint, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        word_lstm.main(options)
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert complaint in message
    assert "Traceback" not in message


def test_files_that_hold_no_text(files, tmp_path, capsys):
    (tmp_path / "valid.txt").write_bytes(b"\n \n")
    with pytest.raises(SystemExit):
        word_lstm.main(files)
    assert "holds no words" in capsys.readouterr().err
    (tmp_path / "valid.txt").write_bytes("naïve".encode("latin-1"))
    with pytest.raises(SystemExit):
        word_lstm.main(files)
    assert "is not UTF-8" in capsys.readouterr().err


def test_a_checkpoint_of_another_run_is_refused(files, tmp_path, capsys):
    kept = f"--checkpoint={tmp_path / 'model.pt'}"
    word_lstm.main([*files, "--hidden=3", "--epochs=1", kept])
    with pytest.raises(SystemExit):
        word_lstm.main([*files, "--hidden=4", "--epochs=1", kept])
    assert "other settings" in capsys.readouterr().err


def test_labels_stay_with_their_texts_and_padding_changes_no_class():
    torch.manual_seed(2)
    texts, labels = [[5, 6], [7], [8, 9, 5, 6, 7], [9, 9, 8]], [1, 0, 0, 1]
    how = {"pad": 0, "start": 2, "end": 3}
    bag = film_reviews.Bag(11, 5, 2, 0.5).eval()
    single = {}
    for ids, lengths, given in film_reviews.Labelled(texts, labels, 1, shuffle=False, epochs=1, **how):
        assert ids.shape[1] == lengths.item()
        single[tuple(ids[0].tolist())] = given.item(), bag(ids, lengths)[0]
    assert [single[2, *text][0] for text in texts] == labels
    for ids, lengths, given in film_reviews.Labelled(texts, labels, 3, seed=7, epochs=2, **how):
        logits = bag(ids, lengths)
        for b, length in enumerate(lengths.tolist()):
            label, alone = single[tuple(ids[b, :length].tolist())]
            assert given[b] == label
            torch.testing.assert_close(logits[b], alone)


@pytest.mark.parametrize("recipe", [char_lstm, film_reviews])
def test_recipes_run_from_beginning_to_end(recipe, receipt, monkeypatch):
    name = {"char_lstm": "tiny_shakespeare"}.get(recipe.__name__.rpartition(".")[2], "film_reviews")
    if not ledger.corpora.available(name):
        pytest.skip(f"{name} is not downloaded")
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    recipe.main()
    values = receipt()
    if recipe is char_lstm:
        assert values["tenth.bpc"] == pytest.approx(values["tenth.nats"] / math.log(2))
        assert values["valid.nats"] < math.log(65)
    else:
        assert 0 <= values["test.accuracy"] <= 100
        assert 0 <= values["bag.accuracy"] <= 100


def test_a_recipe_is_recorded_and_shown(monkeypatch, tmp_path):
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    page = ledger.Page("98_page", chapters=tmp_path)
    rows = {"test": "test.perplexity", "with dropout": "test.perplexity.dropout0.5"}
    before = page.recorded("word_lstm", rows, "Words", unit="perplexity")
    for text in (repr(before), before._repr_html_()):
        assert "python -m lmcore.ledger record word_lstm --seeds 3 --scale smoke --device" in text
        assert "±" not in text

    lines = []
    made = recorder.record_chapter("word_lstm", 2, chapters=tmp_path, say=lines.append)
    assert [run.seed for run in made.runs] == [0, 1]
    assert made.setting.config["hidden"] == 8
    assert "manual" in made.setting.data
    assert not made.stale(tmp_path)
    assert record.path_of("word_lstm", tmp_path).is_file()
    assert len(lines) == 3

    spread = made.spread("test.perplexity", tmp_path)
    after = page.recorded("word_lstm", rows, "Words", unit="perplexity")
    assert str(spread) in repr(after)
    assert str(spread) in after._repr_html_()
    assert "this run" not in repr(after)
    assert "mean ± standard deviation over 2 seeds" in repr(after)
    with pytest.raises(ValueError, match=r"no number 'test\.bleu'.*test\.perplexity"):
        page.recorded("word_lstm", {"x": "test.bleu"})


def test_only_recipes_are_shown_as_recipes(tmp_path):
    page = ledger.Page("98_page", chapters=tmp_path)
    for name in ("word", "../word_lstm", "__init__"):
        with pytest.raises(ValueError, match=r"is not a recipe; use one of .*word_lstm"):
            page.recorded(name, {"x": "y"})
    with pytest.raises(ValueError, match="is no table"):
        page.recorded("word_lstm", {})


def test_a_recipe_that_fails_leaves_no_record(monkeypatch, tmp_path):
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    monkeypatch.setenv("LMCORE_DATA", str(tmp_path))
    monkeypatch.setenv("LMCORE_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(recorder.PageFailed, match="char_lstm failed with seed 0: exit status 1"):
        recorder.record_chapter("char_lstm", 1, chapters=tmp_path, say=lambda _: None)
    assert record.read("char_lstm", tmp_path) == []


def test_every_size_is_a_setting_that_the_ledger_can_keep():
    for recipe in (char_lstm, film_reviews, word_lstm):
        for sizes in recipe.SIZES.values():
            assert all(isinstance(value, int | float | str | bool) for value in asdict(sizes).values())
    assert issubclass(word_lstm.SummedBPTT, TruncatedBPTT)
