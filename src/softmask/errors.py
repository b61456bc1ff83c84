"""The one error a user can mend."""


class InputError(ValueError):
    """A user's mistake: the message is one paragraph with the value found and the way to mend it.

    The command line prints the message alone and exits with 1; everywhere else it is a ValueError.
    """
