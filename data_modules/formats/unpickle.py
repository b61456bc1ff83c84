"""Pickles of others, of plain types alone: nothing in them is ever called."""

import pickle
from pathlib import Path

from softmask.errors import InputError, first_line


class _Plain(pickle.Unpickler):
    """Knows numbers, texts, None, lists, tuples, dicts and sets, which need no name looked up."""

    def find_class(self, module: str, name: str) -> object:
        """Refuse every name: with names, pickles run whatever their makers like."""
        raise _NameError(f"{module}.{name}")


class _NameError(Exception):
    """A pickle asks for a class or a function."""


def load_plain_pickle(file: Path) -> object:
    """Read a pickle of plain types; texts of Python 2 are read as UTF-8.

    Raises:
        InputError: it names a class or a function, or it cannot be read.
    """
    try:
        with file.open("rb") as data:
            return _Plain(data, encoding="utf-8", errors="replace").load()
    except _NameError as error:
        raise InputError(
            f"{file} is refused: it asks for {error}, and pickles that ask for more than lists, "
            f"dicts, texts and numbers can run anything. Take the file from its first source."
        ) from error
    except Exception as error:  # junk makes the reader raise nearly anything
        raise InputError(
            f"{file} cannot be read as a pickle ({first_line(error)}): give the file of REFER as "
            f"it was downloaded."
        ) from error
