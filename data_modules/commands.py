"""The subcommands of `softmask data`."""

from jsonargparse import auto_cli

from data_modules.answers import write_answers
from data_modules.check import check_shards
from data_modules.emoji import write_emoji
from data_modules.index_tars import index_tars
from data_modules.pairs import write_pairs
from data_modules.scenes import write_scenes
from data_modules.stats import write_stats


def main(args: list[str]) -> None:
    """Run a subcommand.

    Args:
        args: the words after `softmask data`.

    Raises:
        InputError: if the user's input cannot be used.
    """
    auto_cli(
        {
            "write": write_pairs,
            "index": index_tars,
            "check": check_shards,
            "stats": write_stats,
            "answers": write_answers,
            "emoji": write_emoji,
            "scenes": write_scenes,
        },
        args=args,
        as_positional=False,
        prog="softmask data",
        description="Prepare data sets.",
    )
