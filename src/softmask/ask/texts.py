"""Texts in a list, as an option of a command."""


class Text(str):
    """A text as it was typed, also where YAML would read null, yes or a number.

    A plain str would do for one text. In a list, jsonargparse refuses null as an item, takes it for
    the whole, and what `--text+` gave before it is lost.
    """

    __slots__ = ()


def read_text(value: object) -> Text:
    """A text of what was typed, or of what YAML made of it.

    Raises:
        ValueError: it is no string, from a file where quotes are missing.
    """
    if not isinstance(value, str):
        raise ValueError(f"a text wants quotes where YAML reads something else: {value!r}")
    return Text(value)
