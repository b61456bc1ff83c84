"""Does a step stay as quick on more devices, each with a batch of its own (weak scaling)?

Measured: one and two processes on this machine's CPU, one thread each, Lightning's data-parallel
training over gloo, wall time of a step. They share memory and caches, and whatever else runs here.

Arithmetic, not measured: 8 to 512 GPUs, from the time of one GPU's step, the bytes that its
gradients make, and nominal speeds of links. Gradients travel while the backward pass computes; what
does not fit under it is added.
"""

import json
import logging
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as L
import torch
from jsonargparse import auto_cli
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader

from benchmarks.clock import machine, versions
from benchmarks.sizes import StepSize, examples
from benchmarks.step import RESULTS
from benchmarks.timing import GIGAFLOP, PEAK
from softmask.batch import PretrainBatch
from softmask.provenance import commit
from softmask.tasks import Contrast, PretrainTask, SoftMasking

SMALL = StepSize(16, width=192, layers=2, text_layers=2, fusion_layers=2, image=64, queue=1024)
PARAMETERS = 209_937_725
"""That are trained at full size; a test counts them."""
BATCH = 64
HOST, GATHERED = 8, 2 * 256 * 4 + 2 * 8
"""GPUs of a host, and bytes of a pair that every rank is told: two features and two ids."""
NVLINK, NETWORK = 450e9, 50e9
"""Bytes a second and GPU, nominal: fourth NVLink in one direction, and 400 Gbit/s."""
BACKWARD = 0.6
"""Share of a step in which gradients can travel: two thirds, but for the last ones."""
ASSUMED_MFU = 0.4


class Steps(Callback):
    """Writes what each step took, but for the first ones, and where it began.

    Args:
        file: that the first rank writes.
        warmup: steps that do not count.
    """

    def __init__(self, file: Path, warmup: int) -> None:
        self.file, self.warmup = file, warmup
        self.taken: list[float] = []
        self.since = 0.0

    def on_train_batch_start(self, *_: object) -> None:
        """Start the clock."""
        self.since = time.perf_counter()

    def on_train_batch_end(self, *_: object) -> None:
        """Stop it."""
        self.taken.append(time.perf_counter() - self.since)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        """Write."""
        if trainer.is_global_zero:
            self.file.write_text(json.dumps(self.taken[self.warmup :]))


class Same(L.LightningDataModule):
    """One random batch, as often as it is wanted, different ids on each rank.

    Args:
        size: of the step.
        steps: of the epoch.
    """

    def __init__(self, size: StepSize, steps: int) -> None:
        super().__init__()
        self.size, self.steps, self.batch_size = size, steps, size.batch

    def train_dataloader(self) -> DataLoader[Any]:
        """Give this rank's batches."""
        torch.set_num_threads(1)
        batch: PretrainBatch = examples(self.size, "cpu", own_draw=False)
        assert self.trainer is not None
        ids = torch.arange(self.size.batch) + self.trainer.global_rank * self.size.batch
        batch |= {"image_id": ids, "text_id": ids, "position": ids}
        return DataLoader([batch] * self.steps, batch_size=None, collate_fn=lambda given: given)  # type: ignore[arg-type]


