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
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(TaskModule, "model")
    try:
        parsed = parser.parse_object({"model": _settings(opened.settings)})
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
    """The model's, with what the data gave it and without what it started from."""
    model = copy.deepcopy(settings["model"])
    given = model["init_args"]
    image = given["backbone"]["init_args"]["image"]["init_args"]
    image |= {"image_size": settings["data"]["init_args"]["image_size"], "pretrained": False}
    started = {name: None for name in ("init_from", "bert") if name in given}
    return {**model, "init_args": {**given, **started}}
