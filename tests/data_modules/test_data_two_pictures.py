"""`softmask data check` and `stats` of samples with two pictures; other dots are still told."""

import json

import pytest
from corpora import statements
from schemas import write_tar

from data_modules.check import check_shards
from data_modules.stats import write_stats
from data_modules.write import columns, write_shards


def check(folder):
    """Give the report and the exit code."""
    code = 0
    try:
        check_shards(str(folder), folder / "check.json")
    except SystemExit as end:
        code = end.code
    return json.loads((folder / "check.json").read_text()), code


def test_two_pictures_are_no_dotted_key(tmp_path):
    write_shards(statements(6), tmp_path / "good")
    report, code = check(tmp_path / "good")
    assert (code, report["good"], report["problems"]) == (0, 6, {})


@pytest.mark.parametrize(
    ("gone", "added", "reason"),
    [
        ("right.png", {}, "missing_picture"),
        ("right.png", {"right.png": b"junk"}, "unknown_picture"),
        ("", {"left.jpg": b"x"}, "many_pictures"),
        ("txt", {}, "missing_caption"),
        # The key a.left, not the left picture of a.
        ("right.png txt json", {"left.txt": b"a", "left.json": b"{}"}, "dotted_key"),
        ("left.png right.png", {"v2.png": b"x"}, "dotted_key"),
    ],
)
def test_what_two_pictures_lack_is_named(tmp_path, gone, added, reason):
    whole = columns(next(statements(1)))
    found = {k: v for k, v in whole.items() if k not in gone.split()} | added
    write_tar(tmp_path / "00000.tar", {f"a.{name}": data for name, data in found.items()})
    report, code = check(tmp_path)
    assert code == 1
    assert {name: p["count"] for name, p in report["problems"].items()} == {reason: 1}


def test_stats_count_and_show_both_pictures(tmp_path, capsys):
    write_shards(statements(5), tmp_path / "good")
    write_stats(str(tmp_path / "good"), tmp_path / "stats")
    assert "dotted" not in capsys.readouterr().out
    report = json.loads((tmp_path / "stats" / "stats.json").read_text())
    assert (report["samples"], report["captions"], report["faults"]) == (5, 5, {})
    assert report["formats"] == {"PNG": 10}
    page = (tmp_path / "stats" / "stats.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 5
    assert "no picture" not in page
