"""What `predict` says of pairs, on disk."""

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import BasePredictionWriter

from softmask.callbacks.folder import run_folder


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
