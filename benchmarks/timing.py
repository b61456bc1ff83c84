"""How a rival of `benchmarks.step` is timed, and one after another on a GPU."""

import gc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks import gpu
from benchmarks.calls import counted
from benchmarks.presets import Plan, Row
from benchmarks.rivals import Rival, timed
from benchmarks.sizes import StepSize

GIGAFLOP = 317.1
"""Of one sample of the full size, whatever tricks save: a plain SoftMask++ at 30 tokens."""
PEAK = 790.0
"""TFLOP/s of bfloat16 matrix products that an H200 was seen to reach."""
Result = dict[str, Any]
Timed = tuple[Mapping[str, Result], Mapping[str, list[float]]]
"""What is to be known of each rival, and the seconds of its steps, by name."""


def alone(plan: Plan, lavis: Path | None) -> Iterator[Timed]:
    """Time one rival after another, each with the whole memory of the device.

    Args:
        plan: whom.
        lavis: where LAVIS lies.

    Yields:
        What was found so far, after each rival.
    """
    found: dict[str, Result] = {}
    taken: dict[str, list[float]] = {}
    for name, row in plan.rows.items():
        try:
            found[name], taken[name] = _alone(plan, row.build(plan.size, lavis, plan.device), row)
            print(f"{plan.size.batch} {name}: {found[name]['step_ms']} ms", flush=True)
        except (RuntimeError, torch.OutOfMemoryError) as error:
            print(f"{plan.size.batch} {name} failed: {error}", flush=True)
        yield found, taken
        gc.collect()
        torch.cuda.empty_cache()
    compare({name: row["parameters"] for name, row in found.items()}, plan.size)


def _alone(plan: Plan, rival: Rival, row: Row) -> tuple[Result, list[float]]:
    first = gpu.first_seconds(rival.step)
    runs = [gpu.seconds(rival.step, plan.rounds, plan.warmup) for _ in range(plan.repeats)]
    taken = [each for run in runs for each in run]
    fast = speed(taken, plan.size, plan.device)
    works = gpu.kernel_ms(rival.step)
    found = {
        "parameters": rival.parameters(),
        **fast,
        "runs_ms": [round(1000 * median(run), 3) for run in runs],
        "first_s": first,
        "kernel_ms": round(works, 3),
        "idle": round(max(0.0, 1 - works / float(fast["step_ms"] or 1)), 4),
        "peak_gib": gpu.peak_gib(rival.step),
        **look(rival, gpu.now, whole=not (row.compiled or row.replayed)),
        "host_syncs": gpu.waits(rival.step),
    }
    return found, taken


def compare(parameters: Mapping[str, int], size: StepSize) -> None:
    """Refuse models that do not train as many parameters, by name.

    BERT's two token types, whose sum with everything is a constant, are LAVIS's lack.
    """
    types = 2 * size.width
    all_of = {n: count + (types if n.startswith("lavis") else 0) for n, count in parameters.items()}
    assert len(set(all_of.values())) == 1, f"not as many parameters are trained: {all_of}"


def look(
    rival: Rival, clock: Callable[[], float], *, whole: bool = True
) -> dict[str, float | int | None]:
    """Take two steps more, to see what one is made of.

    Args:
        rival: whose step.
        clock: gives seconds.
        whole: whether its parts and calls can be seen; else they are None.

    Returns:
        Shares of Grad-CAM and of optimiser and twins in it, None where there is none; how often
        the host waited for a value; calls of kernels.
    """
    names = ("cam_share", "cam_ms", "update_share", "update_ms", "host_syncs", "calls")
    if not whole:
        return dict.fromkeys(names)
    taken: dict[str, float] = {}
    start = clock()
    with timed(rival.parts(), clock, taken):
        rival.step()
    seconds = clock() - start
    # Another one: counting takes its own time.
    learning, update = counted(rival.learn), counted(rival.update)
    cam, moved = taken.get("cam"), taken["optimizer"] + taken["twins"]
    return {
        "cam_share": None if cam is None else round(cam / seconds, 4),
        "cam_ms": None if cam is None else round(1000 * cam, 3),
        "update_share": round(moved / seconds, 4),
        "update_ms": round(1000 * moved, 3),
        # The optimiser reads its own count of steps, which is never on the device.
        "host_syncs": learning.waits,
        "calls": sum((learning.works + update.works).values()),
    }


def speed(taken: list[float], size: StepSize, device: str) -> dict[str, float | None]:
    """Give what seconds of steps say: medians, and MFU on a GPU."""
    seconds = median(taken)
    flops = size.batch / seconds * GIGAFLOP * 1e9
    return {
        "step_ms": round(1000 * seconds, 3),
        "fastest_ms": round(1000 * min(taken), 3),
        "samples_per_s": round(size.batch / seconds, 3),
        "steps": len(taken),
        "mfu": round(flops / PEAK / 1e12, 4) if device == "cuda" else None,
    }
