"""A run's page."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_warn

from softmask.callbacks.facts import run_facts, settings_text
from softmask.callbacks.folder import run_folder
from softmask.errors import first_line
from softmask.events import Events, read_events
from softmask.run_page import Panel, RunStory, run_page
from softmask.runs import REPORT, SETTINGS
from softmask.whole import write_text_whole

NAME = "report.html"


class RunPage(Callback):
    """Writes `report.html` into the run's folder at the end of fit and of test.

    It is made of what the run left there: the TensorBoard file, `report.json`, `config.yaml`. A
    page that cannot be written is a warning, and the run goes on.

    Args:
        write: whether to.
    """

    def __init__(self, write: bool = True) -> None:
        self.write = write
        self._verb = "test"
        self._steps = 0
        self._folder: Path | None = None

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember how long the weights were trained: a test alone takes no step."""
        self._steps = checkpoint["global_step"]

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Find the folder while all ranks are there to ask for it."""
        self._verb, self._folder = "fit", run_folder(trainer)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """As before a fit."""
        self._folder = run_folder(trainer)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write."""
        self._write(trainer, pl_module)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write again, with what the test found."""
        self._write(trainer, pl_module)

    def _write(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        quick = trainer.fast_dev_run  # type: ignore[attr-defined]
        if not self.write or quick or not trainer.is_global_zero or self._folder is None:
            return
        path = self._folder / NAME
        try:
            write_text_whole(path, run_page(self._story(trainer, task, self._folder)))
        except Exception as error:
            rank_zero_warn(
                f"{path} could not be written ({type(error).__name__}: {first_line(error)}). All "
                f"else of the run is there: mend the cause and run `softmask test` in its folder, "
                f"or leave the page out with --page.write false."
            )
        else:
            print(f"Page:        {path}")

    def _story(self, trainer: L.Trainer, task: L.LightningModule, folder: Path) -> RunStory:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.flush()
        events = read_events(folder)
        steps = max(self._steps, trainer.global_step)
        facts = run_facts(trainer, task)
        return RunStory(
            title=f"{facts['task']}: {folder.name}",
            facts={"steps": f"{steps:,}", **facts},
            report=_report(folder, steps),
            scalars=events.scalars,
            panels=panels(events),
            command=_command(self._verb, facts["commit"], folder, trainer.ckpt_path),
            settings=settings_text(folder),
        )


def panels(events: Events) -> list[Panel]:
    """The first and the last picture of each kind, with what they show in words."""
    found = []
    for tag, drawn in events.pictures.items():
        said = events.texts.get(tag, {})
        for each in drawn if len(drawn) == 1 else (drawn[0], drawn[-1]):
            title = f"{tag}, step {each.step:,}"
            found.append(Panel(title, each.data, said.get(each.step, title)))
    return found


def _report(folder: Path, steps: int) -> Mapping[str, Any]:
    """What the last test of this folder found, if it was of these weights."""
    file = folder / REPORT
    report = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return report if report.get("steps") == steps else {}


def _command(verb: str, commit: str, folder: Path, checkpoint: object) -> str:
    own = folder / f"{verb}.yaml"  # of a test in the folder of the training
    config = own if own.is_file() else folder / SETTINGS
    code = commit.removesuffix("-dirty")
    lines = [] if code == "unknown" else [f"git checkout {code}"]
    if code != commit:
        lines.append("# files differed from that commit")
    again = "--trainer.logger.init_args.version again"
    if verb == "test" and checkpoint:  # settings may say best, of a folder that is another then
        again += f" --ckpt_path {shlex.quote(str(checkpoint))}"
    return "\n".join([*lines, f"softmask {verb} -c {shlex.quote(str(config))} {again}"])
