"""Short stories: rules for each kind of story, with a gap whose length is the distance between cause and effect.

``{!cause}`` and ``{!effect}`` write nothing; they mark the word that follows, so that recall can be measured.
"""

from lmcore.world.grammar import Rule

FILLERS = """
    The weather was {weather} . | {A friend} came along . | A dog barked in the distance . |
    The church bell rang {number} times . | It was the {season} holiday . | There was {a event} in the street . |
    Some children played with {a colour} ball . | The streets were [full | empty | quiet ] . | {A colour} car drove by . |
    Somebody played the {instrument} . | The {animals_any} were asleep . | It was almost {hour} o'clock . |
    The {weather} {part} passed {manner} . | There was a smell of {dish_any} .
"""
PERSON = "g:gender n:name(g)"
WHEN = "[0.45: On {day} {!cause} {n} | 0.2: One {part} {!cause} {n} | 0.1: In {month} {!cause} {n} | 0.25: {!cause} {N} ]"
WENT = WHEN.replace("{!cause} ", "")
OPENING = "[0.2: It was {a weather} {part} . | 0.1: {Season} had come . ]"
GOOD_END = """[0.25: {She(g)} was {feeling_good} . | 0.12: That made {her(g)} {made_feel} . | 0.08: {She(g)} smiled . |
    0.1: {She(g)} told {hers(g)} {relative_any} about it . ]"""
END = """[0.2: {She(g)} was [0.7: {feeling_good} | 0.3: {feeling_bad} ] . | 0.12: It was {a adjective_day} day . |
    0.1: {Hers(g)} {friend} helped {her(g)} . | 0.12: {She(g)} told {hers(g)} {relative_any} about it . ]
    [0.15: In the evening {she(g)} went home [0.4: by {vehicle} ] . | 0.1: At home {she(g)} drank {drink} and ate {foods} . |
    0.1: At {hour} o'clock {she(g)} went to bed . ] [0.1: That night {she(g)} slept {well} . ]"""
HOBBY = """[0.5: Last {day} {she(g)} {!effect} {hobby_past(h)} for {number} hours . |
    0.3: Tomorrow {she(g)} will {!effect} {hobby_base(h)} with {a friend} . |
    0.2: {She(g)} can {!effect} {hobby_base(h)} very {well} . ]"""
WORK = """[0.6: Every {part} {she(g)} goes to the {!effect} {workplace(j)} . {She(g)} works with {a tool(j)} . |
    0.4: At work {she(g)} {!effect} {duties(j)} all day . ]
    [0.3: Yesterday {she(g)} {did_job(j)} until {hour} o'clock . ] [0.2: {Hers(g)} {relative_any} is {a job} too . ]"""
TASTE = """[0.8: {She(g)} | 0.2: {N} ] [0.45: likes {foods} | 0.03: licks {icy} | 0.002: licks {foods} | 0.218: likes {art} |
    0.3: loves to drink {drink} ] ."""


def making(gap: str) -> list[Rule]:
    """Place → object: what is done there depends on a place that was named before the gap."""
    deed = "There {she(g)} {!effect} {did(o)} {a object(o)} . [0.3: The {object(o)} was [0.3: very ] {trait(p)} . ]"
    again = "[0.2: Then {she(g)} {did(q)} {a object(q)} . ]"
    went = f"{OPENING} {WENT} went to the {{!cause}} {{p}} [0.15: with {{a friend}} | 0.1: by {{vehicle}} ] ."
    variables = f"{PERSON} p:place o:deed(p) q:deed(p)"
    return [
        Rule(variables, f"{went} {gap} {deed} {again} {END}", 4.0, "making"),
        Rule(variables, f"{{N}} was at the {{!cause}} {{p}} . {gap} {deed} {again} {END}", 1.0, "making"),
        Rule("g:gender p:place o:deed(p)", "There {she(g)} {did(o)} {a object(o)} .", 0.3, "fragment"),
    ]


