"""English sentences with their Dutch translations, from one derivation, with the true word alignment.

The Dutch side re-orders as Dutch does: the verb comes second ("Maandag ging Alice naar het strand"), participles and
infinitives come last ("Alice heeft een zandkasteel gebouwd"), and so does the verb of a
subordinate clause ("omdat ze moe was").
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lmcore import END
from lmcore.world import dutch as _dutch  # noqa: F401  (adds the Dutch words)
from lmcore.world.grammar import Item, Rule, parse, written
from lmcore.world.kinds import KINDS
from lmcore.world.program import Program

WHO = "g:gender n:name(g)"
Clause = tuple[str, str, str, float]  # variables, English template, Dutch template, weight
CLAUSES: dict[str, Clause] = {
    "place": (
        f"{WHO} d:weekday p:spot",
        "on_d {d} {n} went_v to_t the_t2 {p}",
        "{weekday_nl(d)} ging_v {n} naar_t {spot_de(p)}_t2 {spot_nl(p)}",
        3.0,
    ),
    "moment": (
        f"{WHO} m:moment a:act o:act_good(a)",
        "{m} {n} {a} a_e {o}",
        "{moment_nl(m)} {act_nl(a)} {n} een_e {good_nl(o)}",
        2.0,
    ),
    "perfect": (
        f"{WHO} a:act o:act_good(a)",
        "{n} has_h {act_part(a)} a_e {o}",
        "{n} heeft_h een_e {good_nl(o)} {act_part_nl(a)}",
        3.0,
    ),
    "adjective": (
        f"{WHO} l:look a:act o:act_good(a)",
        "{n} has_h {act_part(a)} {a l} {o}",
        "{n} heeft_h een_e {look_een(l, o)} {good_nl(o)} {act_part_nl(a)}",
        2.0,
    ),
    "want": (
        f"{WHO} a:act o:act_good(a)",
        "{n} wanted_w to_i {act_base(a)} the_e {o}",
        "{n} wilde_w {good_de(o)}_e {good_nl(o)} {act_base_nl(a)}",
        2.0,
    ),
    "will": (
        f"{WHO} p:spot a:act o:act_good(a)",
        "{n} will_w {act_base(a)} a_e {o} near_t the_t2 {p}",
        "{n} zal_w bij_t {spot_de(p)}_t2 {spot_nl(p)} een_e {good_nl(o)} {act_base_nl(a)}",
        1.0,
    ),
    "because": (
        f"{WHO} p:spot x:mind",
        "{n} went_v to_t the_t2 {p} because_c {she(g)} was_w {x}",
        "{n} ging_v naar_t {spot_de(p)}_t2 {spot_nl(p)} omdat_c {ze(g)} {mind_nl(x)} was_w",
        2.0,
    ),
    "that": (
        f"{WHO} c:claim h:gender m:name(h) a:act o:act_good(a)",
        "{n} {c} that_c {m} had_h {act_part(a)} the_e {o}",
        "{n} {claim_nl(c)} dat_c {m} {good_de(o)}_e {good_nl(o)} had_h {act_part_nl(a)}",
        2.0,
    ),
    "relative": (
        f"{WHO} a:act o:act_good(a) l:look",
        "the_e {o} that_r {n} {a} was_w {l}",
        "{good_de(o)}_e {good_nl(o)} {good_dat(o)}_r {n} {act_nl(a)} was_w {look_nl(l)}",
        1.5,
    ),
    "when": (
        f"{WHO} w:outside p:spot",
        "when_c {w} ,_k {n} went_v to_t the_t2 {p}",
        "toen_c {outside_nl(w)} ,_k ging_v {n} naar_t {spot_de(p)}_t2 {spot_nl(p)}",
        1.0,
    ),
    "call": (
        f"{WHO} m:moment h:gender o:name(h)",
        "{m} {n} called_v {o}",
        "{moment_nl(m)} belde_v {n} {o} op_v",
        1.0,
    ),
    "kin": (
        f"{WHO} k:kin l:look a:gift_act o:act_good(a)",
        "{n} {a} the_e {l} {o} for_f {hers(g)} {k}",
        "{n} {act_nl(a)} {good_de(o)}_e {look_e(l)} {good_nl(o)} voor_f {haar(g)} {kin_nl(k)}",
        1.0,
    ),
    "not": (
        f"{WHO} a:act o:act_good(a)",
        "{n} did_x not_y {act_base(a)} the_e {o}",
        "{n} {act_nl(a)} {good_de(o)}_e {good_nl(o)} niet_y",
        1.0,
    ),
}
ARTICLE = "e"  # the link of "a", "an", "een"
JOINS = {"and": ("and_j", "en_j", 0.7), "but": (",_q but_j", ",_q maar_j", 0.3)}


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence in two languages; ``english, dutch = pair`` unpacks it.

    ``alignment`` holds (i, j) where English word i and Dutch word j translate each other; words without a counterpart
    ("did", "to") are in no pair. ``clauses`` counts the clauses that were joined.
    """

    english: tuple[str, ...]
    dutch: tuple[str, ...]
    alignment: tuple[tuple[int, int], ...]
    clauses: int

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter((self.english, self.dutch))

    @property
    def crossings(self) -> int:
        """How many pairs of links cross: (i, j) and (k, l) with i < k and j > l. Zero for word-by-word translation."""
        links = self.alignment
        return sum(i < k and j > m for i, j in links for k, m in links)


