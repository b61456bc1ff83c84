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
    is_a,
    match,
    singular,
    the,
    those,
)


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
    if found := match(r"(\w+) things, one of them is (.+)", text):
        counted = len(view.objects) == NUMBERS.index(found[1])
        return counted and any(is_a(name, bare(found[2])) for name, _ in view.objects)
    parts = re.split(r", | and ", text)
    if re.search(rf" {HOW} ", text):
        return all(relation_holds(view, part) for part in parts)
    if re.search(rf" {AT}$", text):
        return all(side_holds(view, part) for part in parts)
    return all(count_holds(view, part) for part in parts)


def relation_holds(view, part):
    one, how, other = match(rf"(.+?) {HOW} (.+)", part).groups()
    ones, others = ([box for name, box in view.objects if name == bare(x)] for x in (one, other))
    return any(gap(a, b, how) >= FAR * view.size for a in ones for b in others)


def side_holds(view, part):
    noun, where = match(rf"(.+) {AT}", part).groups()
    middle = (view.size / 2, view.size / 2, 0, 0)
    how = {"left": "left", "right": "right", "top": "above", "bottom": "below"}
    how = how[where.split()[-1]]
    boxes = [box for name, box in view.objects if name == bare(noun)]
    return any(gap(box, middle, how) >= FAR * view.size for box in boxes)


def count_holds(view, part):
    if part == "a grey curtain":
        return view.curtain is not None
    number, noun = part.split(" ", 1)
    many = 1 if number in ("a", "an") else NUMBERS.index(number)
    noun = noun if many == 1 else singular(noun)
    return sum(name == noun for name, _ in view.objects) == many
