"""docs/results.md and its pictures are what the script makes of the recorded lines."""

import re
import runpy
import sys
from pathlib import Path

import measured
import pytest

from benchmarks.again import again_section

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "results.md"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    yield runpy.run_path(str(ROOT / "docs" / "fill_results.py"))
    sys.modules.pop("fill_readme", None)


def test_the_page_shows_the_recorded_lines(script):
    text, files = script["made"](PAGE.read_text(), script["read_records"](), script["read_again"]())
    assert text == PAGE.read_text()
    recorded = {file.name: file.read_text() for file in (ROOT / "docs/results").glob("*.svg")}
    assert files == recorded


def test_what_has_no_line_is_not_measured(script):
    text, files = script["made"](PAGE.read_text(), {})
    marks = re.findall(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", text, re.DOTALL)
    assert [name for name, _ in marks] == [
        *("answers", "emoji", "scenes", "photos", "maps", "shortcut", "focal"),
        *("cost", "time", "choices", "again", "defaults"),
    ]
    assert all("not measured" in said for _, said in marks)
    assert not files


def test_lines_come_into_their_sections(script):
    lines = [*measured.row("albef", [0.5, 0.52, 0.54]), *measured.row("all", [0.6, 0.62, 0.65])]
    lines += measured.row("focal", [0.49, 0.44, 0.53])  # worse, but for all we know by chance
    text, files = script["made"](PAGE.read_text(), {"emoji": lines})
    said = dict(re.findall(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", text, re.DOTALL))
    assert "| `all` - `albef` | 3 |" in said["emoji"]
    assert "significantly better than ALBEF: `all`; worse: none; not measured: " in said["emoji"]
    assert "On a machine; torch 2.0; commits abc." in said["emoji"]
    assert said["scenes"] == "not measured\n"
    for place in ("answers", "emoji", "defaults"):
        assert "**+10.3 [10.0, 11.0]**" in said[place]
    assert set(re.findall(r"\]\(results/(.*?)\)", said["emoji"])) == set(files)
    again, _ = script["made"](text, {"emoji": lines})
    assert again == text


def test_every_answer_points_at_a_section(script):
    text, _ = script["made"](PAGE.read_text(), {})
    headings = {line.removeprefix("## ").lower() for line in text.splitlines() if line[:3] == "## "}
    targets = re.findall(r"\]\(#(\w+)\)", text)
    assert len(targets) == 10
    assert set(targets) <= headings


def test_a_run_again_stands_beside_its_first():
    first = measured.row("focal", [0.5, 0.52, 0.54])
    near = measured.line("focal", 1, 0.63, commit="def")
    far = measured.line("focal", 2, 0.41)  # 2 points times 4.3 sqrt(2) are 12.2
    other = measured.line("focal", 1, 0.5, steps=200)
    said = again_section([near, far, other], [*first, *measured.row("albef", [0.9, 0.1])])
    rows = said.splitlines()[2:]
    assert len(rows) == 2  # the other one has no first
    assert "`focal`, seed 1 | 63.0 | 52.0 | 52.0 ± 2.0 | +11.0, as seeds do | abc, def" in rows[0]
    assert (
        "`focal`, seed 2 | 41.0 | 54.0 | 52.0 ± 2.0 | -13.0, **more than seeds do** | abc, abc"
        in rows[1]
    )
    alone = again_section([near], first[1:2])
    assert "| 63.0 | 52.0 | 52.0 | +11.0 |" in alone


def test_runs_of_choices_alone_stand_where_choices_do(script):
    rows = ("soft_mask", "soft_mask/layer0")
    lines = [line for row in rows for line in measured.row(row, [0.5, 0.6], preset="deep")]
    text, files = script["made"](PAGE.read_text(), {"emoji": lines})
    said = dict(re.findall(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", text, re.DOTALL))
    where = {name for name, each in said.items() if "deep on cpu" in each}
    assert where == {"answers", "maps", "choices", "defaults"}
    assert not files