def main(
    output: Path = RESULTS / "scaling.json", steps: int = 6, warmup: int = 2, rounds: int = 2
) -> None:
    """Measure one and two processes, compute the rest, print and record both.

    Args:
        output: the result file.
        steps: that count, of each run.
        warmup: steps before them.
        rounds: how often one process and two take turns.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    result = {
        "name": "scaling",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "load": [round(each, 2) for each in os.getloadavg()],
        "versions": versions("torch", "lightning"),
        "commit": commit(),
        "size": vars(SMALL),
        **measure(SMALL, steps, warmup, rounds),
        "arithmetic": arithmetic(*fastest()),
    }
    print(report(result))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {output}")


def measure(size: StepSize, steps: int, warmup: int, rounds: int) -> dict[str, Any]:
    """Let one and two processes take turns.

    Returns:
        Median milliseconds of a step by processes, and the efficiency of two.
    """
    taken: dict[int, list[float]] = {1: [], 2: []}
    with TemporaryDirectory() as folder:
        for _ in range(rounds):
            for processes, each in taken.items():
                each += run(size, processes, steps, warmup, Path(folder) / "steps.json")
    one, two = (1000 * median(each) for each in taken.values())
    return {
        "step_ms": {"1": round(one, 2), "2": round(two, 2)},
        "efficiency": round(one / two, 3),
        "steps": len(taken[1]),
    }


def run(size: StepSize, processes: int, steps: int, warmup: int, file: Path) -> list[float]:
    """Train for a moment; give the seconds of each step that counts."""
    torch.manual_seed(0)
    task = PretrainTask(
        size.backbone(),
        contrast=Contrast(queue_size=size.queue),
        soft_mask=SoftMasking(layer=size.mapped),
    )
    off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = L.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy=DDPStrategy(start_method="spawn", process_group_backend="gloo"),
        max_steps=warmup + steps,
        callbacks=[Steps(file, warmup)],
        use_distributed_sampler=False,
        **dict.fromkeys(off, False),  # type: ignore[arg-type]
    )
    trainer.fit(task, datamodule=Same(size, warmup + steps))
    found: list[float] = json.loads(file.read_text())
    return found


def arithmetic(
    measured_ms: float | None, measured: str = "a step", batch: int = BATCH
) -> dict[str, Any]:
    """Compute what 8 to 512 GPUs would do; nothing of it is measured.

    Args:
        measured_ms: of one GPU's step; None assumes a share of an H200's peak instead.
        measured: what step that was.
        batch: of each GPU.
    """
    assumed = batch * GIGAFLOP / 1000 / PEAK / ASSUMED_MFU * 1000
    step_ms = assumed if measured_ms is None else measured_ms
    assumption = f"assumed: {ASSUMED_MFU:.0%} of {PEAK:g} TFLOP/s"
    sent = 4 * PARAMETERS
    rows = []
    for gpus in (8, 16, 64, 128, 512):
        link = NVLINK if gpus <= HOST else NETWORK
        around = (gpus - 1) / gpus
        reduce_ms = 1000 * 2 * around * sent / link
        gather_ms = 1000 * around * gpus * batch * GATHERED / link
        whole = step_ms + max(0.0, reduce_ms - BACKWARD * step_ms) + gather_ms
        rows.append(
            {
                "gpus": gpus,
                "reduce_ms": round(reduce_ms, 2),
                "gather_ms": round(gather_ms, 2),
                "step_ms": round(whole, 2),
                "efficiency": round(step_ms / whole, 3),
                "samples_per_s": round(gpus * batch / whole * 1000),
            }
        )
    return {
        "compute_ms": round(step_ms, 2),
        "compute": f"of {measured} on one GPU, measured" if measured_ms else assumption,
        "bytes_reduced": sent,
        "rows": rows,
    }


def report(result: Mapping[str, Any]) -> str:
    """Write the figures of a result in lines."""
    one, two = result["step_ms"].values()
    lines = [
        f"one process {one:.0f} ms a step, two {two:.0f} ms: efficiency {result['efficiency']:.2f}",
        f"arithmetic, not measured, from {result['arithmetic']['compute_ms']:.1f} ms of compute "
        f"({result['arithmetic']['compute']}):",
    ]
    lines += [
        f"  {row['gpus']:>4} GPUs {row['step_ms']:>7.1f} ms a step, efficiency "
        f"{row['efficiency']:.2f}, {row['samples_per_s']:,} samples/s"
        for row in result["arithmetic"]["rows"]
    ]
    return "\n".join(lines)


def fastest(folder: Path = RESULTS) -> tuple[float, str] | tuple[None]:
    """Milliseconds of SoftMask++'s fastest recorded step on a GPU at batch 64, and its name."""
    files = (folder / f"{name}.json" for name in ("step-gpu", "step-gpu-compiled"))
    found = [
        (float(row["step_ms"]), str(name))
        for file in files
        if file.is_file()
        for batch in json.loads(file.read_text())["batches"]
        for name, row in batch["rows"].items()
        if row and name.startswith("softmask") and batch["size"]["batch"] == BATCH
    ]
    return min(found) if found else (None,)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
