"""The benchmark of a search, at a size where nothing is timed."""

import json
import runpy

import pytest
from asked import write_model

from benchmarks import search
from benchmarks.clock import ROOT
from softmask import SoftMask


@pytest.fixture
def config(tmp_path):
    return SoftMask.from_pretrained(write_model(tmp_path / "model")).config


def test_it_measures_a_real_index(config, tmp_path):
    (tmp_path / "index").mkdir()
    found = search.measure(tmp_path / "index", config, rows=50, rounds=1, candidates=3)
    parts = ("query", "compare", "query_reranked")
    assert set(found) == {
        "load_ms",
        *(f"{part}_ms" for part in parts),
        *(f"{part}_cpu_ms" for part in parts),
    }
    assert all(value >= 0 for value in found.values())


def test_it_says_what_was_missed():
    result = {"rows": 10_000, "threads": 2, "machine": "this", "candidates": 16, "load_ms": 20.0}
    result |= {"import_s": 2.5, "query_cpu_ms": 50.0, "compare_ms": 1.0, "compare_cpu_ms": 1.0}
    result |= {"query_reranked_ms": 3120.0, "query_reranked_cpu_ms": 5050.0}
    assert "at most 100 wanted: met" in search.report({**result, "query_ms": 99.0})
    said = search.report({**result, "query_ms": 120.0})
    assert "at most 100 wanted: missed" in said
    assert "importing SoftMask           2.5 s" in said
    assert "16 of them    3000.0 ms more (CPU 5000.0 ms)" in said


def test_an_import_takes_its_time():
    assert 0 < search.imported(times=1) < 600


def test_the_page_shows_the_record(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    page = runpy.run_path(str(ROOT / "docs/fill_performance.py"))
    record = json.loads((ROOT / "benchmarks/results/search-cpu.json").read_text())
    text = (ROOT / "docs/performance.md").read_text()
    assert page["searching"](record) in text
    assert "1,234.5" in page["searching"]({**record, "query_ms": 1234.5})
    assert page["searching"](None) == "Search: not measured.\n"
