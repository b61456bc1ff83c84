"""Rivals in processes of their own, as they are raced on a CPU."""

import multiprocessing
from contextlib import contextmanager
from dataclasses import replace

import pytest
from fake_lavis import write_lavis
from raced import MODES, TINY, ours, tiny_plan

from benchmarks import apart, presets, step
from softmask.callbacks import KeptMemory


def test_lavis_is_run_from_its_folder(tmp_path):
    lavis = write_lavis(tmp_path / "wheel", ours().parameters() - 2 * TINY.width)
    found = step.measure(tiny_plan("albef", "lavis"), 1, lavis)
    assert found["lavis_over_albef"] > 0
    assert found["batches"][0]["rows"]["lavis"]["host_syncs"] == 1


def test_a_rival_that_cannot_be_built_is_named(tmp_path):
    with pytest.raises(RuntimeError, match="process of lavis has ended"):
        step.measure(tiny_plan("lavis"), 1, tmp_path / "nowhere")


@pytest.mark.parametrize("keeps", [True, False])
def test_a_process_keeps_memory_if_its_rivals_do(keeps, monkeypatch):
    told = []
    monkeypatch.setattr(apart, "keep_freed_memory", lambda: told.append(1))
    monkeypatch.setattr(apart.torch, "set_num_threads", lambda _: None)
    here, there = multiprocessing.Pipe()
    for word in ("parameters", "step", "look"):
        here.send((word, "albef"))
    here.close()
    apart.serve(there, tiny_plan("albef")[0], None, keeps)
    assert told == [1] * keeps


def test_who_keeps_memory_shares_no_process_with_who_does_not(monkeypatch):
    started = []

    @contextmanager
    def start(plan, _, keeps):
        started.append((set(plan.rows), keeps))
        yield None

    monkeypatch.setattr(apart, "_started", start)
    with apart.processes(presets.plans("cpu-small")[0], None):
        pass
    ours = {"albef", "albef/bf16 twins", "masks", "softmask"}
    assert started == [(ours, True), ({"lavis"}, False), ({"lavis/kept"}, True)]
    assert KeptMemory().keep  # as the program does unless told


def test_ratios_are_those_of_one_race():
    found = step.Found(dict.fromkeys(("albef", "lavis", "lavis/kept")), {}, {})
    found.add({"albef": {"at": 1}, "lavis": {"at": 1}}, {"albef": [1.0], "lavis": [4.0]})
    found.add({"albef": {"at": 2}, "lavis/kept": {"at": 2}}, {"albef": [2.0], "lavis/kept": [3.0]})
    assert found.ratios == {"lavis_over_albef": 4.0, "lavis_kept_over_albef": 1.5}
    assert found.rows == {"albef": {"at": 1}, "lavis": {"at": 1}, "lavis/kept": {"at": 2}}
    found.add({}, {"masks": [3.0]})  # of another race: better than nothing
    assert found.ratios["masks_over_albef"] == 3.0


def test_at_full_size_few_are_in_memory_at_once():
    first, then = presets.plans("cpu-full")
    assert set(first.rows) == {"albef", "albef/bf16 twins", "softmask", "lavis"}
    assert set(then.rows) == {"albef", "masks", "lavis/kept"}
    assert first == replace(then, rows=first.rows)
    assert MODES["albef"] == first.rows["albef"] == then.rows["albef"]
