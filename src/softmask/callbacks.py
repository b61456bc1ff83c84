"""Callbacks: how fast it goes, what came out, scores of pairs on disk."""

import json
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import BasePredictionWriter, Callback

from softmask.tasks import PairTask


class Performance(Callback):
    """Logs samples a second of all ranks and the share of time spent waiting for data.

    Args:
        every: batches over which the figures are averaged.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self._waited = 0.0
        self._samples = 0
        self._batches = 0
        self._since = 0.0
        self._ended = 0.0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clocks: pauses between epochs are not training."""
        self._since = self._ended = time.perf_counter()
        self._waited = 0.0
        self._samples = self._batches = 0

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The batch has arrived."""
        self._waited += time.perf_counter() - self._ended

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """The step is over; log now and then."""
        now = self._ended = time.perf_counter()
        self._samples += len(batch["key"]) * trainer.world_size
        self._batches += 1
        if self._batches == self.every:
            seconds = now - self._since
            pl_module.log("perf/samples_per_second", self._samples / seconds)
            pl_module.log("perf/data_wait", self._waited / seconds)
            pl_module.log("perf/seconds_per_step", seconds / self._batches)
            self._since, self._waited, self._samples, self._batches = now, 0.0, 0, 0


class RunReport(Callback):
    """Writes `report.json` of a test into the run's folder and prints its table.

    Args:
        corpus: name of the data in the report; the test data's path unless given.
    """

    def __init__(self, corpus: str | None = None) -> None:
        self.corpus = corpus
        self._started = 0.0
        self._seconds: float | None = None

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock: training with its validations."""
        self._seconds = time.perf_counter() - self._started

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write and print."""
        if not isinstance(pl_module, PairTask) or not trainer.is_global_zero:
            return
        parameters = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
        corpus = self.corpus or trainer.datamodule.paths["test"]  # type: ignore[attr-defined]
        report = {
            "corpus": str(corpus),
            **pl_module.report,
            "train_seconds": self._seconds,
            "steps": trainer.global_step,
            "parameters": parameters,
        }
        path = run_folder(trainer) / "report.json"
        path.write_text(json.dumps(report, indent=2) + "\n")
        print(table(report))
        print(f"Report:      {path}\nTensorBoard: tensorboard --logdir {path.parent}")


class PairScores(BasePredictionWriter):
    """Writes what `predict` says of pairs, a JSON line each, one file a rank.

    Args:
        output: file name in the run's folder; the rank is added when there are several.
    """

    def __init__(self, output: str = "predictions.jsonl") -> None:
        super().__init__(write_interval="batch")
        self.output = output

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start with an empty file."""
        self._path(trainer).write_text("")

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say where it is."""
        print(f"Predictions: {self._path(trainer)}")

    def write_on_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        prediction: Any,
        batch_indices: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Append a line a pair."""
        names = list(prediction)
        with self._path(trainer).open("a", encoding="utf-8") as file:
            for values in zip(*prediction.values(), strict=True):
                file.write(json.dumps(dict(zip(names, values, strict=True))) + "\n")

    def _path(self, trainer: L.Trainer) -> Path:
        path = run_folder(trainer) / self.output
        if trainer.world_size > 1:
            path = path.with_stem(f"{path.stem}-{trainer.global_rank}")
        return path


def run_folder(trainer: L.Trainer) -> Path:
    """The folder of this run, made if it is missing."""
    folder = Path(trainer.log_dir or trainer.default_root_dir)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def table(report: dict[str, Any]) -> str:
    """The recalls of a report in percent, beside chance, as lines of text."""
    lines = [
        f"Retrieval on {report['corpus']}: {report['test_size']} images, "
        f"chance R@1 {100 * report['chance_r1']:.1f} %",
        f"{'':22}{'R@1':>7}{'R@5':>7}{'R@10':>7}",
    ]
    scores = {"itc": "contrastive", "itm": "re-ranked"}
    directions = {"i2t": "image->text", "t2i": "text->image"}
    for key, name in scores.items():
        for direction, arrow in directions.items():
            if key in report:
                values = report[key][direction].values()
                cells = "".join(f"{100 * v:7.1f}" for v in values)
                lines.append(f"{name:<11}{arrow:<11}{cells}")
    return "\n".join(lines)
