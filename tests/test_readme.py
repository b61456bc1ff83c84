"""Figures in the README are those of the recorded run."""

import json
import runpy
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_readme_shows_the_recorded_result():
    filled = runpy.run_path(str(ROOT / "docs/fill_readme.py"))["filled"]
    report = json.loads((ROOT / "docs/results/demo/report.json").read_text())
    readme = (ROOT / "README.md").read_text()
    assert filled(readme, report) == readme
    assert filled(readme, {**report, "steps": -1}) != readme
