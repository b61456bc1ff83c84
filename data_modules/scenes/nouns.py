"""Which drawings a level knows, by the name that texts give them. Data only.

All are things that one can count, and none is a sort of another: where an eagle and a bird could
both be drawn, "there is no bird" would be a matter of taste.
"""

COLOURS = (
    "red blue green yellow purple orange brown black pink white grey".split()  # noqa: SIM905
)
"""In a name of two words the first may be one of these, the second is the kind."""

COLOURED = ("heart", "circle", "square", "book", "apple")
"""Kinds whose drawings differ in colour."""

RENAMED = {
    "cat": "cat face",
    "dog": "dog face",
    "pig": "pig face",
    "mouse": "mouse face",
    "car": "automobile",
    "tree": "deciduous tree",
    "moon": "crescent moon",
    "gift": "wrapped gift",
    "bee": "honeybee",
    "ball": "soccer ball",
    "lock": "locked",
    "apple": "red apple",
    "red book": "closed book",
}
"""Names of texts by which the corpus calls its drawings otherwise."""

BASIC_COLOURS = ("red", "blue", "green", "yellow")
BASIC_SHAPES = ("heart", "circle", "square")

LEVEL_1 = (
    *(f"{colour} {shape}" for shape in BASIC_SHAPES for colour in BASIC_COLOURS),
    *"cat dog pig frog fish car house tree star rocket umbrella".split(),  # noqa: SIM905
    "apple",
)

LEVEL_2 = (
    *(
        f"{colour} {shape}"
        for shape in BASIC_SHAPES
        for colour in (*BASIC_COLOURS, "purple", "orange", "brown")
    ),
    *("black heart", "black circle", "pink heart"),
    *("red book", "blue book", "green book", "orange book", "red apple", "green apple"),
    *"""
    airplane ambulance anchor ant astronaut axe backpack badger ball balloon banana bat bear beaver
    bed bee bell bicycle bone brain bucket bus butterfly cactus camel camera candle canoe car carrot
    castle cat chair church cloud coconut compass cookie cow crab crocodile crown deer dog dolphin
    door dragon dress drum duck eagle ear egg elephant envelope eye feather fish flashlight flute
    fly fountain fox frog ghost gift goat guitar hammer harp helicopter horse house kangaroo key
    kite ladder laptop lemon lion lizard lobster lock magnet mango microphone microscope monkey moon
    mosque mouse mushroom nose octopus onion otter owl panda parachute parrot peacock pear pencil
    penguin pie pig pizza potato rabbit radio rainbow robot rocket rooster rose satellite scarf
    scorpion seal shield ship shrimp snail snake spider spoon squid star strawberry sun swan
    telephone telescope television tent tiger toilet tomato tooth tornado tractor train tree trophy
    trumpet turtle umbrella unicorn violin volcano watch whale wheel window wolf worm zebra
    """.split(),  # noqa: SIM905 (a hundred quotes read worse)
)
