"""Whom `benchmarks.step` races, at which sizes, and how often."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.rivals import Lavis, Ours, Rival
from benchmarks.sizes import StepSize

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
        lavis: whether it is LAVIS instead.
        precision: entered around the forward pass.
    """

    contrast: Mapping[str, Any]
    soft_mask: float = 0.0
    own_draw: bool = True
    compiled: bool = False
    lavis: bool = False
    precision: Precision = contextlib.nullcontext

    def build(self, size: StepSize, lavis: Path | None, device: str) -> Rival:
        """Build it at a size on a device."""
        if self.lavis:
            assert lavis is not None
            return Lavis(size, lavis, device=device, precision=self.precision)
        return Ours(
            size,
            self.contrast,
            soft_mask=self.soft_mask,
            own_draw=self.own_draw,
            compiled=self.compiled,
            device=device,
            precision=self.precision,
        )


@dataclass(frozen=True)
class Plan:
    """What a preset means.

    Args:
        sizes: one for each batch.
        rows: the rivals by name.
        rounds: that count.
        warmup: rounds before them.
        repeats: how often all is done.
        device: where.
    """

    sizes: tuple[StepSize, ...]
    rows: Mapping[str, Row]
    rounds: int
    warmup: int = 1
    repeats: int = 1
    device: str = "cpu"

    def clock(self) -> Callable[[], float]:
        """CPU time, or wall time once the device is done."""
        return _device_time if self.device == "cuda" else time.process_time


def _device_time() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def plan(preset: str, compiled: bool = False) -> Plan:
    """Give a preset's plan.

    Args:
        preset: cpu-small, cpu-full or gpu.
        compiled: add ours with compiled blocks.
    """
    modes = {
        "albef": Row(ALBEF),
        "masks": Row(ALBEF, soft_mask=1.0),
        "softmask": Row({"gamma": 2.0}, soft_mask=1.0, own_draw=False),
    }
    lavis = {"lavis": Row({}, lavis=True)}
    if compiled or preset == "gpu":
        modes |= {f"{name}/compiled": replace(row, compiled=True) for name, row in modes.items()}
    if preset == "cpu-small":
        small = StepSize(
            64, width=192, layers=2, text_layers=2, fusion_layers=2, image=64, queue=1024
        )
        return Plan((small,), modes | lavis, rounds=3)
    if preset == "cpu-full":
        return Plan((StepSize(4),), modes | lavis, rounds=2)
    modes = {name: replace(row, precision=bf16) for name, row in modes.items()}
    lavis |= {
        f"lavis/{way.__name__}": replace(lavis["lavis"], precision=way) for way in (tf32, bf16)
    }
    sizes = tuple(map(StepSize, (64, 128, 256)))
    return Plan(sizes, modes | lavis, rounds=30, warmup=10, repeats=2, device="cuda")
