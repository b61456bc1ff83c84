"""What came out of a run."""

import json
import time
from typing import Any, Protocol, runtime_checkable

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback

from softmask.callbacks.folder import run_folder
from softmask.tasks import PairTask


@runtime_checkable
class KnowsHashes(Protocol):
    """Data that can say which it is."""

    def hashes(self) -> dict[str, str]:
        """Hashes by split: train, val, test."""


class RunReport(Callback):
    """Writes `report.json` of a test into the run's folder and prints its table.

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
        path = run_folder(trainer) / "report.json"
        if not isinstance(pl_module, PairTask) or not trainer.is_global_zero:
            return
        parameters = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
        corpus = self.corpus or trainer.datamodule.paths["test"]  # type: ignore[attr-defined]
        report = {
            "corpus": str(corpus),
            "data": hashes(trainer),
            **pl_module.report,
            "train_seconds": self._seconds,
            "steps": max(self._steps, trainer.global_step),
            "parameters": parameters,
        }
        path.write_text(json.dumps(report, indent=2) + "\n")
        print(table(report))
        print(f"Report:      {path}\nTensorBoard: tensorboard --logdir {path.parent}")


def hashes(trainer: L.Trainer) -> dict[str, str]:
    """Give the hash of each data set that the run opened, by split, where its data knows them."""
    data = trainer.datamodule  # type: ignore[attr-defined]
    return data.hashes() if isinstance(data, KnowsHashes) else {}


def table(report: dict[str, Any]) -> str:
    """The recalls of a report in percent, beside chance, as lines of text."""
    lines = [
        f"Retrieval on {report['corpus']}: {report['test_size']} images, "
        f"chance R@1 {100 * report['chance_r1']:.1f} %",
        f"{'':24}{'R@1':>7}{'R@5':>7}{'R@10':>7}",
    ]
    scores = {"itc": "contrastive", "itm": "re-ranked"}
    directions = {"i2t": "image->text", "t2i": "text->image"}
    for key, name in scores.items():
        for direction, arrow in directions.items():
            if key in report:
                values = report[key][direction].values()
                cells = "".join(f"{100 * v:7.1f}" for v in values)
                lines.append(f"{name:<12}{arrow:<12}{cells}")
    return "\n".join(lines)
