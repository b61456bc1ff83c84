"""The task of a run, in a notebook."""

import copy
from pathlib import Path
from typing import Any, cast

from jsonargparse import ArgumentError, ArgumentParser

from softmask.checkpoint import read_state
from softmask.errors import InputError, first_line
from softmask.runs import open_run
from softmask.tasks.base import TaskModule
from softmask.weights import compare

IMAGE_SIZE = "model.init_args.backbone.init_args.image.init_args.image_size"
"""The argument of a model that follows its data's `image_size`, where it has such."""


def load_task(run: str | Path, checkpoint: str = "best") -> TaskModule:
    """Build the task that a run trained, as its config.yaml says, and fill it.

    Args:
        run: folder of the run.
        checkpoint: "best", the one that the monitored value chose, else the last one; "last"; or a
            file's name in the run's checkpoints.

    Returns:
        The task in eval mode, on the CPU, twins and queue included, without a trainer.

    Raises:
        InputError: the folder is no run's, its classes cannot be built, or the checkpoint does not
            fit them.
    """
    opened = open_run(Path(run), checkpoint)
    size = _options(opened.settings, "data", "init_args").get("image_size")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(TaskModule, "model")
    parser.add_argument("--image_size")
    if size is not None:
        parser.link_arguments("image_size", IMAGE_SIZE)
    try:
        parsed = parser.parse_object({"model": _settings(opened.settings), "image_size": size})
        task = cast(TaskModule, parser.instantiate(parsed).model)
    except (ArgumentError, ValueError, TypeError) as error:
        raise InputError(
            f"The task of '{run}' cannot be built from its config.yaml ({first_line(error)}): its "
            f"classes must be importable here, in the version that wrote it."
        ) from error
    state = read_state(opened.checkpoint)
    report = compare(task, state, str(opened.checkpoint))
    if report.missing or report.unexpected or report.misshapen:
        raise InputError(f"The checkpoint does not fit its run's task. {report.summary()}")
    task.load_state_dict(state)
    return task.eval()


def _settings(settings: dict[str, Any]) -> dict[str, Any]:
    """The model's, without what it started from."""
    model = copy.deepcopy(settings["model"])
    image = _options(model, "init_args", "backbone", "init_args", "image", "init_args")
    for options, name, nothing in (
        (model["init_args"], "init_from", None),
        (model["init_args"], "bert", None),
        (image, "pretrained", False),
    ):
        if name in options:
            options[name] = nothing
    return dict(model)


def _options(settings: object, *path: str) -> dict[str, Any]:
    """What stands at a path of settings, itself; nothing where they are of another form."""
    for name in path:
        settings = settings.get(name) if isinstance(settings, dict) else None
    return settings if isinstance(settings, dict) else {}
