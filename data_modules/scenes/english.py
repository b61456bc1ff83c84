"""Words: articles, plurals, numbers, and how places are put."""

from collections import Counter
from collections.abc import Collection, Sequence

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")

HOW = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
}
"""How a relation is put."""

AT = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
}
"""How a side of the picture is put."""

AT_MORE = {"left": "left", "right": "right", "above": "top", "below": "bottom"}
"""The side that tells one of two things from the other by their relation."""

CONSONANT_SOUNDS = ("uni", "eu", "uk", "ur", "us", "uz", "one")
ENDINGS = {"man": "men", "mouse": "mice", "tooth": "teeth", "goose": "geese", "foot": "feet"}
ENDINGS |= {"wolf": "wolves", "fish": "fish", "deer": "deer", "squid": "squid", "child": "children"}


def corner(ats: Collection[str]) -> str:
    """Put where something is, by the sides it is at: "at the top left", "on the right", ""."""
    upright = [side for side in ("top", "bottom") if side in ats]
    across = [side for side in ("left", "right") if side in ats]
    if upright and across:
        return f"at the {upright[0]} {across[0]}"
    return "".join(AT[side] for side in (*upright, *across))


def a(noun: str) -> str:
    """Put "a" or "an" before a noun."""
    vowel = noun[0] in "aeiou" and not noun.startswith(CONSONANT_SOUNDS)
    return f"an {noun}" if vowel else f"a {noun}"


def plural(noun: str) -> str:
    """Give the plural of a noun, whose last word counts."""
    for one, many in ENDINGS.items():
        if noun.endswith(one):
            return noun.removesuffix(one) + many
    if noun.endswith(("s", "x", "z", "ch", "sh", "o")) and not noun.endswith(("io", "oo")):
        return noun + "es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"


def counted(noun: str, count: int) -> str:
    """Say how many: "a cat", "two cats"."""
    return a(noun) if count == 1 else f"{NUMBERS[count]} {plural(noun)}"


def listed(names: Sequence[str]) -> str:
    """List things in the order of their first coming: "two cats, a dog and a tree"."""
    return joined([counted(name, count) for name, count in Counter(names).items()])


def joined(parts: Sequence[str]) -> str:
    """Join one part or more: "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
