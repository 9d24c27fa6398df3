"""Dutch words: genders, verb forms and inflections, each an attribute of its English word."""

from lmcore.world.kinds import KINDS, add, by, records, words, zipf

records(
    "weekday weekday_nl",
    """
    Monday maandag
    Tuesday dinsdag
    Wednesday woensdag
    Thursday donderdag
    Friday vrijdag
    Saturday zaterdag
    Sunday zondag
    """,
    {"weekday": "DAY"},
)
records(
    "moment moment_nl",
    """
    yesterday gisteren
    last_week vorige_week
    this_morning vanmorgen
    in_the_evening 's_avonds
    in_the_morning 's_ochtends
    last_year vorig_jaar
    then toen
    after_the_meal na_het_eten
    in_the_summer in_de_zomer
    at_night 's_nachts
    """,
)
by("ze", {"she": "ze", "he": "hij"})
by("haar", {"she": "haar", "he": "zijn"})
records(
    "spot spot_de spot_nl",
    """
    beach het strand
    forest het bos
    kitchen de keuken
    garden de tuin
    park het park
    market de markt
    library de bibliotheek
    lake het meer
    station het station
    museum het museum
    castle het kasteel
    harbour de haven
    farm de boerderij
    office het kantoor
    theatre het theater
    zoo de dierentuin
    village het dorp
    church de kerk
    hotel het hotel
    bakery de bakkerij
    mountains de bergen
    hospital het ziekenhuis
    swimming_pool het zwembad
    airport het vliegveld
    """,
)
records(
    "good good_de good_nl",
    """
    book het boek
    boat de boot
    table de tafel
    letter de brief
    painting het schilderij
    bicycle de fiets
    house het huis
    key de sleutel
    ring de ring
    cake de taart
    knife het mes
    glass het glas
    box de doos
    lamp de lamp
    bag de tas
    shirt het hemd
    coat de jas
    newspaper de krant
    clock de klok
    suitcase de koffer
    ticket het kaartje
    plate het bord
    horse het paard
    dog de hond
    sheep het schaap
    sandcastle het zandkasteel
    bridge de brug
    poem het gedicht
    map de kaart
    basket de mand
    window het raam
    door de deur
    """,
)
NOUNS = list(KINDS["good"].table[()])
GENDER = {noun: next(iter(KINDS["good_de"].table[(noun,)])) for noun in NOUNS}
add("good_dat", {(noun,): {"dat" if gender == "het" else "die": 1.0} for noun, gender in GENDER.items()})
ACTS = records(
    "act act_part act_base act_nl act_part_nl act_base_nl",
    """
    bought bought buy kocht gekocht kopen
    sold sold sell verkocht verkocht verkopen
    found found find vond gevonden vinden
    lost lost lose verloor verloren verliezen
    saw seen see zag gezien zien
    built built build bouwde gebouwd bouwen
    made made make maakte gemaakt maken
    painted painted paint schilderde geschilderd schilderen
    drew drawn draw tekende getekend tekenen
    read read read las gelezen lezen
    wrote written write schreef geschreven schrijven
    opened opened open opende geopend openen
    closed closed close sloot gesloten sluiten
    repaired repaired repair repareerde gerepareerd repareren
    broke broken break brak gebroken breken
    stole stolen steal stal gestolen stelen
    hid hidden hide verstopte verstopt verstoppen
    brought brought bring bracht gebracht brengen
    washed washed wash waste gewassen wassen
    borrowed borrowed borrow leende geleend lenen
    carried carried carry droeg gedragen dragen
    """,
)
add("gift_act", {(): zipf(words("bought made found drew brought painted repaired borrowed"))})
SMALL = "book letter painting key ring knife glass box lamp bag shirt coat newspaper clock suitcase ticket plate map basket"
by(
    "act_good",
    {
        "bought": "book boat table painting bicycle house ring cake knife lamp bag shirt coat newspaper ticket horse dog sheep",
        "sold": "boat bicycle house painting horse clock lamp ring sheep coat table",
        "found": SMALL,
        "lost": SMALL,
        "saw": "boat house painting horse dog sheep bridge sandcastle clock bicycle",
        "built": "house boat bridge sandcastle table",
        "made": "table box cake basket shirt ring lamp clock",
        "painted": "house boat table door window box bicycle horse",
        "drew": "map horse house dog bridge boat",
        "read": "book letter newspaper poem map",
        "wrote": "letter book poem",
        "opened": "door window box letter book suitcase bag",
        "closed": "door window box book suitcase",
        "repaired": "bicycle boat clock lamp table bridge door window",
        "broke": "glass plate window clock lamp",
        "stole": "bicycle painting ring horse bag newspaper coat",
        "hid": SMALL,
        "brought": "cake letter newspaper plate glass lamp basket",
        "washed": "shirt coat plate glass dog window horse",
        "borrowed": "book bicycle boat lamp coat suitcase knife",
        "carried": SMALL,
    },
)
ADJECTIVES = [
    line.split()
    for line in """
    big groot grote
    small klein kleine
    old oud oude
    new nieuw nieuwe
    red rood rode
    white wit witte
    black zwart zwarte
    beautiful mooi mooie
    expensive duur dure
    cheap goedkoop goedkope
    heavy zwaar zware
    yellow geel gele
    blue blauw blauwe
    green groen groene
    strange vreemd vreemde
    brown bruin bruine
    """.strip().splitlines()
]
add("look", {(): zipf([english for english, _, _ in ADJECTIVES])})
add("look_nl", {(english,): {bare: 1.0} for english, bare, _ in ADJECTIVES})
add("look_e", {(english,): {inflected: 1.0} for english, _, inflected in ADJECTIVES})
# After "een" an adjective takes -e before a de-word and stays bare before a het-word: een grote boot, een groot huis.
add(
    "look_een",
    {
        (english, noun): {bare if GENDER[noun] == "het" else inflected: 1.0}
        for english, bare, inflected in ADJECTIVES
        for noun in NOUNS
    },
)
records(
    "mind mind_nl",
    """
    tired moe
    happy blij
    sad verdrietig
    sick ziek
    late laat
    angry boos
    nervous zenuwachtig
    alone alleen
    early vroeg
    scared bang
    proud trots
    ready klaar
    grateful dankbaar
    worried bezorgd
    cheerful vrolijk
    curious nieuwsgierig
    calm rustig
    """,
)
records(
    "claim claim_nl",
    """
    said zei
    thought dacht
    knew wist
    heard hoorde
    believed geloofde
    saw zag
    told_me vertelde_me
    """,
)
records(
    "kin kin_nl",
    """
    brother broer
    sister zus
    mother moeder
    father vader
    neighbour buurman
    uncle oom
    aunt tante
    friend vriend
    """,
)
records(
    "outside outside_nl",
    """
    the_sun_shone de_zon_scheen
    it_rained het_regende
    it_snowed het_sneeuwde
    the_wind_blew de_wind_waaide
    the_bell_rang de_bel_ging
    """,
)
