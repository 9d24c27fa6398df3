"""People, time, weather, places, countries and work: kinds and how they depend on one another."""

from lmcore.world.kinds import add, by, plain, records, weighted, zipf

# People. Some names are places too (Georgia, Jordan, Chad, Florence): only the context tells.
weighted("gender", she=0.5, he=0.5)
by(
    "name",
    {
        "she": "Alice Emma Sofia Nora Julia Anna Mila Lotte Sara Eva Grace Ruth Clara Ida Maya Olga Rosa Vera Zoe Iris "
        "Hanna Lucy Marie Ella Jane Georgia Florence Fatima Ines Yara",
        "he": "Bob Daan Lucas Noah Finn Adam Hugo Tim Max Sem Peter Oscar Jonas Ben Leo Karl Omar Paul Ravi Simon "
        "Tom Victor Walter Emil David Jordan Chad Bilal Pedro Wim",
    },
    "PER",
)
for kind, she, he in [
    ("she", "she", "he"),
    ("her", "her", "him"),
    ("hers", "her", "his"),
    ("herself", "herself", "himself"),
    ("other", "he", "she"),
]:
    by(kind, {"she": she, "he": he})
by(
    "relative",
    {"she": "mother sister aunt grandmother daughter niece", "he": "father brother uncle grandfather son nephew"},
)
by("person", {"she": "woman girl queen actress princess waitress", "he": "man boy king actor prince waiter"})
plain("friend", "friend neighbour cousin teacher classmate colleague guest stranger child tourist")
plain("feeling_good", "happy proud glad cheerful calm grateful excited relieved delighted")
plain("made_feel", "happy proud glad cheerful excited")
plain("feeling_bad", "sad tired cross nervous worried lonely bored disappointed hungry")
plain("manner", "quickly slowly quietly carefully happily suddenly proudly patiently gently")

# Time and weather
plain("day", "Monday Tuesday Wednesday Thursday Friday Saturday Sunday", "DAY", flat=True)
plain("month", "January February March April May June July August September October November December", "DAY", flat=True)
plain("season", "spring summer autumn winter", flat=True)
plain("part", "morning afternoon evening")
plain("number", "two three four five six seven eight nine ten twelve twenty")
plain("hour", "nine ten eight seven eleven twelve six five")
plain("weather", "sunny rainy cold windy snowy warm foggy stormy")
by(
    "clothes",
    {
        "sunny": "hat T-shirt cap",
        "rainy": "raincoat umbrella hat",
        "cold": "scarf sweater coat",
        "windy": "jacket cap sweater",
        "snowy": "coat scarf cap",
        "warm": "T-shirt hat cap",
        "foggy": "sweater jacket coat",
        "stormy": "raincoat jacket cap",
    },
)
by(
    "sky",
    {
        "sunny": "the_sun_shone there_were_no_clouds",
        "rainy": "the_rain_fell the_streets_were_wet",
        "cold": "the_air_was_icy the_windows_were_frozen",
        "windy": "the_trees_shook the_leaves_flew",
        "snowy": "the_snow_fell the_roofs_were_white",
        "warm": "the_air_was_mild the_sun_shone",
        "foggy": "the_streets_were_grey the_mist_was_thick",
        "stormy": "the_thunder_roared the_waves_were_high",
    },
)

