"""The subcommands of `softmask data`."""

from jsonargparse import auto_cli

from data_modules.emoji import write_emoji
from data_modules.pairs import write_pairs


def main(args: list[str]) -> None:
    """Run a subcommand.

    Args:
        args: the words after `softmask data`.

    Raises:
        InputError: if the user's input cannot be used.
    """
    auto_cli(
        {"write": write_pairs, "emoji": write_emoji},
        args=args,
        as_positional=False,
        prog="softmask data",
        description="Prepare data sets.",
    )
