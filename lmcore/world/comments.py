"""Short comments with a sentiment or a tone, and messages that are spam or not."""

from lmcore.world.grammar import Rule

TAILS = {
    "positive": "I would come again . | I will tell all my friends . | I loved every minute of it . | It made me happy .",
    "negative": "I want my money back . | I left early . | It was a waste of time . | I will not come again .",
}


def comments() -> list[Rule]:
    """Reviews (with a sentiment) and remarks (toxic or not). The insults are those of a playground."""
    verdict = "[0.6: The {x} was {verdict(sentiment)} . | 0.4: It was {a verdict(sentiment)} {x} . ]"
    rules = [
        Rule(
            "x:judged sentiment:sentiment",
            f"[0.3: On {{day}} we went out . ] {verdict} [0.4: It lasted {{number}} hours . ]",
            3,
        )
    ]
    for value, tails in TAILS.items():
        variables = f"x:judged sentiment:{value}"
        rules += [
            Rule(variables, f"The {{x}} was [0.5: very ] {{verdict(sentiment)}} [0.7: . | 0.3: ! ] [ {tails} ]", 2.0),
            Rule(variables, "The {x} was {verdict(sentiment)} , not {against(sentiment)} at all !"),
            Rule(variables, "The {x} was not {against(sentiment)} at all . [0.4: It was {verdict(sentiment)} . ]"),
        ]
    reviews = [Rule(r.variables, r.template, r.weight, "review") for r in rules]
    remarks = [
        ("yes", "You are {a slight} {insult} [0.6: . | 0.4: ! ] [0.3: Nobody likes your {post} . ]", 1.5),
        ("yes", "What {a slight} {post} ! [0.5: Go away , you {insult} ! ]", 1.5),
        ("yes", "Only {a insult} would write such {a post} .", 1.0),
        ("no", "You are very {courtesy} . [0.5: Thank you for the {post} ! ]", 1.5),
        ("no", "What {a courtesy} {post} ! [0.4: Please send more . ]", 1.5),
        ("no", "The {insult} in the {post} was {courtesy} . [0.4: I want to see it again . ]", 1.0),
        ("no", "Only {a courtesy} person would write such {a post} .", 1.0),
    ]
    return reviews + [Rule(f"toxic:{toxic}", f"{{!toxic}} {text}", w, "remark") for toxic, text, w in remarks]


def messages() -> list[Rule]:
    """Messages: spam and not."""
    texts = [
        ("yes", "Win a free {prize} [now | today | this week ] ! [0.6: Click here . ] [0.3: Only {number} left ! ]", 2.0),
        ("yes", "You have won {a prize} ! [Send us your name | Pay only {number} coins | Call us now ] .", 2.0),
        ("yes", "Cheap {goods} , [today only | this week only | free delivery ] ! [0.6: Click here . ]", 1.0),
        ("no", "{N} called . Please call {her(g)} back [before {hour} | today | on {day} ] .", 2.0),
        ("no", "Can we meet {n} [0.5: at the station ] on {day} ? [0.5: {She(g)} has {a prize} for you . ]", 2.0),
        ("no", "Your {goods} are ready . [0.6: You can fetch them [today | on {day} ] . ]", 1.0),
    ]
    return [Rule(f"g:gender n:name(g) spam:{spam}", f"{{!spam}} {text}", w, "message") for spam, text, w in texts]
