"""This run beside the recorded ones, for every reader."""

import re

from lmcore import ledger
from lmcore.ledger import record
from tests.ledger.records import Markup, recorded, run


def test_without_a_record_a_table_has_the_command_and_no_spread(chapters):
    page = ledger.Page("99_page", chapters=chapters)
    page.log("bits", 5.25)
    assert page.spread("bits") is None
    table = page.table({"Kneser–Ney": "bits"}, "Cross-entropy", unit="bits per token")
    line = "python -m lmcore.ledger record 99_page --seeds 5 --scale small --device cpu"
    for text in (repr(table), "".join(Markup(table._repr_html_()).texts)):
        assert "Cross-entropy (bits per token)" in text
        assert "5.250" in text
        assert line in text
        assert "±" not in text


def test_with_a_record_a_table_has_mean_and_deviation(chapters):
    record.write("99_page", [recorded(chapters)], chapters)
    page = ledger.Page("99_page", chapters=chapters)
    page.log("bits", 5.123)
    spread = page.spread("bits")
    assert (spread.mean, spread.sd, spread.n) == (6.0, 1.0, 3)
    assert page.spread("none") is None
    text = repr(page.table({"A": "bits", "B": "gain"}))
    assert re.search(r"A +5\.1 +6\.0 ± 1\.0", text)
    assert re.search(r"B +– +-0\.10 ± 0\.10", text)
    assert "over 3 seeds, A <fast> CPU, 2026-01-03." in text
    assert "earlier version" not in text
    assert "python -m lmcore.ledger record 99_page --seeds 3 --scale small --device cpu" in text


def test_an_old_record_says_so(chapters):
    record.write("99_page", [recorded(chapters, code="0" * 64)], chapters)
    page = ledger.Page("99_page", chapters=chapters)
    assert page.spread("bits").stale
    table = page.table({"A": "bits"})
    assert "recorded with an earlier version of the code" in repr(table)
    assert "recorded with an earlier version of the code" in table._repr_html_()


def test_records_of_other_devices_stand_beside(chapters):
    gpu = recorded(chapters, run(0, bits=4.0), device="cuda", device_name="A GPU", scale="full")
    record.write("99_page", [gpu, recorded(chapters)], chapters)
    page = ledger.Page("99_page", chapters=chapters)
    assert page.spread("bits").device == "cpu"
    text = repr(page.table({"A": "bits"}))
    assert text.index("recorded (small, cpu)") < text.index("recorded (full, cuda)")
    assert "one seed, so no spread, A GPU" in text


def test_tables_are_accessible_and_escaped(chapters):
    record.write("99_page", [recorded(chapters)], chapters)
    page = ledger.Page("99_page", chapters=chapters)
    page.log("bits", 5.25)
    for shown in (page.table({"<b>A</b>": "bits"}, "1 < 2"), page.receipt(), ledger.overview(chapters)):
        markup = Markup(shown._repr_html_())
        tags = [tag for tag, _ in markup.elements]
        assert "caption" in tags
        assert "b" not in tags
        assert "fast" not in tags
        heads = [attributes.get("scope") for tag, attributes in markup.elements if tag == "th"]
        assert heads
        assert set(heads) <= {"row", "col"}
    assert "<b>A</b>" in Markup(page.table({"<b>A</b>": "bits"})._repr_html_()).texts


def test_overview_shows_every_recorded_number(chapters):
    assert repr(ledger.overview(chapters)) == "No run has been recorded yet."
    assert "No run has been recorded yet." in ledger.overview(chapters)._repr_html_()
    record.write("99_page", [recorded(chapters), recorded(chapters, run(0, far=1.5), scale="full")], chapters)
    text = repr(ledger.overview(chapters))
    assert len(ledger.all_records(chapters)) == 2
    shown = "6.0 ± 1.0", "-0.10 ± 0.10", "1.500", "A <fast> CPU", "2026-01-03", "--scale full", "24 seconds of processor time"
    for part in shown:
        assert part in text
