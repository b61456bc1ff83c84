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
    airplane anchor astronaut axe backpack badger ball balloon banana bear bed bee bell bicycle
    bucket bus butterfly cactus camel camera car carrot castle cat cloud coconut cookie cow crab
    crocodile crown deer dog dolphin door dragon duck eagle ear egg elephant envelope eye
    feather fish flashlight frog ghost gift goat guitar hammer helicopter horse house kangaroo
    key kite laptop lemon lion microphone microscope monkey moon mouse mushroom octopus owl
    parrot pear pencil penguin pie pig pizza potato rabbit rainbow robot rocket rooster rose
    shield ship snail snake spider spoon star strawberry sun swan telephone telescope tiger
    toilet tomato tooth tractor train tree trophy turtle umbrella unicorn violin volcano watch
    whale wolf zebra
    """.split(),  # noqa: SIM905 (a hundred quotes read worse)
)
