"""What an expression is about: its first noun and what stands before it."""

from softmask.stop_words import names_something

FOLLOWERS = frozenset(
    """
    bottom carrying closest closer facing farthest front furthest holding left leftmost looking
    lower middle nearest next right rightmost riding sitting standing top upper wearing
    """.split()  # noqa: SIM905 (a hundred quotes read worse)
)
"""Words that begin what tells a thing from others of its sort, once it is named."""


def head_phrase(expression: str) -> str:
    """Cut an English expression before what follows the thing that it names first.

    "the red cat to the left of the dog" is about "the red cat", "left man in blue" about "left
    man". A rule of words, no grammar: what it does not know stays. An expression that names
    nothing stays whole.

    Args:
        expression: with single spaces.
    """
    words, named = expression.split(" "), False
    for place, word in enumerate(words):
        bare = word.strip(".,;:!?'\"()").lower()
        begins = bare not in FOLLOWERS and names_something(bare)
        if named and not begins:
            return " ".join(words[:place])
        named = named or begins
    return expression
