"""What came out of a run."""

import json
import time
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback

from softmask.addresses import shown
from softmask.callbacks.facts import hashes
from softmask.callbacks.folder import run_folder
from softmask.runs import REPORT
from softmask.tasks import TaskModule
from softmask.whole import write_text_whole


class RunReport(Callback):
    """Writes `report.json` of a test into the run's folder and prints its table.

    What an official server wants of a task goes to `submission.json`.

    Args:
        corpus: name of the data in the report; the test data's path unless given.
    """

    def __init__(self, corpus: str | None = None) -> None:
        self.corpus = corpus
        self._steps = 0
        self._started = 0.0
        self._seconds: float | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock: training with its validations."""
        self._seconds = time.perf_counter() - self._started

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Remember how long the weights were trained: a test alone takes no step."""
        self._steps = checkpoint["global_step"]

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write and print."""
        path = run_folder(trainer) / REPORT
        if not isinstance(pl_module, TaskModule) or not trainer.is_global_zero:
            return
        parameters = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
        tested = trainer.datamodule.paths["test"]  # type: ignore[attr-defined]
        corpus = self.corpus or shown(str(tested))
        report = {
            "corpus": corpus,
            "data": hashes(trainer),
            **pl_module.report,
            "train_seconds": self._seconds,
            "steps": max(self._steps, trainer.global_step),
            "parameters": parameters,
        }
        write_text_whole(path, json.dumps(report, indent=2) + "\n")
        print(pl_module.summary(corpus))
        if pl_module.submission:
            handed = path.with_name("submission.json")
            write_text_whole(handed, json.dumps(pl_module.submission) + "\n")
            print(f"Submission:  {handed}")
        print(f"Report:      {path}\nTensorBoard: tensorboard --logdir {path.parent}")
