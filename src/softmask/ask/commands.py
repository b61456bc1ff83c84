"""The subcommands that ask a model."""

from jsonargparse import auto_cli
from jsonargparse.typing import register_type

from softmask.ask.embed import embed
from softmask.ask.explain import explain
from softmask.ask.export import export
from softmask.ask.score import score
from softmask.ask.search import search
from softmask.ask.texts import Text, read_text


def main(args: list[str]) -> None:
    """Run a subcommand.

    Args:
        args: explain, score, embed, search or export, and what follows.

    Raises:
        InputError: if the user's input cannot be used.
    """
    register_type(Text, deserializer=read_text)
    auto_cli(
        {"explain": explain, "score": score, "embed": embed, "search": search, "export": export},
        args=args,
        as_positional=False,
        prog="softmask",
        description="Ask a model.",
    )
