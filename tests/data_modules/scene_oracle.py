"""What is true of a scene, by reading the English text: knows nothing of how texts are made.

Objects are (name, box); whatever is not clear fails, so that no text may rest on it.
"""

import re
from typing import NamedTuple

FAR, NEAR = 0.15, 0.05  # of the side: clearly so; clearly not
COLOURS = {"red", "blue", "green", "yellow", "purple", "orange", "brown", "black", "pink"}
COLOURS |= {"white", "grey"}
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six"]
HOW = r"((?:to the )?(?:left|right) of|above|over|below|under)"
AT = r"(on the left|on the right|at the top|at the bottom)"
PLURALS = {"mice": "mouse", "geese": "goose", "wolves": "wolf", "teeth": "tooth", "feet": "foot"}
PLURALS |= {"fish": "fish", "deer": "deer", "pies": "pie", "cookies": "cookie", "axes": "axe"}


class Seen(NamedTuple):
    objects: list  # of (name, (x, y, w, h))
    size: int
    curtain: tuple | None = None


def seen(scene):
    objects = [(each.thing.name, tuple(each.box)) for each in scene.objects]
    return Seen(objects, scene.size, scene.curtain and tuple(scene.curtain))


def is_a(name, noun):
    return name == noun or (name.split()[-1] == noun and name.split()[0] in COLOURS)


def may_be(name, noun):
    return set(noun.split()) <= set(name.split())


def bare(phrase):
    return re.sub(r"^(a|an|the|another) ", "", phrase)


def those(view, noun):
    """Boxes of what a noun names; that names leave no doubt is checked."""
    sure = [box for name, box in view.objects if is_a(name, noun)]
    assert len(sure) == sum(may_be(name, noun) for name, _ in view.objects), (noun, view)
    return sure


def there(view, noun):
    sure = any(is_a(name, noun) for name, _ in view.objects)
    assert sure or not any(may_be(name, noun) for name, _ in view.objects), (noun, view)
    return sure


def the(view, noun):
    (box,) = those(view, noun)
    return box


def gap(box, other, how):
    """By how much a box is left of another, or above it, and so on: less than 0 if not at all."""
    across = other[0] + other[2] / 2 - box[0] - box[2] / 2
    down = other[1] + other[3] / 2 - box[1] - box[3] / 2
    words = how.replace("to the ", "").split()[0]
    return {
        **{"left": across, "right": -across},
        **dict.fromkeys(("above", "over"), down),
        **dict.fromkeys(("below", "under"), -down),
    }[words]


def beside(view, box, other, how):
    """Whether a box is left of another and so on; it must be clear."""
    far = gap(box, other, how) / view.size
    assert abs(far) >= FAR, (far, how, view)
    return far > 0


def at(view, box, where):
    """Whether a box is at a side of the picture; it must be clear."""
    middle = (view.size / 2, view.size / 2, 0, 0)
    how = {"left": "left", "right": "right", "top": "above", "bottom": "below"}
    return beside(view, box, middle, how[where.split()[-1]])


def singular(noun):
    *first, last = noun.split()
    if last in PLURALS:
        last = PLURALS[last]
    elif last.endswith(("tuses", "puses", "ches", "shes", "sses", "xes", "toes", "noes", "goes")):
        last = last[:-2]
    elif last.endswith("ies"):
        last = last[:-3] + "y"
    else:
        assert last.endswith("s"), noun
        last = last[:-1]
    return " ".join([*first, last])


def match(pattern, text):
    return re.fullmatch(pattern, text)


def answer(view, question):
    """The answer to a question."""
    text = question.removesuffix("?")
    if found := match(r"what (?:is|do you see) " + HOW + r" the (.+)", text):
        return only_one(view, found[1], found[2])
    if found := match(r"(?:what|which) colour is the (.+)", text):
        return next(name for name, _ in view.objects if is_a(name, found[1])).split()[0]
    if found := match(r"where (?:is|do you see) the (.+)", text):
        return side(view, the(view, found[1]))
    if found := match(r"how many (.+) (?:are there|do you see)", text):
        everything = found[1] in ("things", "objects")
        return str(len(view.objects if everything else those(view, singular(found[1]))))
    return "yes" if agreed(view, text) else "no"


def agreed(view, text):
    """The answer to a question for yes or no."""
    if found := match(r"is the (.+?) " + HOW + r" the (.+)", text):
        return beside(view, the(view, found[1]), the(view, found[3]), found[2])
    if found := match(r"is the (.+) " + AT, text):
        return at(view, the(view, found[1]), found[2])
    if found := match(r"is the (\w+) (\w+)", text):
        the(view, found[1])
        return there(view, f"{found[2]} {found[1]}")
    found = match(r"(?:is there|do you see|can you see|is|are) (an? .+?)(?: in the picture)?", text)
    return all(there(view, bare(phrase)) for phrase in found[1].split(" and "))


