"""Instructions with their answers: one text, in which a mark separates what is asked from what is answered."""

from lmcore.world import dutch as _dutch  # noqa: F401  (adds the Dutch words)
from lmcore.world.grammar import Rule

RECITE = {
    "the days of the week": "Monday , Tuesday , Wednesday , Thursday , Friday , Saturday , Sunday .",
    "the seasons": "Spring , summer , autumn , winter .",
    "the meals of the day": "Breakfast , lunch , dinner .",
    "the numbers up to five": "One , two , three , four , five .",
    "the months of summer": "June , July , August .",
}


def instructions() -> list[Rule]:
    """Questions of knowledge, of grammar, of order and of translation; each has one right answer. Their labels are what
    :attr:`lmcore.world.Instruction.kind` says."""
    facts = [
        ("c:country", "What is the capital of {c} ?", "{capital(c)} .", 4.0, "capital"),
        ("c:country", "Which language do people speak in {c} ?", "{tongue(c)} .", 2.0, "language"),
        ("q:quality", "What is the opposite of {q} ?", "{Opposite(q)} .", 3.0, "opposite"),
        ("a:animal", "What does {a a} do ?", "It {noises(a)} .", 2.0, "sound"),
        ("a:animal", "What do you call a young {a} ?", "{A young(a)} .", 2.0, "young"),
        ("a:animal", "Where does {a a} sleep ?", "In the {home(a)} .", 1.0, "home"),
        ("a:animal", "Make {a} plural .", "{Animals(a)} .", 1.5, "plural"),
        ("x:thing", "Make {x} plural .", "{Things(x)} .", 2.0, "plural"),
        ("j:job", "Where does {a j} work ?", "At the {workplace(j)} .", 2.0, "work"),
        ("j:job", "What does {a j} need ?", "{A tool(j)} .", 1.0, "need"),
        ("v:act", "Give the base form of {v} .", "{Act_base(v)} .", 1.0, "base"),
        ("h:hobby", "Give the past of {hobby_base(h)} .", "{Hobby_past(h)} .", 1.5, "past"),
        ("x:good", "Translate {x} into Dutch .", "{Good_de(x)} {good_nl(x)} .", 2.0, "Dutch"),
        ("m:mind", "Translate {m} into Dutch .", "{Mind_nl(m)} .", 1.0, "Dutch"),
        ("l:look", "Translate {l} into Dutch .", "{Look_nl(l)} .", 1.0, "Dutch"),
        ("d:digit", "Which number comes after {d} ?", "{Next_number(d)} .", 1.5, "number"),
        ("q:quality", "Give the comparative of {q} .", "{Comparative(q)} .", 1.0, "comparative"),
        ("x:gift", "Repeat the word {x} .", "{X} .", 0.7, "repeat"),
        ("x:gift", "Say {x} twice .", "{X} {x} .", 0.7, "twice"),
    ]
    rules = [Rule(v, f"{q} {{!answer}} {a}", w, kind) for v, q, a, w, kind in facts]
    rules += [Rule("", f"Recite {what} . {{!answer}} {text}", 0.3, "recite") for what, text in RECITE.items()]
    return rules
