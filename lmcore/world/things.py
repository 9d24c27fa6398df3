"""Animals, food, things and their qualities: kinds and how they depend on one another."""

from lmcore.world.kinds import add, by, plain, records, weighted, words, zipf

ANIMALS = records(
    "animal animals young home noises voice",
    """
    dog dogs puppy kennel barks barked
    cat cats kitten basket meows meowed
    cow cows calf barn moos mooed
    horse horses foal stable neighs neighed
    sheep sheep lamb meadow bleats bleated
    pig pigs piglet sty grunts grunted
    hen hens chick coop clucks clucked
    duck ducks duckling pond quacks quacked
    lion lions cub den roars roared
    goat goats kid shed bleats bleated
    bear bears cub cave growls growled
    wolf wolves pup forest howls howled
    bird birds nestling nest sings sang
    frog frogs tadpole pond croaks croaked
    mouse mice pup hole squeaks squeaked
    owl owls owlet tree hoots hooted
    bee bees larva hive buzzes buzzed
    goose geese gosling lake hisses hissed
    donkey donkeys foal stable brays brayed
    elephant elephants calf jungle trumpets trumpeted
    swan swans cygnet lake hisses hissed
    tiger tigers cub jungle roars roared
    seal seals pup rock barks barked
    pigeon pigeons squab roof coos cooed
    """,
)

