"""The words of the generated language and how they depend on one another.

Each call adds one kind. ``zipf`` lists are in order of frequency; ``_`` in a word list stands for a space.
"""

from collections.abc import Mapping

from lmcore.world.grammar import Kind

KINDS: dict[str, Kind] = {}
SKEW, SHIFT = 1.0, 3.0


def words(text: str) -> list[str]:
    return [word.replace("_", " ") for word in text.split()]


def zipf(values: list[str]) -> dict[str, float]:
    """The Zipf–Mandelbrot law: p(rank r) ∝ 1 / (r + shift), so that common words are common and none is lost."""
    weights = [1 / (rank + SHIFT) ** SKEW for rank in range(1, len(values) + 1)]
    return {value: weight / sum(weights) for value, weight in zip(values, weights, strict=True)}


def even(values: list[str]) -> dict[str, float]:
    return {value: 1 / len(values) for value in values}


def add(name: str, table: Mapping[tuple[str, ...], Mapping[str, float]], tag: str = "") -> None:
    if name in KINDS:
        raise ValueError(f"kind {name!r} exists")
    KINDS[name] = Kind(name, table, tag)


def plain(name: str, text: str, tag: str = "", flat: bool = False) -> list[str]:
    """A kind that depends on nothing."""
    values = words(text)
    add(name, {(): even(values) if flat else zipf(values)}, tag)
    return values


def by(name: str, table: Mapping[str, str], tag: str = "") -> None:
    """A kind that depends on one variable: parent value → word list."""
    add(name, {(parent.replace("_", " "),): zipf(words(text)) for parent, text in table.items()}, tag)


def weighted(name: str, **weights: float) -> None:
    add(name, {(): weights})


