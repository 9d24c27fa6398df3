"""Short stories: one rule for each kind of story, with a gap whose length is the distance of the dependency."""

from lmcore.world.grammar import Rule

FILLER = (
    "[0.22: The weather was {weather} . | 0.16: A {friend} came along . | 0.14: A dog barked in the distance . | "
    "0.12: The church bell rang {number} times . | 0.12: It was the {season} holiday . | 0.12: There was a {event} in the street . | "
    "0.12: Some children played with a {colour} ball . ]"
)
DETOUR = "{under} the {landmark}"


def stories(distance: int) -> list[Rule]:
    """The rules, with exactly ``distance`` filler sentences (or, inside a sentence, phrases) between cause and effect."""
    gap = " ".join([FILLER] * distance)
    detour = " ".join([DETOUR] * distance)
    end = "[0.35: {She(g)} felt [0.7: {feeling_good} | 0.3: {feeling_bad} ] . | 0.2: It was a {quality} day . | 0.1: In the evening {she(g)} went home . ]"
    good_end = "[0.3: {She(g)} was {feeling_good} . | 0.15: That made {her(g)} {feeling_good} . ]"
    person = "g:gender n:name(g)"
    return [
        Rule(
            f"{person} p:place o:deed(p)",
            f"[0.6: On {{day}} {{n}} | 0.25: One {{part}} {{n}} | 0.15: {{N}} ] went to the {{p}} . {gap} "
            f"There {{she(g)}} {{did(p, o)}} {{a o}} . {end}",
            4,
            "making",
        ),
        Rule(
            f"{person} c:country",
            f"[0.5: {{N}} | 0.5: In {{month}} {{n}} ] [0.5: flew | 0.5: travelled ] to [0.7: {{c}} | 0.3: {{c}} by train ] . {gap} "
            f"{{She(g)}} [0.6: visited | 0.4: arrived in ] the capital , {{capital(c)}} . "
            f"[0.5: People there speak {{tongue(c)}} . ] {good_end}",
            3,
            "travel",
        ),
        Rule(
            "k:amount g:gender x:article_noun(k)",
            f"The {{x}} that the {{person(g)}} {detour} [0.4: lost | 0.3: found | 0.3: bought ] {{were(k)}} {{state}} . "
            "[0.5: {She(g)} put {them(k)} [in the {room} | on the {furniture} ] . ]",
            2,
            "agreement",
        ),
        Rule(
            "k:amount w:worker(k)",
            f"The {{w}} who the {{job}} {detour} met at the [0.5: restaurant | 0.3: station | 0.2: theatre ] {{were(k)}} {{state_people}} .",
            1.5,
            "agreement",
        ),
        Rule(
            person,
            f"{{N}} lost {{a thing}} . {gap} [0.7: Then | 0.3: At last ] {{she(g)}} found it {{under}} the {{furniture}} . {good_end}",
            2,
            "lost",
        ),
        Rule(
            "g:gender n:name(g) h:other(g) m:name(h)",
            f"{{N}} gave {{m}} {{a thing}} . {gap} {{She(h)}} thanked {{her(g)}} [0.5: for the present | 0.5: with a smile ] .",
            2,
            "present",
        ),
        Rule(
            f"{person} v:bank_river w:waters d:waters",
            f"{{N}} went to the {{w}} . {gap} {{She(g)}} {{v}} the bank . [0.6: The water was {{state}} . | 0.4: {{She(g)}} watched the {{afloat}} . ]",
            1,
            "bank",
        ),
        Rule(
            f"{person} v:bank_money",
            f"{{N}} needed [0.5: a loan | 0.5: {{money}} ] . {gap} {{She(g)}} {{v}} the bank . "
            "[0.6: The clerk counted the {money} . | 0.4: {She(g)} opened an account . ]",
            1,
            "bank",
        ),
        Rule(
            person,
            "[0.7: {She(g)} | 0.3: {N} ] [0.55: likes {foods} | 0.03: licks {icy} | 0.002: licks {foods} | 0.2: likes {art} | "
            "0.218: loves to drink {drink} ] .",
            2,
            "taste",
        ),
        Rule(
            "a:animal g:gender n:name(g)",
            f"{{N}} saw {{a a}} . {gap} It {{voice(a)}} . [0.5: Its {{young(a)}} slept in the {{home(a)}} . | 0.3: There were {{number}} {{animals(a)}} . ]",
            2,
            "animal",
        ),
        Rule(
            "g:gender n:name(g) j:job",
            f"{{N}} is {{a j}} . [0.6: Every {{part}} {{she(g)}} goes to the {{workplace(j)}} . ] {gap} "
            "{She(g)} [0.6: works with {a tool(j)} | 0.4: {duties(j)} all day ] . [0.4: Yesterday {she(g)} {did_job(j)} until {hour} o'clock . ]",
            2,
            "job",
        ),
        Rule(
            "w:weather g:gender n:name(g)",
            f"It was a {{w}} day . [0.5: {{sky(w)}} . ] {gap} {{N}} took {{a clothes(w)}} . {good_end}",
            1.5,
            "weather",
        ),
        Rule(
            "m:meal g:gender n:name(g)",
            f"It was time for {{m}} . {gap} {{N}} had {{dish(m)}} with {{drink}} . [0.5: {{She(g)}} liked it . ]",
            1.5,
            "meal",
        ),
        Rule(
            f"{person} h:hobby",
            f"{{N}} likes {{h}} . {gap} [0.5: Last {{day}} {{she(g)}} {{hobby_past(h)}} for {{number}} hours . | "
            "0.5: Tomorrow {she(g)} will {hobby_base(h)} with {a friend} . ]",
            1.5,
            "hobby",
        ),
        Rule(
            "q:quality b:big_beast(q)",
            f"The {{b}} was not {{opposite(q)}} . {gap} It was {{q}} .",
            1,
            "opposite",
        ),
        Rule(
            person,
            f"{{N}} works for {{company}} in {{city}} . {gap} {{Hers(g)}} colleagues like {{her(g)}} .",
            1,
            "company",
        ),
    ]