def capital(template: str) -> str:
    """The template with a capital at the start of the sentence."""
    return "{" + template[1].upper() + template[2:] if template[0] == "{" else template[0].upper() + template[1:]


def templates(symbol: str) -> dict[str, Clause]:
    """Label → clause, for the rules of a symbol: "first", "more" or "stop"."""
    if symbol == "stop":
        return {"stop": ("", "._z", "._z", 1.0)}
    if symbol == "first":
        return {name: (v, capital(en), capital(nl), w) for name, (v, en, nl, w) in CLAUSES.items()}
    return {
        f"{join}+{name}": (v, f"{en_join} {en}", f"{nl_join} {nl}", w * share)
        for join, (en_join, nl_join, share) in JOINS.items()
        for name, (v, en, nl, w) in CLAUSES.items()
    }


ALL = {label: clause for symbol in ("first", "more", "stop") for label, clause in templates(symbol).items()}
ENGLISH = {label: english for label, (_, english, _, _) in ALL.items()}
DUTCH = {label: dutch for label, (_, _, dutch, _) in ALL.items()}


def program(clauses: tuple[int, int], side: str) -> Program:
    """The grammar of one side, "english" or "dutch".

    The number of clauses is drawn evenly from ``clauses``, both ends included.
    """

    def rule(label: str, clause: Clause) -> Rule:
        variables, english, dutch, weight = clause
        return Rule(variables, english if side == "english" else dutch, weight, label)

    symbols = {symbol: [rule(*row) for row in templates(symbol).items()] for symbol in ("first", "more", "stop")}
    low, high = clauses
    forms = [(1 / (high - low + 1), ("first", *["more"] * (n - 1), "stop")) for n in range(low, high + 1)]
    return Program(KINDS, symbols, forms, record=("*",))


def realise(marks: Sequence[tuple[str, str, int]]) -> Pair:
    """The pair that a derivation (the marks of a walk through the English grammar, in order) stands for."""
    parts: list[tuple[str, dict[str, str]]] = []
    for name, value, _ in marks:
        if name == "rule":
            parts.append((value, {}))
        else:
            parts[-1][1][name] = value
    english, dutch = (
        [row for number, (label, values) in enumerate(parts) for row in spelled(side[label], values, number)]
        for side in (ENGLISH, DUTCH)
    )
    aligned = tuple((i, j) for i, (_, a) in enumerate(english) for j, (_, b) in enumerate(dutch) if a == b)
    return Pair(tuple(w for w, _ in english), tuple(w for w, _ in dutch), aligned, len(parts) - 1)


def spelled(template: str, values: dict[str, str], clause: int) -> list[tuple[str, str]]:
    """(word, link) for every word of a template under these values; links are unique to the clause."""
    out = []
    for item in parse(template):
        assert isinstance(item, Item), "templates of pairs have no alternatives"
        value = item.name if item.literal else values.get(item.name) or lookup(item, values)
        default = item.args[0] if item.args else item.name
        for number, (word, _) in enumerate(written(item, value, "")):
            link = ARTICLE if item.article and number == 0 else item.link or default
            out.append((word, f"{clause}.{link}"))
    return out


def lookup(item: Item, values: dict[str, str]) -> str:
    """The one value that a fact has under these values, such as the Dutch for an English word."""
    (value,) = KINDS[item.name].given(tuple(values[a] for a in item.args))
    return value


def derive(grammar: Program, english: Sequence[str]) -> Pair | None:
    """The pair whose English side is ``english``: its derivation is found by following every state that fits the words."""
    paths: dict[int, list[tuple[str, str, int]]] = {grammar.start: []}
    for position, word in enumerate((*english, END)):
        ahead: dict[int, list[tuple[str, str, int]]] = {}
        for state, marks in paths.items():
            for edge in grammar.row(state).edges:
                if edge.word == word:
                    ahead[edge.target] = [*marks, *((*mark, position) for mark in edge.marks)]
        paths = ahead
    return realise(paths[-1]) if paths else None
