"""Figures in docs/scale.md are those of the recorded measurements."""

import json
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_page_shows_the_recorded_results(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    filled = runpy.run_path(str(ROOT / "docs/fill_scale.py"))["filled"]
    sys.modules.pop("fill_readme", None)
    scale, loader, step = (
        json.loads((ROOT / "benchmarks/results" / f"{name}.json").read_text())
        for name in ("scale", "loader-openstax", "step-gpu-compiled")
    )
    page = (ROOT / "docs/scale.md").read_text()
    assert filled(page, scale, loader, step) == page
    assert filled(page, {**scale, "scan_ms": 1e9}, loader, step) != page
    assert filled(page, scale, {**loader, "ours": 1.0}, step) != page
    assert filled(page, scale, loader, {"batches": step["batches"][:1]}) != page
