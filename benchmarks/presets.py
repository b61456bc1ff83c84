"""Whom `benchmarks.step` races, at which sizes, and how often."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import now
from benchmarks.rivals import Alone, Lavis, Ours, Rival
from benchmarks.sizes import StepSize
from softmask.nn import checkpoint_blocks
from softmask.tasks import PretrainTask
from softmask.tasks.replay import Replay

ALBEF = {"gamma": 0.0, "match_ids": False}
"""conf/overlay/albef.yaml's contrast."""
Precision = Callable[[], contextlib.AbstractContextManager[Any]]


def bf16() -> contextlib.AbstractContextManager[Any]:
    """Lightning's bf16-mixed."""
    return torch.autocast("cuda", dtype=torch.bfloat16)


@contextlib.contextmanager
def tf32() -> Iterator[None]:
    """Matrix products of the forward pass in TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision(before)


@dataclass(frozen=True)
class Row:
    """One rival.

    Args:
        contrast: of ours.
        soft_mask: weight of ours.
        own_draw: whether MLM masks the text for itself.
        compiled: whether ours is compiled.
        replayed: whether ours is replayed from a CUDA graph.
        recomputed: whether ours recomputes its blocks in the backward pass.
        lavis: whether it is LAVIS instead.
        keeps: whether its process keeps freed memory, as this project's program does; on a CPU.
        precision: entered around the forward pass.
    """

    contrast: Mapping[str, Any]
    soft_mask: float = 0.0
    own_draw: bool = True
    compiled: bool = False
    replayed: bool = False
    recomputed: bool = False
    lavis: bool = False
    keeps: bool = True
    precision: Precision = contextlib.nullcontext

    def build(self, size: StepSize, lavis: Path | None, device: str) -> Rival:
        """Build it at a size on a device."""
        if self.lavis:
            assert lavis is not None
            return Lavis(size, lavis, device=device, precision=self.precision)
        return self.ours(size, device)

    def ours(self, size: StepSize, device: str, kind: type[PretrainTask] = Alone) -> Ours:
        """Build ours, whose task is of a kind."""
        made = Ours(
            size,
            self.contrast,
            soft_mask=self.soft_mask,
            own_draw=self.own_draw,
            compiled=self.compiled,
            device=device,
            precision=self.precision,
            kind=kind,
        )
        if self.recomputed:
            checkpoint_blocks(made.task)
        if self.replayed:
            Replay(made.task)
        return made


@dataclass(frozen=True)
class Plan:
    """What a preset does at one size.

    Args:
        size: of the step.
        rows: the rivals by name.
        rounds: that count.
        warmup: rounds before them.
        repeats: how often all is done.
        device: where.
    """

    size: StepSize
    rows: Mapping[str, Row]
    rounds: int
    warmup: int = 1
    repeats: int = 1
    device: str = "cpu"

    def clock(self) -> Callable[[], float]:
        """CPU time, or wall time once the device is done."""
        return now if self.device == "cuda" else time.process_time


def plans(preset: str, compiled: bool = False) -> tuple[Plan, ...]:
    """Give a preset's plans.

    Args:
        preset: cpu-small, cpu-full or gpu.
        compiled: add ours with compiled blocks; on a GPU, time nothing else.
    """
    modes = {
        "albef": Row(ALBEF),
        "masks": Row(ALBEF, soft_mask=1.0),
        "softmask": Row({"gamma": 2.0}, soft_mask=1.0, own_draw=False),
    }
    lavis = {"lavis": Row({}, lavis=True, keeps=False)}
    if preset == "gpu":
        modes = {name: replace(row, precision=bf16) for name, row in modes.items()}
        return _compiled(modes) if compiled else _on_gpu(modes, lavis)
    if compiled:
        modes |= {f"{name}/compiled": replace(row, compiled=True) for name, row in modes.items()}
    modes["albef/bf16 twins"] = Row({**ALBEF, "twins_bf16": True})
    kept = {"lavis/kept": replace(lavis["lavis"], keeps=True)}
    if preset == "cpu-small":
        small = StepSize(
            64, width=192, layers=2, text_layers=2, fusion_layers=2, image=64, queue=1024
        )
        return (Plan(small, modes | lavis | kept, rounds=3, warmup=2),)
    # Apart: all of them do not fit into the memory of a small machine.
    apart = {"albef": modes["albef"], "masks": modes.pop("masks")} | kept
    parts = (modes | lavis, apart)
    return tuple(Plan(StepSize(4), rows, rounds=3, warmup=2) for rows in parts)


def _on_gpu(modes: Mapping[str, Row], lavis: Mapping[str, Row]) -> tuple[Plan, ...]:
    """All at batch 64, what matters at larger ones; first what matters most."""
    replayed = {f"{name}/replayed": replace(row, replayed=True) for name, row in modes.items()}
    in_less = {
        f"lavis/{way.__name__}": replace(lavis["lavis"], precision=way) for way in (bf16, tf32)
    }
    rows = {**replayed, **lavis, **in_less, **modes}
    first = (*replayed, *lavis, "lavis/bf16", "albef", "softmask")
    larger = {n: rows[n] for n in ("softmask/replayed", "albef/replayed", "lavis/bf16")}
    larger["softmask/recomputed"] = replace(modes["softmask"], recomputed=True)
    plan = Plan(StepSize(64), rows, rounds=30, warmup=10, repeats=2, device="cuda")
    short = replace(plan, rows=larger, rounds=10, warmup=5)
    return (
        replace(plan, rows={name: rows[name] for name in first}),
        *(replace(short, size=StepSize(batch)) for batch in (256, 128)),
        replace(plan, rows={name: row for name, row in rows.items() if name not in first}),
    )


def _compiled(modes: Mapping[str, Row]) -> tuple[Plan, ...]:
    """Apart, for compiling takes longer than all the rest."""
    modes = {f"{name}/compiled": replace(row, compiled=True) for name, row in modes.items()}
    rows = {f"{name}/replayed": replace(row, replayed=True) for name, row in modes.items()}
    first = {n: rows[n] for n in ("softmask/compiled/replayed", "albef/compiled/replayed")}
    plan = Plan(StepSize(64), first, rounds=20, warmup=5, repeats=2, device="cuda")
    rows["softmask/compiled"] = modes["softmask/compiled"]
    rest = {name: row for name, row in rows.items() if name not in first}
    larger = (replace(plan, size=StepSize(batch), rounds=10) for batch in (256, 128))
    return (plan, *larger, replace(plan, rows=rest))
