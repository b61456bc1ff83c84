"""What the data left out, while training goes on."""

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback

from softmask.callbacks.folder import run_folder
from softmask.drops import READ, CountsDrops


class DroppedSamples(Callback):
    """Logs `data/dropped/<reason>`, counted from the run's start, and lists each dropped sample.

    The list is `dropped.jsonl` in the run's folder, a JSON line a sample; with several ranks
    `dropped-<rank>.jsonl`. A resumed run goes on where its checkpoint was saved.

    Args:
        output: file name of the list; the rank is added when there are several.
    """

    def __init__(self, output: str = "dropped.jsonl") -> None:
        self.output = output
        self._folder: Path | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget what an earlier start of this run listed after the checkpoint."""
        data = _data(trainer)
        if data is None:
            return
        self._folder = folder = run_folder(trainer)
        if trainer.is_global_zero:
            name = Path(self.output)
            for file in folder.glob(f"{name.stem}*{name.suffix}"):
                _keep_before(file, data.tally.start)
        trainer.strategy.barrier("dropped")

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """List this batch's; log now and then."""
        self._list(trainer)
        # One sum over the ranks at the steps that are logged: every one would cost.
        if trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            _log(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the whole run's counts, and say them."""
        self._list(trainer)
        counts = _log(trainer)
        if counts and self._folder and trainer.is_global_zero:
            said = ", ".join(f"{name} {count}" for name, count in counts.items())
            print(f"Dropped:     {said}; see {self._path(trainer, self._folder)}")

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """List the samples that the run stopped for; nothing here may wait for other ranks."""
        self._list(trainer)

    def _list(self, trainer: L.Trainer) -> None:
        data = _data(trainer)
        drops = data.tally.take() if data else []
        if drops and self._folder:
            with self._path(trainer, self._folder).open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(drop._asdict()) + "\n" for drop in drops)

    def _path(self, trainer: L.Trainer, folder: Path) -> Path:
        path = folder / self.output
        if trainer.world_size > 1:
            path = path.with_stem(f"{path.stem}-{trainer.global_rank}")
        return path


def _data(trainer: L.Trainer) -> CountsDrops | None:
    data = trainer.datamodule  # type: ignore[attr-defined]
    return data if isinstance(data, CountsDrops) else None


def _log(trainer: L.Trainer) -> dict[str, int]:
    data = _data(trainer)
    counts = data.dropped() if data else {}
    counts.pop(READ, None)
    values = {f"data/dropped/{name}": float(count) for name, count in counts.items()}
    if trainer.is_global_zero and values:
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)
    return counts


def _keep_before(file: Path, start: tuple[int, int]) -> None:
    """Shorten a list to the samples before an epoch and step; an empty one goes."""
    kept = []
    for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            drop = json.loads(line)
        except ValueError:
            continue  # cut by a kill
        if (drop["epoch"], drop["step"]) < start:
            kept.append(line)
    if kept:
        file.write_text("".join(kept), encoding="utf-8")
    else:
        file.unlink()
