"""CPU time of rival functions in turns, and what it was taken on."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
Rivals = Mapping[str, Callable[[], object]]


def race(
    rivals: Rivals,
    rounds: int,
    clock: Callable[[], float] = time.process_time,
    warmup: int = 1,
) -> dict[str, list[float]]:
    """Give each rival's seconds of each round; they take turns, so load hits all alike.

    Args:
        rivals: to run, by name.
        rounds: that count.
        clock: gives seconds; the CPU's unless told.
        warmup: rounds that come first and are not counted: caches fill in them.
    """
    timed = {name: partial(seconds, run, clock) for name, run in rivals.items()}
    return in_turns(timed, rounds, warmup)


def seconds(run: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Run once and give what it took."""
    start = clock()
    run()
    return clock() - start


def in_turns(
    rivals: Mapping[str, Callable[[], float]], rounds: int, warmup: int = 1
) -> dict[str, list[float]]:
    """`race` of rivals that give their seconds themselves."""
    taken: dict[str, list[float]] = {name: [] for name in rivals}
    for number in range(warmup + rounds):
        for name, run in rivals.items():
            found = run()
            if number >= warmup:
                taken[name].append(found)
    return taken


def ratio(taken: Mapping[str, list[float]], above: str, below: str) -> float:
    """Give the median over the rounds of one rival's time over another's in the same round."""
    return median(a / b for a, b in zip(taken[above], taken[below], strict=True))


def machine() -> str:
    """Name the processor, its cores and Python."""
    names = [
        line.partition(":")[2].strip()
        for line in _read(Path("/proc/cpuinfo")).splitlines()
        if line.startswith("model name")
    ]
    name = names[0] if names else platform.processor() or platform.machine()
    return (
        f"{name}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )


def versions(*packages: str) -> dict[str, str]:
    """Give the installed version of each package."""
    return {name: version(name) for name in packages}


def resident_mib() -> float:
    """Give this process's resident memory in MiB; 0 where there is no /proc."""
    fields = _read(Path("/proc/self/statm")).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if fields else 0.0


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""
