"""What a run sees, written down step by step, and signals that strike it where a test wants it."""

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch
import yaml
from lightning.pytorch.callbacks import Callback

from softmask.batch import IGNORE, PretrainBatch

STEPS = 8
"""Of the runs that are compared: two epochs of the tests' corpus and two steps."""


class Seen(Callback):
    """Appends a line a step: the samples with a digest of what was drawn for them, and the loss.

    Args:
        folder: of a file for each rank.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def on_train_batch_end(
        self, trainer: L.Trainer, _task: L.LightningModule, outputs: Any, batch: Any, _index: int
    ) -> None:
        line = {
            "step": trainer.global_step - 1,
            "epoch": trainer.current_epoch,
            "samples": samples(batch),
            "loss": outputs["loss"].item().hex(),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


class Strike(Callback):
    """Sends a signal to its own process, at a hook after some steps; not once torchrun restarted.

    Args:
        hook: of Lightning's callbacks.
        steps: taken before.
        number: of the signal.
        rank: that is struck; None strikes all.
        group: strike the worker processes too.
    """

    def __init__(
        self, hook: str, steps: int, number: int, rank: int | None = None, group: bool = False
    ) -> None:
        self.steps, self.number, self.rank, self.group = steps, number, rank, group
        setattr(self, hook, self._strike)

    def _strike(self, trainer: L.Trainer, *_: Any) -> None:
        first = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        meant = self.rank in (None, trainer.global_rank)
        if first and meant and trainer.global_step == self.steps:
            if self.group:
                # From another process: workers may tell their parent's signals from others'.
                subprocess.run(["kill", f"-{self.number}", "--", f"-{os.getpgrp()}"], check=False)
            else:
                os.kill(os.getpid(), self.number)


def kill(hook: str, steps: int, rank: int | None = None) -> dict[str, Any]:
    """A strike that nothing can catch."""
    return {"hook": hook, "steps": steps, "number": int(signal.SIGKILL), "rank": rank}


def term(hook: str, steps: int, **options: Any) -> dict[str, Any]:
    """A strike that asks to end."""
    return {"hook": hook, "steps": steps, "number": int(signal.SIGTERM), **options}


def overlay(folder: Path, *strikes: Mapping[str, Any], steps: int = STEPS, every: int = 2) -> Path:
    """An overlay of a run that writes to `folder/seen` what it sees, saves often, and is struck."""
    callbacks = [{"class_path": "seen.Seen", "init_args": {"folder": str(folder / "seen")}}]
    callbacks += [{"class_path": "seen.Strike", "init_args": dict(strike)} for strike in strikes]
    given = {
        "trainer": {"max_steps": steps, "callbacks": callbacks, "default_root_dir": str(folder)},
        "last": {"every_n_train_steps": every},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "seen.yaml"
    path.write_text(yaml.safe_dump(given))
    return path


def samples(batch: PretrainBatch) -> list[list[str]]:
    """Key and digest of each sample: pixels, ids, what is masked, words; not its neighbours'."""
    width = batch["input_ids"].shape[1]
    kept = batch["mlm_labels"] != IGNORE
    places, labels = batch["mlm_at"][kept], batch["mlm_labels"][kept]
    found = []
    for row, key in enumerate(batch["key"]):
        own = places // width == row
        ids = batch["input_ids"][row][batch["attention_mask"][row]]
        parts = (
            batch["image"][row],
            ids,
            places[own] - row * width,
            labels[own],
            batch["words"][row],
        )
        digest = hashlib.sha1()
        for part in parts:
            digest.update(part.contiguous().numpy().tobytes())
        found.append([key, digest.hexdigest()])
    return found


def read(folder: Path, rank: int = 0) -> list[dict[str, Any]]:
    """The lines of a rank in the order they were written; what is seen twice is equal."""
    lines = [json.loads(line) for line in (folder / "seen" / f"{rank}.jsonl").open()]
    first: dict[int, dict[str, Any]] = {}
    for line in lines:
        assert first.setdefault(line["step"], line) == line
    return lines


def steps(lines: Sequence[Mapping[str, Any]]) -> list[int]:
    return [line["step"] for line in lines]


def last(folder: Path) -> dict[str, Any]:
    """The last checkpoint of the run in `folder`."""
    path = folder / "run" / "checkpoints" / "last.ckpt"
    return torch.load(path, weights_only=True)