# Places, and what is done there: verb:object, the most frequent first.
DEEDS = {
    "beach": "built:sandcastle made:campfire built:dam dug:tunnel found:shell flew:kite saw:crab",
    "forest": "built:hut made:campfire built:treehouse made:swing found:mushroom heard:owl",
    "kitchen": "baked:cake baked:pie cooked:soup made:sandwich peeled:potato boiled:egg",
    "garden": "dug:pond planted:rose built:fence built:shed grew:pumpkin picked:apple watered:plant",
    "studio": "painted:picture wrote:song carved:statue recorded:album drew:portrait",
    "workshop": "built:table repaired:chair built:robot built:cupboard carved:spoon mended:clock",
    "library": "read:novel borrowed:dictionary wrote:poem studied:atlas opened:magazine returned:book",
    "park": "flew:kite fed:duck rode:bicycle climbed:tree threw:ball walked:dog",
    "market": "bought:melon sold:basket chose:cheese bought:carpet tasted:olive bought:lemon",
    "laboratory": "mixed:potion tested:rocket built:robot built:machine measured:crystal cleaned:microscope",
    "harbour": "painted:boat built:raft repaired:net caught:fish counted:ship built:boat",
    "farm": "fed:goat milked:cow drove:tractor collected:egg washed:horse built:barn",
    "museum": "admired:painting drew:vase studied:mummy photographed:statue visited:exhibition",
    "school": "solved:puzzle wrote:essay learned:poem drew:map read:novel answered:question",
    "lake": "caught:fish rowed:boat saw:swan built:raft threw:stone",
    "station": "caught:train bought:ticket met:conductor carried:suitcase read:newspaper",
    "office": "wrote:letter answered:telephone signed:contract printed:report sent:parcel",
    "theatre": "watched:play sewed:costume played:king learned:role sang:song",
    "castle": "saw:ghost explored:dungeon found:sword climbed:tower drew:portrait",
    "mountains": "climbed:rock photographed:eagle pitched:tent followed:path built:snowman",
    "hospital": "visited:patient met:nurse swallowed:pill washed:wound held:baby",
    "stadium": "watched:match scored:goal won:medal threw:ball lost:race",
    "zoo": "fed:monkey saw:tiger drew:camel photographed:zebra heard:lion counted:penguin",
    "bakery": "bought:bun tasted:cookie baked:loaf smelled:cake chose:tart",
    "village": "met:priest built:house painted:church bought:pony repaired:well",
    "desert": "saw:camel found:oasis rode:camel followed:star pitched:tent",
}
SPLIT = {place: [tuple(pair.split(":")) for pair in pairs.split()] for place, pairs in DEEDS.items()}
add("place", {(): zipf(list(DEEDS))})
add("deed", {(place,): zipf([" ".join(pair) for pair in pairs]) for place, pairs in SPLIT.items()})
add("did", {(" ".join(pair),): {pair[0]: 1.0} for pairs in SPLIT.values() for pair in pairs})
add("object", {(" ".join(pair),): {pair[1]: 1.0} for pairs in SPLIT.values() for pair in pairs})
by(
    "trait",
    {
        place: "big small beautiful old new strange little funny"
        if place not in ("kitchen", "bakery", "market")
        else "big small delicious fresh sweet little"
        for place in DEEDS
    },
)

# Countries
records(
    "country capital tongue sight",
    """
    France Paris French tower
    Italy Rome Italian temple
    Spain Madrid Spanish palace
    Germany Berlin German gate
    the_Netherlands Amsterdam Dutch canal
    Japan Tokyo Japanese garden
    Norway Oslo Norwegian fjord
    Egypt Cairo Arabic pyramid
    Greece Athens Greek temple
    Portugal Lisbon Portuguese bridge
    Russia Moscow Russian square
    China Beijing Chinese wall
    Poland Warsaw Polish palace
    Sweden Stockholm Swedish island
    Denmark Copenhagen Danish harbour
    Finland Helsinki Finnish sauna
    Hungary Budapest Hungarian bridge
    Turkey Ankara Turkish mosque
    Vietnam Hanoi Vietnamese pagoda
    Thailand Bangkok Thai pagoda
    Austria Vienna German opera
    Ireland Dublin English library
    Peru Lima Spanish pyramid
    Cuba Havana Spanish square
    Kenya Nairobi Swahili park
    Chile Santiago Spanish mountain
    Canada Ottawa English canal
    India Delhi Hindi temple
    Georgia Tbilisi Georgian fortress
    Jordan Amman Arabic fortress
    Chad Ndjamena French river
    New_Zealand Wellington English harbour
    """,
    {"country": "LOC", "capital": "LOC"},
)
plain("city", "Leiden Utrecht Boston Geneva Oxford Milan Lyon Kyoto Florence Bruges Seville Munich New_York", "LOC")
plain("company", "Acme Northwind Bluebird_Books Globex Orange_Lane Silver_Fern Initech Red_Lion", "ORG")

# Work
records(
    "job workplace tool duties did_job",
    """
    teacher school blackboard teaches taught
    baker bakery oven bakes baked
    doctor hospital stethoscope examines examined
    farmer farm tractor ploughs ploughed
    painter studio brush paints painted
    carpenter workshop hammer saws sawed
    cook restaurant knife cooks cooked
    gardener garden spade digs dug
    librarian library catalogue reads read
    sailor ship compass sails sailed
    scientist laboratory microscope measures measured
    pilot airport radio flies flew
    tailor shop needle sews sewed
    actor theatre mask acts acted
    judge court hammer judges judged
    mechanic garage wrench repairs repaired
    photographer studio camera photographs photographed
    fisherman harbour net fishes fished
    musician theatre violin plays played
    programmer office computer programs programmed
    waiter restaurant tray serves served
    miner mine lamp digs dug
    nurse hospital thermometer helps helped
    writer office pen writes wrote
    cleaner hotel broom cleans cleaned
    driver garage map drives drove
    dancer theatre ribbon dances danced
    astronomer observatory telescope watches watched
    """,
)
