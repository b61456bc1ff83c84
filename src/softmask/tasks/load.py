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

FROM_DATA = {
    "image_size": "model.init_args.backbone.init_args.image.init_args.image_size",
    "text.tokenizer": "model.init_args.tokenizer",
}
"""Options of data modules, and the arguments of a model that follow them where it has such."""


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
    given = _from_data(opened.settings)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(TaskModule, "model")
    for option in given:
        parser.add_argument(f"--{option}")
        parser.link_arguments(option, FROM_DATA[option])
    try:
        parsed = parser.parse_object({"model": _settings(opened.settings), **given})
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


def _from_data(settings: dict[str, Any]) -> dict[str, Any]:
    """What the data gave the model, by option; a user's own data may have other options."""
    data = _options(settings, "data", "init_args")
    text = _options(data, "text")
    found = {"image_size": data.get("image_size"), "text.tokenizer": text.get("tokenizer")}
    return {option: value for option, value in found.items() if value is not None}


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
