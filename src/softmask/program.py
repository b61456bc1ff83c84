"""The `softmask` program: its first word chooses what is imported, so that each starts soon.

`softmask fit|validate|test|predict` are Lightning's, see `softmask.cli`. `softmask data ...`
prepares data, `softmask weights ...` reads, converts and shares weights; `softmask explain`,
`score`, `embed`, `search` and `export` ask a model and import no Lightning for it, unless `embed`
is to use several devices. A user's mistake ends with one paragraph and exit code 1. `softmask demo`
serves a page that asks.
"""

import errno
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import NoReturn

from softmask import __version__
from softmask.errors import InputError
from softmask.launched import let_the_first_speak

FULL = (errno.ENOSPC, errno.EDQUOT)
"""A full disk is told while data is written, when the system no longer knows the file's name."""
INTERRUPTED = 130
"""The exit code that shells give to what Ctrl-C ended."""
LIGHTNING = ("fit", "validate", "test", "predict")
ASKING = ("explain", "score", "embed", "search", "export")


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        args: what follows the program's name; `sys.argv` unless given.
    """
    given = list(sys.argv[1:] if args is None else args)
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        # Names of files need not be UTF-8; in a JSON string the escape is one of JSON's.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # None lets Lightning read sys.argv itself; it warns of arguments given twice.
        _run(given, None if args is None else given)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads our lines has enough of them
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except InputError as error:
        _refuse(" ".join(str(error).split()))
    except OSError as error:
        if error.filename is None and error.errno not in FULL:
            raise
        _refuse(
            f"{error.filename or 'A file'} cannot be used ({error.strerror}): mend the path, its "
            f"rights or its disk."
        )
    except KeyboardInterrupt:
        print("softmask: interrupted.", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def _refuse(why: str) -> NoReturn:
    let_the_first_speak()
    print(f"softmask: {why}", file=sys.stderr)
    raise SystemExit(1) from None


def _run(given: list[str], args: list[str] | None) -> None:
    verb = given[0] if given else ""
    if given == ["--version"]:
        print(f"softmask {__version__}")
    elif verb == "data":
        import data_modules.commands

        data_modules.commands.main(given[1:])
    elif verb == "weights":
        import softmask.commands

        softmask.commands.main(given[1:])
    elif verb in ASKING:
        import softmask.ask.commands

        softmask.ask.commands.main(given)
    elif verb == "demo":
        import softmask.web.command

        softmask.web.command.main(given)
    elif verb and verb not in LIGHTNING and not verb.startswith("-"):
        known = ", ".join([*LIGHTNING, "data", "weights", *ASKING, "demo"])
        raise InputError(f"There is no '{verb}': give one of {known}.")
    else:
        import softmask.cli

        softmask.cli.run(args)
