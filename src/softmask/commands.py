"""The subcommands of `softmask weights`."""

from functools import partial
from pathlib import Path

from jsonargparse import auto_cli

from softmask.card import LICENSE
from softmask.convert import convert_weights
from softmask.errors import InputError
from softmask.inspection import inspect_weights
from softmask.model import SoftMask
from softmask.runs import read_run
from softmask.sharing import pushed


def main(args: list[str]) -> None:
    """Run a subcommand.

    Args:
        args: the words after `softmask weights`.

    Raises:
        InputError: if the user's input cannot be used.
    """
    auto_cli(
        {"inspect": inspect_weights, "convert": convert_weights, "export": export_run},
        args=args,
        prog="softmask weights",
        description="Look at weights, bring them in from elsewhere, share them.",
    )


def export_run(
    run: Path,
    output: Path = Path("export"),
    checkpoint: str = "best",
    license: str = LICENSE,
    push: str | None = None,
    private: bool = False,
) -> None:
    """Write a run's model as a folder to share, and push it to the Hugging Face hub when asked to.

    Args:
        run: folder of the run.
        output: folder to write: weights, sizes, tokenizer, model card.
        checkpoint: "best", "last", or a file's name in the run's checkpoints.
        license: of the weights, as the hub names it.
        push: ORGANISATION/NAME on the hub; the login is huggingface_hub's (`hf auth login`).
        private: whether a new repository on the hub is private.

    Raises:
        InputError: the run cannot be read, or its task is none that a shared model can do.
    """
    if private and not push:
        raise InputError("--private is about a repository on the hub: give --push too.")
    model = SoftMask.of_parts(read_run(run, checkpoint, license))
    model.save_pretrained(output)
    print(f"Written: {output}")
    if push:
        send = partial(model.push_to_hub, push, private=private)
        print(f"Pushed:  {pushed(send, push, output)}")
