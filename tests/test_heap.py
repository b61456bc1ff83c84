"""A training on a CPU asks the system for its memory once, not in each step."""

import json
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import training
from lightning.pytorch.accelerators import CPUAccelerator, CUDAAccelerator

from softmask import heap
from softmask.callbacks import KeptMemory, memory

GLIBC = platform.libc_ver()[0] == "glibc"
PAGES = """
import json, resource, sys
from softmask.heap import keep_freed_memory

told = keep_freed_memory() if sys.argv[1] == "keep" else None
faults, sizes = [], [100, 20, 60]  # MiB
for _ in range(8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [b"x" * (size << 20) for size in sizes]
    del held
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(json.dumps([told, faults]))
"""


def faults(word: str) -> tuple[bool | None, list[int]]:
    words = [sys.executable, "-c", PAGES, word]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    told, found = json.loads(ran.stdout)
    return told, found


@pytest.mark.skipif(not GLIBC, reason="other C libraries have other ways")
def test_freed_memory_is_there_for_the_next_step():
    told, kept = faults("keep")
    _, handed_back = faults("no")
    assert told is True
    # Large pages may make ten thousands of faults to hundreds; kept memory makes next to none.
    assert kept[-1] < handed_back[-1] / 5
    assert kept[-1] < kept[0] / 5


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(heap.platform, "libc_ver", lambda: ("", ""))
    assert heap.keep_freed_memory() is False


@pytest.mark.parametrize(
    ("keep", "accelerator", "stage", "told"),
    [
        (True, CPUAccelerator, "fit", 1),
        (True, CPUAccelerator, "test", 0),
        (True, CUDAAccelerator, "fit", 0),
        (False, CPUAccelerator, "fit", 0),
    ],
)
def test_it_is_for_trainings_on_cpus(monkeypatch, keep, accelerator, stage, told):
    calls = []
    monkeypatch.setattr(memory, "keep_freed_memory", lambda: calls.append(1))
    trainer = SimpleNamespace(accelerator=accelerator())
    KeptMemory(keep).setup(trainer, training.task(), stage)
    assert len(calls) == told
