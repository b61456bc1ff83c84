"""The one error a user can mend, and what it quotes of others."""


class InputError(ValueError):
    """A user's mistake: the message is one paragraph with the value found and the way to mend it.

    The command line prints the message alone and exits with 1; everywhere else it is a ValueError.
    """


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind when it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