def travel(gap: str) -> list[Rule]:
    """Country → capital, language, sight."""
    start = f"{OPENING} {WENT} [0.5: flew | 0.3: travelled | 0.2: went by {{vehicle}} ] to {{!cause}} {{c}} ."
    capital = "{She(g)} [0.6: visited | 0.4: arrived in ] the capital , {!effect} {capital(c)} ."
    more = "[0.4: People there speak {tongue(c)} . ] [0.4: {She(g)} saw {a sight(c)} . | 0.2: {She(g)} ate {foods} . ]"
    home = (
        f"{{N}} lives in {{capital(c)}} , the capital of {{!cause}} {{c}} . {gap} {{She(g)}} speaks {{!effect}} {{tongue(c)}} ."
    )
    return [
        Rule(f"{PERSON} c:country", f"{start} {gap} {capital} {more} {GOOD_END}", 2.5, "travel"),
        Rule(f"{PERSON} c:country", home, 1.5, "travel"),
    ]


def agreement(detour: str) -> list[Rule]:
    """The number of a subject and of its verb, with a clause of other nouns between them."""
    verb = "{!effect} [0.6: {were(k)} | 0.25: {are(k)} | 0.15: {seem(k)} ] {state} ."
    lost = f"The {{!cause}} {{x}} that the {{person(g)}} {detour} [0.4: lost | 0.3: found | 0.3: bought ] {verb}"
    met = f"The {{!cause}} {{w}} who the {{job}} {detour} met at the [0.5: restaurant | 0.3: station | 0.2: theatre ]"
    put = "[0.5: {She(g)} put {them(k)} [in the {room} | on the {furniture} ] . ]"
    belong = f"{{Those(k)}} {{!cause}} {{x}} {detour} {{!effect}} {{belong(k)}} to {{n}} ."
    now = "{!effect} {were(k)} {state_people} . [0.4: Now the {w} {live(k)} in {city} . ]"
    return [
        Rule("k:amount x:noun(k) g:gender", f"{lost} {put}", 2.0, "agreement"),
        Rule("k:amount w:worker(k)", f"{met} {now}", 1.5, "agreement"),
        Rule(f"k:amount x:noun(k) {PERSON}", belong, 0.7, "agreement"),
    ]


def people(gap: str) -> list[Rule]:
    """Name → pronoun: what people lose, give, like and work at."""
    two = "g:gender n:name(g) h:gender m:name(h)"
    lost = f"{{!cause}} {{N}} lost {{hers(g)}} {{thing}} . {gap} [0.7: Then | 0.3: At last ]"
    found = "{!effect} [0.6: {she(g)} | 0.4: {n} ] found it {under} the {furniture} ."
    gave = f"{{N}} gave {{!cause}} {{m}} {{a gift}} . {gap} {{!effect}} {{She(h)}} thanked {{her(g)}}"
    thanks = (
        "[0.5: for the present | 0.5: with a smile ] . [0.3: {Hers(h)} {relative(h)} was [surprised | jealous | there ] . ]"
    )
    met = f"{{N}} met {{!cause}} {{m}} at the {{place}} . {gap} {{!effect}} {{She(h)}} asked {{her(g)}} for"
    favour = "[help | {a thing} | advice ] . [0.5: {She(g)} [helped | said no | laughed ] . ]"
    office = f"{{!cause}} {{N}} works for {{company}} in {{city}} . {gap} {{!effect}} {{Hers(g)}} colleagues like {{her(g)}} ."
    mirror = f"{{!cause}} {{N}} looked in the mirror . {gap} {{!effect}} {{She(g)}} saw {{herself(g)}} . {END}"
    family = f"{{Hers(g)}} name is {{!cause}} {{n}} . {gap} {{!effect}} {{She(g)}} is the {{r}} of {{a friend}} ."
    return [
        Rule(PERSON, f"{lost} {found} {GOOD_END}", 2.0, "lost"),
        Rule(two, f"{gave} {thanks}", 1.5, "present"),
        Rule(two.replace("h:gender", "h:other(g)"), f"{met} {favour}", 1.0, "meeting"),
        Rule(f"{PERSON} r:relative(g)", family, 0.7, "family"),
        Rule(f"{PERSON} h:hobby", f"{{N}} likes {{!cause}} {{h}} . {gap} {HOBBY}", 1.5, "hobby"),
        Rule(PERSON, mirror, 0.5, "mirror"),
        Rule(f"{PERSON} j:job", f"{{N}} is {{!cause}} {{a j}} . {gap} {WORK}", 2.5, "job"),
        Rule(PERSON, f"{office} [0.3: In {{month}} {{she(g)}} moves to {{city}} . ]", 1.0, "company"),
        Rule(PERSON, TASTE, 2.0, "taste"),
        Rule(
            "",
            "[0.75: I [0.5: like {foods} | 0.1: like {art} | 0.4: love to drink {drink} ] . | 0.25: {Foods} are {flavour} . ]",
            1,
            "taste",
        ),
    ]