# Food and drink
weighted("meal", breakfast=0.35, lunch=0.35, dinner=0.3)
by(
    "dish",
    {
        "breakfast": "bread porridge yoghurt toast eggs pancakes cereal muffins",
        "lunch": "soup bread salad cheese sandwiches noodles",
        "dinner": "rice fish pasta potatoes beans chicken curry stew",
    },
)
plain("drink", "tea coffee water milk juice lemonade cocoa wine beer")
plain("foods", "apples bananas cherries grapes pancakes olives nuts oranges carrots pears cookies tomatoes peas plums dates")
plain("icy", "lollipops ice_cream stamps honey spoons envelopes")
plain("art", "music chess football poetry opera cinema tennis ballet history maths")
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
    knitting knitted knit
    riding rode ride
    skiing skied ski
    writing wrote write
    """,
)

plain("well", "well fast slowly badly")
plain("flavour", "sweet fresh cheap delicious healthy expensive")
plain("relative_any", "mother father sister brother grandmother grandfather aunt uncle")
plain("dish_any", "soup bread cheese fish pasta cake onions coffee")
plain("animals_any", "cats dogs birds cows horses sheep")
plain("adjective_day", "long fine busy strange quiet lovely wonderful hard")

# Things and number
THINGS = records(
    "thing things",
    """
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
    umbrella umbrellas
    basket baskets
    candle candles
    dish dishes
    diary diaries
    """,
)
weighted("amount", one=0.55, many=0.45)
add("noun", {("one",): zipf(THINGS["thing"]), ("many",): zipf(THINGS["things"])})
for kind, one, many in [
    ("were", "was", "were"),
    ("are", "is", "are"),
    ("have", "has", "have"),
    ("they", "it", "they"),
    ("them", "it", "them"),
    ("seem", "seems", "seem"),
    ("belong", "belongs", "belong"),
    ("worked", "works", "work"),
    ("live", "lives", "live"),
    ("those", "this", "these"),
]:
    by(kind, {"one": one, "many": many})
by(
    "worker",
    {
        "one": "actor clown waiter guest pilot singer nurse sailor baker dancer lawyer chef",
        "many": "actors clowns waiters guests pilots singers nurses sailors bakers dancers lawyers chefs",
    },
)
plain("gift", "book ring watch scarf pen candle puzzle flower drum necklace camera guitar bicycle umbrella")
plain("landmark", "cabinet door window bridge fountain table tower gate stairs fence statue piano")
plain("landmarks", "trees houses shops chairs cupboards flowers cars benches")
plain("furniture", "sofa table bed chair carpet desk cupboard piano wardrobe bookcase")
plain("room", "kitchen bedroom hall attic bathroom cellar garage")
plain("under", "under behind beside near")
plain("state", "old broken new dirty beautiful expensive heavy small red wet")
plain("state_people", "late tired famous hungry funny friendly young ready busy quiet")
plain("colour", "red blue green yellow black white brown purple orange grey")
plain("event", "party concert wedding parade fair market race festival")
plain("vehicle", "train bus boat car plane ferry")
plain("instrument", "piano violin guitar drum flute trumpet cello harp")

QUALITIES = records(
    "quality opposite comparative",
    """
    big small bigger
    hot cold hotter
    old young older
    fast slow faster
    high low higher
    rich poor richer
    hard soft harder
    heavy light heavier
    long short longer
    strong weak stronger
    wet dry wetter
    full empty fuller
    loud quiet louder
    early late earlier
    clean dirty cleaner
    bright dark brighter
    deep shallow deeper
    thick thin thicker
    wide narrow wider
    sweet sour sweeter
    cheap expensive cheaper
    easy difficult easier
    safe dangerous safer
    brave timid braver
    """,
)
by(
    "bearer",
    {
        "big": "elephant bear palace",
        "hot": "desert oven soup",
        "old": "castle museum oak",
        "fast": "train horse car",
        "high": "tower mountain wall",
        "rich": "queen banker merchant",
        "hard": "rock floor bench",
        "heavy": "piano tractor trunk",
        "long": "river road snake",
        "strong": "lion wind coffee",
        "wet": "towel grass street",
        "full": "basket glass bus",
        "loud": "drum storm trumpet",
        "early": "train guest bus",
        "clean": "plate kitchen shirt",
        "bright": "lamp moon sun",
        "deep": "lake well sea",
        "thick": "book wall ice",
        "wide": "river street valley",
        "sweet": "honey cake melon",
        "cheap": "pencil ticket hotel",
        "easy": "puzzle question exam",
        "safe": "bridge harbour ladder",
        "brave": "knight sailor soldier",
    },
)
weighted("sense", river=0.5, money=0.5)
plain("bank_river", "swam_to rowed_to stood_on sat_on fished_from rested_on")
plain("bank_money", "worked_at phoned called went_into left wrote_to")
plain("waters", "river canal stream")
plain("money", "money cash coins savings notes")
plain("afloat", "ducks reeds frogs boats swans")

# Words of judgement
plain("judged", "film book play song concert meal soup hotel service game show exhibition")
weighted("sentiment", positive=0.4, negative=0.4, neutral=0.2)
GOOD = "good great wonderful excellent lovely brilliant delightful charming fresh superb"
BAD = "bad awful terrible boring dull poor disappointing horrible weak dreadful"
by("verdict", {"positive": GOOD, "negative": BAD, "neutral": "long short new old recent average"})
weighted("positive", positive=1.0)
weighted("negative", negative=1.0)
by("against", {"positive": BAD, "negative": GOOD})
plain("insult", "fool clown donkey idiot chicken cabbage pumpkin blockhead")
plain("slight", "silly stupid lazy useless foolish clumsy")
plain("courtesy", "kind clever helpful patient thoughtful generous")
plain("post", "photo question answer story recipe map joke idea comment drawing")
plain("goods", "shoes watches books coats lamps phones shirts tickets pills")
plain("prize", "phone holiday car voucher watch laptop bicycle television")
weighted("yes", yes=1.0)
weighted("no", no=1.0)
for mark in ("answer", "cause", "effect"):
    weighted(mark, **{mark: 1.0})
NUMBERS = words("one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen")
add("digit", {(): {n: 1 / 10 for n in NUMBERS[:10]}})
add("next_number", {(n,): {NUMBERS[i + 1]: 1.0} for i, n in enumerate(NUMBERS[:10])})