def only_one(view, how, noun):
    box = the(view, noun)
    found = [(name, gap(other, box, how) / view.size) for name, other in view.objects]
    far = [name for name, share in found if share >= FAR]
    assert all(share >= FAR or share <= NEAR for _, share in found), (how, noun, view)
    (name,) = far
    return name


def side(view, box):
    x, y = box[0] + box[2] / 2 - view.size / 2, box[1] + box[3] / 2 - view.size / 2
    assert max(abs(x), abs(y)) >= FAR * view.size
    assert min(abs(x), abs(y)) <= 0.55 * max(abs(x), abs(y))
    if abs(x) > abs(y):
        return "left" if x < 0 else "right"
    return "top" if y < 0 else "bottom"


def judged(left, right, text):
    """Whether a statement on two pictures is true."""
    views = (left, right)
    which, other = {"left": left, "right": right}, {"left": "right", "right": "left"}
    if found := match(r"the left picture shows (.+) and the right picture shows (.+)", text):
        return there(left, bare(found[1])) and there(right, bare(found[2]))
    if found := match(r"in both pictures the (.+?) is " + HOW + r" the (.+)", text):
        one, how, two = found.groups()
        return all(beside(view, the(view, one), the(view, two), how) for view in views)
    if found := match(r"the (left|right) picture shows more \w+ than the \w+ picture", text):
        return len(which[found[1]].objects) > len(which[other[found[1]]].objects)
    if found := match(r"there are more \w+ in the (left|right) picture", text):
        return len(which[found[1]].objects) > len(which[other[found[1]]].objects)
    if found := match(r"(?:there are|each picture shows) (\w+) things(?: in each picture)?", text):
        return all(len(view.objects) == NUMBERS.index(found[1]) for view in views)
    if found := match(
        r"one picture shows (.+) and (.+)|(.+) and (.+) are in the same picture", text
    ):
        nouns = [bare(noun) for noun in found.groups() if noun]
        return any(all(there(view, noun) for noun in nouns) for view in views)
    return simply(left, right, text)


def simply(left, right, text):
    patterns = {
        r"both pictures show (.+)|there is (.+) in both pictures": lambda a, b: a and b,
        r"exactly one picture shows (.+)|there is (.+) in exactly one picture": lambda a, b: a != b,
        r"neither picture shows (.+)|(.+) is in neither picture": lambda a, b: not (a or b),
        r"the left picture shows (.+)|(.+) is in the left picture": lambda a, b: a,
        r"the right picture shows (.+)|(.+) is in the right picture": lambda a, b: b,
    }
    for pattern, rule in patterns.items():
        if found := match(pattern, text):
            noun = bare(found[1] or found[2])
            return rule(there(left, noun), there(right, noun))
    raise AssertionError(text)


def label(view, text):
    """Entailment, contradiction or neutral."""
    if found := match(r"there is no (.+?)(?: here)?|no (.+) is there", text):
        noun = found[1] or found[2]
        return settled(view, there(view, noun), when_seen="contradiction", when_not="entailment")
    if found := match(r"the (.+?) is " + HOW + r" the (.+)", text):
        one, how, two = found.groups()
        if there(view, one) and there(view, two):
            return said(beside(view, the(view, one), the(view, two), how))
        assert spans(view, how)
        return "neutral"
    if found := match(r"the (.+) is " + AT, text):
        if there(view, found[1]):
            return said(at(view, the(view, found[1]), found[2]))
        assert spans(view, found[2])
        return "neutral"
    if found := match(r"the (\w+) is (\w+)", text):
        if there(view, found[1]):
            the(view, found[1])
            return said(there(view, f"{found[2]} {found[1]}"))
        assert view.curtain
        return "neutral"
    if found := match(r"there are two (.+)|two (.+) are there", text):
        many = len(those(view, singular(found[1] or found[2])))
        if view.curtain:
            return "contradiction" if many > 2 else "neutral"
        return said(many == 2)
    found = match(r"there is (.+?)(?: here)?|(.+) (?:is|are) there", text)
    nouns = [bare(phrase) for phrase in (found[1] or found[2]).split(" and ")]
    shown = all(there(view, noun) for noun in nouns)
    return settled(view, shown, when_seen="entailment", when_not="contradiction")


def said(true):
    return "entailment" if true else "contradiction"


def settled(view, shown, *, when_seen, when_not):
    if shown:
        return when_seen
    return "neutral" if view.curtain else when_not


def spans(view, direction):
    """Whether the curtain hides all of a direction's length, so that both ends stay possible."""
    across = any(word in direction for word in ("left", "right"))
    return view.curtain[2 if across else 3] == view.size
