"""Words that name nothing to see, and what is left when these are passed over."""

from collections.abc import Sequence

ARTICLES = frozenset(("a", "an", "the"))
STOP_WORDS = frozenset(
    """
    a about above across after again against all along also am among an and another any are around
    as at away back be because been before behind being below beneath beside besides between both
    but by can could did do does doing down during each either else ever every for from get gets had
    has have having he her here hers him his how i if in inside into is it its itself just may me
    might mine more most much must my near neither no nor not now of off on one onto or other our
    ours out over own per quite rather really s same she should so some such t than that the their
    theirs them then there these they this those through to too toward towards under until up upon
    us very was we were what when where whether which while who whom whose why will with within
    without would you your yours
    """.split()  # noqa: SIM905 (a hundred quotes read worse)
)


def names_something(word: str) -> bool:
    """Tell whether a word is more than a stop word or signs."""
    return word.lower() not in STOP_WORDS and any(letter.isalnum() for letter in word)


def naming(words: Sequence[str]) -> list[int]:
    """Places of the words that name something, or all places where none does."""
    found = [at for at, word in enumerate(words) if names_something(word)]
    return found or list(range(len(words)))


def phrase_to(words: Sequence[str], at: int) -> str:
    """The phrase that ends with a word: with what names something right before it, and its article.

    "a red heart" for the heart of "a cat and a red heart", "a red" for the red; "and" by itself.

    Args:
        words: of a text, signs apart.
        at: place of the word.
    """
    first = at
    while first and names_something(words[at]) and names_something(words[first - 1]):
        first -= 1
    if first and names_something(words[at]) and words[first - 1].lower() in ARTICLES:
        first -= 1
    return " ".join(words[first : at + 1])
