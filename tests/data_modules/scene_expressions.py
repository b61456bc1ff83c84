"""The oracle's reading of referring expressions and captions."""

import re

from scene_oracle import (
    AT,
    FAR,
    HOW,
    NEAR,
    NUMBERS,
    bare,
    beside,
    gap,
    match,
    singular,
    the,
    those,
)

SURELY = 0.2  # of the side: a caption that tells of sides tells of this one
CORNER = r"(on the left|on the right|at the (?:top|bottom)(?: left| right)?)"


def referred(view, text):
    """The box that an expression means."""
    if found := match(r"the (.+?) " + HOW + r" the (.+)", text):
        noun, how, other = found.groups()
        anchor = the(view, other)
        fit = [box for box in those(view, noun) if gap(box, anchor, how) >= FAR * view.size]
        rest = [box for box in those(view, noun) if box not in fit]
        assert all(gap(box, anchor, how) <= NEAR * view.size for box in rest)
        (box,) = fit
        return box
    if found := match(r"the (.+) " + AT, text):
        one, two = those(view, found[1])
        how = {"left": "left", "right": "right", "top": "above", "bottom": "below"}
        return one if beside(view, one, two, how[found[2].split()[-1]]) else two
    return the(view, text.removeprefix("the "))


def describes(view, caption):
    """Whether a caption is true of a picture, other pictures' captions included."""
    text = re.sub(r"^(there is|a picture of|this picture shows|we see) ", "", caption)
    if text.endswith(" and nothing else"):
        if view.curtain or len(view.objects) != 2:
            return False
        text = text.removesuffix(" and nothing else")
    parts = re.split(r", | and ", text)
    if re.search(rf" {HOW} ", text):
        return relations_hold(view, parts)
    return all(
        side_holds(view, part) if re.search(rf" {CORNER}$", part) else count_holds(view, part)
        for part in parts
    )


def relations_hold(view, parts):
    fits = [fitting(view, part) for part in parts]
    for part, (noun, boxes) in zip(parts, fits, strict=True):
        if part.startswith("another "):
            first = next(other for name, other in fits if name == noun)
            if not any(one != other for one in boxes for other in first):
                return False
    return all(boxes for _, boxes in fits)


def fitting(view, part):
    """The subject of a part of a caption, and the boxes of which the part is true."""
    if part == "a grey curtain":
        return part, [view.curtain] if view.curtain else []
    one, how, other = match(rf"(.+?) {HOW} (.+)", part).groups()
    ones, others = ([box for name, box in view.objects if name == bare(x)] for x in (one, other))
    far = FAR * view.size
    return bare(one), [box for box in ones if any(gap(box, each, how) >= far for each in others)]


def side_holds(view, part):
    noun, where = match(rf"(.+?) {CORNER}", part).groups()
    middle = (view.size / 2, view.size / 2, 0, 0)
    hows = {"left": "left", "right": "right", "top": "above", "bottom": "below"}
    told = {hows[word] for word in where.split() if word in hows}
    gaps = [
        {how: gap(box, middle, how) / view.size for how in hows.values()}
        for name, box in view.objects
        if name == bare(noun)
    ]
    return any(
        {how for how in told if each[how] < FAR} == set()
        and {how for how in each if each[how] >= SURELY} <= told
        for each in gaps
    )


def count_holds(view, part):
    if part == "a grey curtain":
        return view.curtain is not None
    number, noun = part.split(" ", 1)
    many = 1 if number in ("a", "an") else NUMBERS.index(number)
    noun = noun if many == 1 else singular(noun)
    return sum(name == noun for name, _ in view.objects) == many
