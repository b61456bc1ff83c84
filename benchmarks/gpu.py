"""What only a GPU can tell of a step: memory, idle time, waits, the first steps."""

import time
import warnings
from collections.abc import Callable
from itertools import pairwise

import torch
from torch.profiler import ProfilerActivity, profile

FIRST = 5
"""Steps until all is compiled and every buffer is there."""
Step = Callable[[], object]


def now() -> float:
    """Seconds, once the device is done."""
    torch.cuda.synchronize()
    return time.perf_counter()


def first_seconds(step: Step) -> float:
    """Take the first steps, compiling what is to be compiled, and give their seconds."""
    start = now()
    for _ in range(FIRST):
        step()
    return round(now() - start, 3)


def seconds(step: Step, rounds: int, warmup: int) -> list[float]:
    """Seconds of each step by the device's clock, whose host runs ahead as it does in training.

    Args:
        step: warm or not.
        rounds: that count.
        warmup: before them.
    """
    for _ in range(warmup):
        step()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(rounds + 1)]  # type: ignore[no-untyped-call]
    marks[0].record()
    for mark in marks[1:]:
        step()
        mark.record()
    torch.cuda.synchronize()
    return [a.elapsed_time(b) / 1000 for a, b in pairwise(marks)]


def kernel_ms(step: Step, steps: int = 3) -> float:
    """Milliseconds of a step in which the device works, copies included.

    Args:
        step: warm.
        steps: over which it is averaged.
    """
    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as seen:
        for _ in range(steps):
            step()
        torch.cuda.synchronize()
    return float(sum(each.self_device_time_total for each in seen.key_averages()) / steps / 1000)


def waits(step: Step) -> int:
    """How often the host waits for the device in a step, by CUDA's own account."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("called a synchronizing" in str(each.message) for each in caught)


def peak_gib(step: Step) -> float:
    """The most memory of a step and of all that the device holds, in GiB."""
    torch.cuda.reset_peak_memory_stats()
    step()
    return round(torch.cuda.max_memory_allocated() / 2**30, 3)