def nature(gap: str) -> list[Rule]:
    """Animals, weather, meals and opposites."""
    animal = f"{{N}} saw {{!cause}} {{a a}} . {gap} It {{!effect}} {{voice(a)}} ."
    young = (
        "[0.4: Its {young(a)} slept in the {home(a)} . | 0.3: There were {number} {animals(a)} . | 0.15: The {a} ran away . ]"
    )
    home = f"The {{!cause}} {{a}} lives in the {{home(a)}} . {gap} It {{!effect}} {{noises(a)}} at night ."
    weather = f"It was {{!cause}} {{a w}} {{part}} and {{sky(w)}} . {gap} {{N}} took {{!effect}} {{a clothes(w)}} ."
    meal = f"It was time for {{!cause}} {{m}} . {gap} {{N}} had {{!effect}} {{dish(m)}} [0.6: with | 0.4: and ] {{drink}} ."
    opposite = f"The {{b}} was not {{!cause}} {{opposite(q)}} . {gap} It was {{!effect}} {{q}} ."
    return [
        Rule(f"a:animal {PERSON}", f"{animal} {young}", 2.0, "animal"),
        Rule("a:animal", home, 1.0, "animal"),
        Rule(f"w:weather {PERSON}", f"{weather} {GOOD_END}", 1.5, "weather"),
        Rule(f"m:meal {PERSON}", f"{meal} [0.4: {{She(g)}} liked it . | 0.2: {{She(g)}} was still hungry . ]", 1.5, "meal"),
        Rule("q:quality b:bearer(q)", f"{opposite} [0.4: It was {{comparative(q)}} than before . ]", 1.0, "opposite"),
    ]


def senses(gap: str) -> list[Rule]:
    """Words with two meanings: bank, server, check, bat. The label says which meaning it is."""
    river = f"{{N}} went to the {{!cause}} {{waters}} . {gap} {{She(g)}} {{!effect}} {{bank_river}} the bank ."
    money = f"{{N}} needed {{!cause}} [0.4: a loan | 0.6: {{money}} ] . {gap} {{She(g)}} {{!effect}} {{bank_money}} the bank ."
    lunch = f"{{N}} ate {{dish_any}} in the {{!cause}} restaurant . {gap} The server {{!effect}} brought the check ."
    desk = f"{{N}} bought a new {{!cause}} computer . {gap} The server {{!effect}} passed the check ."
    cave = f"{{N}} explored the {{!cause}} cave . {gap} {{!effect}} A bat flew over {{hers(g)}} head ."
    match = f"{{N}} went to the {{!cause}} match . {gap} {{!effect}} {{She(g)}} hit the ball with a bat ."
    wet = "[0.5: The water was [cold | deep | clear | warm ] . | 0.4: {She(g)} watched the {afloat} . ]"
    clerk = "[0.5: The clerk counted the {money} . | 0.4: {She(g)} opened an account . ]"
    rules = [
        (f"{river} {wet}", 1.0, "bank (river)"),
        (f"{money} {clerk}", 1.0, "bank (money)"),
        (f"{lunch} [0.5: {{She(g)}} paid with {{money}} . ]", 0.7, "server (restaurant)"),
        (f"{desk} [0.5: {{She(g)}} copied the [files | data | programs ] . ]", 0.7, "server (computer)"),
        (f"{cave} {GOOD_END}", 0.5, "bat (animal)"),
        (f"{match} {GOOD_END}", 0.5, "bat (sport)"),
    ]
    return [Rule(PERSON, template, weight, label) for template, weight, label in rules]


def stories(distance: int) -> list[Rule]:
    """All rules, with exactly ``distance`` filler sentences (inside a sentence: phrases) between cause and effect."""
    gap = " ".join([f"[{FILLERS}]"] * distance)
    detour = " ".join(["{under} the [0.6: {landmark} | 0.4: {landmarks} ]"] * distance)
    return [*making(gap), *travel(gap), *agreement(detour), *people(gap), *nature(gap), *senses(gap)]