def records(fields: str, text: str, tags: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """A table of facts, one line each: the first field is a kind that depends on nothing, the others are its attributes."""
    names = fields.split()
    rows = [words(line) for line in text.strip().splitlines()]
    tags = tags or {}
    if any(len(row) != len(names) for row in rows):
        raise ValueError(f"a row of {names} has the wrong length: {next(row for row in rows if len(row) != len(names))}")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    add(names[0], {(): zipf(columns[names[0]])}, tags.get(names[0], ""))
    for name in names[1:]:
        rows_of = zip(columns[names[0]], columns[name], strict=True)
        add(name, {(key,): {value: 1.0} for key, value in rows_of}, tags.get(name, ""))
    return columns


# People
weighted("gender", she=0.5, he=0.5)
by(
    "name",
    {
        "she": "Alice Emma Sofia Nora Julia Anna Mila Lotte Sara Eva Grace Ruth Clara Ida Maya Olga Rosa Vera Zoe Iris "
        "Hanna Lucy Marie Ella Jane Georgia Florence",
        "he": "Bob Daan Lucas Noah Finn Adam Hugo Tim Max Sem Peter Oscar Jonas Ben Leo Karl Omar Paul Ravi Simon "
        "Tom Victor Walter Emil David Jordan Chad",
    },
    "PER",
)
by("she", {"she": "she", "he": "he"})
by("her", {"she": "her", "he": "him"})
by("hers", {"she": "her", "he": "his"})
by("herself", {"she": "herself", "he": "himself"})
by("other", {"she": "he", "he": "she"})
by("relative", {"she": "mother sister aunt grandmother daughter niece", "he": "father brother uncle grandfather son nephew"})
by("person", {"she": "woman girl queen actress", "he": "man boy king actor"})
plain("friend", "friend neighbour brother sister cousin uncle aunt teacher classmate colleague guest stranger")
plain("feeling_good", "happy proud glad cheerful calm grateful excited relieved")
plain("feeling_bad", "sad tired cross nervous worried lonely bored disappointed")

# Time and weather
plain("day", "Monday Tuesday Wednesday Thursday Friday Saturday Sunday", "DAY", flat=True)
plain("month", "January February March April May June July August September October November December", "DAY", flat=True)
plain("season", "spring summer autumn winter", flat=True)
plain("part", "morning afternoon evening")
plain("number", "two three four five six seven eight nine ten twelve twenty")
plain("hour", "nine ten eight seven eleven twelve six five")
records(
    "weather garment verb_weather",
    """
    sunny hat shone
    rainy raincoat fell
    cold scarf blew
    windy jacket blew
    snowy coat fell
    warm T-shirt shone
    foggy sweater hung
    stormy raincoat blew
    """,
)
by(
    "clothes",
    {
        "sunny": "hat T-shirt dress", "rainy": "raincoat umbrella hood", "cold": "scarf sweater coat", "windy": "jacket hood sweater",
        "snowy": "coat scarf hat", "warm": "T-shirt dress skirt", "foggy": "sweater jacket coat", "stormy": "raincoat hood jacket",
    },
)  # fmt: skip
by(
    "sky",
    {
        "sunny": "The_sun_shone", "rainy": "The_rain_fell", "cold": "The_air_was_icy", "windy": "The_trees_shook", "snowy": "The_snow_fell",
        "warm": "The_air_was_mild", "foggy": "The_streets_were_grey", "stormy": "The_thunder_roared",
    },
)  # fmt: skip

# Places, what is made there, and how
MAKING = {
    "beach": "built:sandcastle made:campfire dug:tunnel found:shell flew:kite",
    "forest": "built:hut made:campfire made:swing found:mushroom drew:map",
    "kitchen": "baked:cake baked:pie cooked:soup made:sandwich peeled:potato",
    "garden": "dug:pond planted:rose built:fence grew:pumpkin picked:apple",
    "studio": "painted:picture wrote:song carved:statue recorded:album drew:portrait",
    "workshop": "repaired:chair built:table built:robot carved:spoon mended:clock",
    "library": "read:novel borrowed:dictionary wrote:poem studied:atlas opened:magazine",
    "park": "flew:kite fed:duck rode:bicycle climbed:tree threw:ball",
    "market": "bought:melon sold:basket chose:cheese bought:carpet tasted:olive",
    "laboratory": "mixed:potion tested:rocket built:robot measured:crystal cleaned:microscope",
    "harbour": "painted:boat built:raft repaired:net caught:fish counted:ship",
    "farm": "fed:goat milked:cow drove:tractor collected:egg washed:horse",
    "museum": "admired:painting drew:vase studied:mummy photographed:statue visited:exhibition",
    "school": "solved:puzzle wrote:essay learned:poem drew:map read:novel",
    "lake": "caught:fish rowed:boat saw:swan built:raft threw:stone",
    "station": "caught:train bought:ticket met:conductor carried:suitcase read:newspaper",
    "office": "wrote:letter answered:telephone signed:contract printed:report sent:parcel",
    "theatre": "watched:play sewed:costume played:king learned:role sang:song",
    "castle": "saw:ghost explored:dungeon found:sword climbed:tower drew:portrait",
    "mountain": "climbed:rock photographed:eagle pitched:tent followed:path built:snowman",
    "hospital": "visited:patient met:nurse swallowed:pill washed:wound held:baby",
    "stadium": "watched:match scored:goal won:medal threw:ball lost:race",
}
add("place", {(): zipf(list(MAKING))})
add("deed", {(place,): zipf([pair.split(":")[1] for pair in pairs.split()]) for place, pairs in MAKING.items()})
add(
    "did",
    {(place, pair.split(":")[1]): {pair.split(":")[0]: 1.0} for place, pairs in MAKING.items() for pair in pairs.split()},
)

# The world
records(
    "country capital tongue",
    """
    France Paris French
    Italy Rome Italian
    Spain Madrid Spanish
    Germany Berlin German
    Netherlands Amsterdam Dutch
    Japan Tokyo Japanese
    Norway Oslo Norwegian
    Egypt Cairo Arabic
    Greece Athens Greek
    Portugal Lisbon Portuguese
    Russia Moscow Russian
    China Beijing Chinese
    Poland Warsaw Polish
    Sweden Stockholm Swedish
    Denmark Copenhagen Danish
    Finland Helsinki Finnish
    Hungary Budapest Hungarian
    Turkey Ankara Turkish
    Vietnam Hanoi Vietnamese
    Thailand Bangkok Thai
    Austria Vienna German
    Ireland Dublin English
    Peru Lima Spanish
    Cuba Havana Spanish
    Kenya Nairobi Swahili
    Chile Santiago Spanish
    Canada Ottawa English
    India Delhi Hindi
    Georgia Tbilisi Georgian
    Jordan Amman Arabic
    Chad Ndjamena French
    New_Zealand Wellington English
    """,
    {"country": "LOC", "capital": "LOC"},
)
plain("city", "Leiden Utrecht Boston Geneva Oxford Milan Lyon Kyoto Florence Bruges Seville Munich New_York", "LOC")
plain("company", "Acme Bluebird_Books Northwind Orange_Lane Silver_Fern Globex Red_Lion Initech", "ORG")

# Work
records(
    "job workplace tool duty duties did_job",
    """
    teacher school blackboard teach teaches taught
    baker bakery oven bake bakes baked
    doctor hospital stethoscope heal heals healed
    farmer farm tractor plough ploughs ploughed
    painter studio brush paint paints painted
    carpenter workshop hammer saw saws sawed
    cook restaurant knife cook cooks cooked
    gardener garden spade dig digs dug
    librarian library catalogue read reads read
    sailor ship compass sail sails sailed
    scientist laboratory microscope measure measures measured
    pilot airport radio fly flies flew
    tailor shop needle sew sews sewed
    actor theatre mask act acts acted
    judge court book judge judges judged
    mechanic garage wrench repair repairs repaired
    photographer studio camera photograph photographs photographed
    fisherman harbour net fish fishes fished
    musician theatre violin play plays played
    programmer office computer program programs programmed
    waiter restaurant tray serve serves served
    miner mine lamp dig digs dug
    nurse hospital thermometer help helps helped
    writer office pen write writes wrote
    """,
)

# Animals
records(
    "animal animals young home noise noises voice",
    """
    dog dogs puppy kennel bark barks barked
    cat cats kitten basket meow meows meowed
    cow cows calf barn moo moos mooed
    horse horses foal stable neigh neighs neighed
    sheep sheep lamb meadow bleat bleats bleated
    pig pigs piglet sty grunt grunts grunted
    hen hens chick coop cluck clucks clucked
    duck ducks duckling pond quack quacks quacked
    lion lions cub den roar roars roared
    goat goats kid shed bleat bleats bleated
    bear bears cub cave growl growls growled
    wolf wolves pup forest howl howls howled
    bird birds nestling nest sing sings sang
    frog frogs tadpole pond croak croaks croaked
    mouse mice pup hole squeak squeaks squeaked
    owl owls owlet tree hoot hoots hooted
    bee bees larva hive buzz buzzes buzzed
    goose geese gosling lake hiss hisses hissed
    donkey donkeys foal stable bray brays brayed
    elephant elephants calf jungle trumpet trumpets trumpeted
    snake snakes snakelet hole hiss hisses hissed
    swan swans cygnet lake hiss hisses hissed
    """,
)

# Food and drink
weighted("meal", breakfast=0.35, lunch=0.35, dinner=0.3)
by(
    "dish",
    {
        "breakfast": "bread porridge yoghurt toast eggs pancakes cereal", "lunch": "soup bread salad cheese sandwiches noodles",
        "dinner": "rice fish pasta potatoes beans chicken curry stew",
    },
)  # fmt: skip
plain("drink", "tea coffee water milk juice lemonade cocoa wine")
plain("foods", "apples bananas cherries grapes pancakes olives nuts oranges carrots pears cookies tomatoes")
plain("icy", "lollipops ice_cream stamps honey spoons")
plain("art", "music chess football poetry opera cinema tennis ballet")
records(
    "hobby hobby_past hobby_base",
    """
    reading read read
    swimming swam swim
    dancing danced dance
    singing sang sing
    painting painted paint
    cooking cooked cook
    running ran run
    skating skated skate
    walking walked walk
    sailing sailed sail
    climbing climbed climb
    drawing drew draw
    fishing fished fish
    cycling cycled cycle
    """,
)

# Things, their plurals and what can be said of them
THINGS = """
    key keys
    book books
    letter letters
    ring rings
    coat coats
    lamp lamps
    box boxes
    knife knives
    watch watches
    bag bags
    cup cups
    ticket tickets
    shoe shoes
    picture pictures
    toy toys
    leaf leaves
    glass glasses
    hat hats
    pen pens
    ball balls
    coin coins
    plate plates
    bottle bottles
    scarf scarves
    brush brushes
    """
records("thing things", THINGS)
weighted("amount", one=0.55, many=0.45)
ONE_MANY = [tuple(line.split()) for line in THINGS.strip().splitlines()]
add("article_noun", {("one",): zipf([a for a, _ in ONE_MANY]), ("many",): zipf([b for _, b in ONE_MANY])})
by("were", {"one": "was", "many": "were"})
by("are", {"one": "is", "many": "are"})
by("have", {"one": "has", "many": "have"})
by("they", {"one": "it", "many": "they"})
by("them", {"one": "it", "many": "them"})
by("seemed", {"one": "seems", "many": "seem"})
by(
    "worker",
    {
        "one": "actor clown waiter guest pilot singer nurse sailor baker dancer",
        "many": "actors clowns waiters guests pilots singers nurses sailors bakers dancers",
    },
)
plain("landmark", "cabinet door window bridge fountain table tower gate stairs fence statue piano")
plain("furniture", "sofa table bed chair carpet desk cupboard piano wardrobe bookcase")
plain("room", "kitchen bedroom hall attic bathroom cellar garage")
plain("under", "under behind on beside")
plain("state", "old broken new dirty beautiful expensive heavy small red wet")
plain("state_people", "late tired famous hungry funny friendly young ready busy quiet")
plain("colour", "red blue green yellow black white brown purple orange grey")
plain("size", "big small old new heavy little huge tiny ugly elegant")
plain("event", "party concert wedding meeting dinner picnic parade fair")
records(
    "quality opposite",
    """
    big small
    hot cold
    old young
    fast slow
    high low
    rich poor
    hard soft
    heavy light
    long short
    strong weak
    wet dry
    full empty
    loud quiet
    early late
    clean dirty
    bright dark
    deep shallow
    thick thin
    wide narrow
    sweet sour
    cheap expensive
    easy difficult
    safe dangerous
    brave timid
    """,
)
by(
    "big_beast",
    {
        "big": "elephant bear", "hot": "desert oven", "old": "castle museum", "fast": "train horse", "high": "tower mountain",
        "rich": "queen banker", "hard": "rock floor", "heavy": "piano tractor", "long": "river road", "strong": "lion wind",
        "wet": "towel grass", "full": "basket glass", "loud": "drum storm", "early": "train guest", "clean": "plate kitchen",
        "bright": "lamp moon", "deep": "lake well", "thick": "book wall", "wide": "river street", "sweet": "honey cake",
        "cheap": "pencil ticket", "easy": "puzzle question", "safe": "bridge harbour", "brave": "knight sailor",
    },
)  # fmt: skip

# Words with two meanings
SENSES = {
    "bank": ("swam across the river to get to the other", "sat down in the grass by the", "saw the ducks on the"),
}
plain("bank_river", "swam_to rowed_to stood_on sat_on fished_from")
plain("bank_money", "worked_at phoned called went_into left")
plain("waters", "river canal stream")
plain("money", "money cash coins savings")
plain("afloat", "ducks reeds frogs boats swans")
