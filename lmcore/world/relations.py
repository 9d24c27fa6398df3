"""Word pairs that stand in one relation, read off the lexicon: the material of analogy tests."""

from lmcore.world import dutch, lexicon, things  # noqa: F401  (they fill the lexicon)
from lmcore.world.kinds import KINDS

RELATIONS = {
    "country : capital": "capital",
    "country : language": "tongue",
    "animal : young": "young",
    "animal : plural": "animals",
    "thing : plural": "things",
    "job : workplace": "workplace",
    "job : tool": "tool",
    "hobby : past": "hobby_past",
    "adjective : opposite": "opposite",
    "adjective : comparative": "comparative",
    "English : Dutch": "good_nl",
}


def relations() -> dict[str, list[tuple[str, str]]]:
    """Relation → its pairs of single words, such as ("France", "Paris") of "country : capital"."""
    out = {}
    for name, kind in RELATIONS.items():
        rows = [(key[0], value) for key, row in KINDS[kind].table.items() for value in row]
        out[name] = [(a, b) for a, b in rows if " " not in a + b]
    gendered = zip(KINDS["relative"].table[("she",)], KINDS["relative"].table[("he",)], strict=True)
    out["she : he"] = list(gendered)
    return out
