"""A run's page: nothing from elsewhere, everything escaped, figures as they were logged."""

import json
import re
import shutil
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise
from types import SimpleNamespace

import program
import pytest
from PIL import Image

from softmask.callbacks.page import RunPage
from softmask.curves import Chart, charts, draw, family, place, thinned, ticks
from softmask.events import read_events
from softmask.run_page import Panel, RunStory, report_tables, run_page

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that tags close in order; keeps texts by tag, attributes by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(fitted) -> Page:
    return Page((fitted / "report.html").read_text(encoding="utf-8"))


def test_page_of_a_run_needs_nothing_else(fitted, page):
    text = (fitted / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|<script|<link|url\(", text)
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))


def test_page_of_a_run_says_what_came_out(fitted, page):
    report = json.loads((fitted / "report.json").read_text())
    cells = page.texts["td"]
    for share, (low, high) in zip(
        [report["itm"]["t2i"][k] for k in ("r1", "r5")],
        [report["itm"]["t2i"]["interval"][k] for k in ("r1", "r5")],
        strict=True,
    ):
        assert f"{share:.4g}" in cells
        assert f"[{low:.4g}, {high:.4g}]" in cells
    for split, known in report["data"].items():
        assert f"data hash, {split}" in page.texts["th"]
        assert known in cells
    assert f"{report['parameters']:,}" in cells
    settings = (fitted / "config.yaml").read_text()
    assert settings in page.texts["pre"]
    assert any(f"softmask fit -c {fitted / 'config.yaml'}" in text for text in page.texts["pre"])


def test_page_of_a_run_draws_what_was_logged(fitted, page):
    logged = program.scalars(fitted)
    figures = [figure["aria-label"] for figure in page.all("svg") if "role" in figure]
    said = {label.partition(". ")[0] for label in figures}
    wanted = {family(tag) for tag in logged if not tag.startswith(("test/", "epoch"))}
    assert said == wanted
    assert {"train/loss", "train/temperature", "lr", "val/itm/i2t@"} <= said
    loss = logged["train/loss"]
    spoken = f"train/loss: {loss[0]:.4g} at step 0, {loss[3]:.4g} at step 3"
    assert any(spoken in label for label in figures)


def test_page_shows_panels_with_their_words(fitted, page):
    images = page.all("img")
    drawn = read_events(fitted).pictures
    assert len(images) == sum(min(len(each), 2) for each in drawn.values())  # first and last
    masks = [image["alt"] for image in images if image["alt"].startswith("Where the word")]
    assert len(masks) == len(drawn["soft_mask/val"]) + len(drawn["soft_mask/test"])
    assert all("[" in alt and "match 0." in alt for alt in masks)
    assert all(len(image["alt"]) > 20 for image in images)


def test_headings_go_down_step_by_step(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_everything_is_escaped():
    bad, data = "<b>\"&'</b>", BytesIO()
    Image.new("RGB", (30, 20)).save(data, "png")
    story = RunStory(
        bad,
        {bad: bad},
        {"corpus": bad, bad: bad, "n": 1, "per": {bad: 0.5, "interval": {bad: [0.25, 0.75]}}},
        {f"train/{bad}": {0: 1.0}, f"val/{bad}": {0: 1.0}},
        [Panel(bad, data.getvalue(), bad)],
        bad,
        bad,
    )
    page = Page(run_page(story))
    assert run_page(story).count("<b>") == 2  # the last values in the legends
    image = page.all("img")[0]
    assert image["alt"] == bad
    assert (image["width"], image["height"]) == ("30", "20")  # its place is kept while it loads
    assert bad in page.texts["title"]


def test_page_of_nothing_stands():
    text = run_page(RunStory("t", {}, {}, {}, [], "softmask test", ""))
    assert "Not tested yet" in text
    assert "Nothing was trained" in text
    assert "Nothing was drawn" in text


def test_tables_of_a_report_keep_its_places():
    report = {
        "accuracy": 0.5,
        "unknown": None,
        "interval": {"accuracy": [0.25, 0.75]},
        "by": {"kind": {"x": 1}},
        "listed": [1, 2],
    }
    assert report_tables(report) == {
        "": [("accuracy", "0.5", "[0.25, 0.75]"), ("unknown", "not known", "")],
        "by/kind": [("x", "1", "")],
    }


def test_a_page_that_fails_costs_no_run(corpus, tmp_path):
    (tmp_path / "run" / "report.html").mkdir(parents=True)
    with pytest.warns(UserWarning, match=r"report\.html could not be written \(IsADirectoryError"):
        ended = program.here(program.arguments("fit", corpus, tmp_path))
    assert ended.code == 0
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()
    assert "Page:" not in ended.out


def test_report_of_other_weights_is_not_shown(corpus, fitted, tmp_path):
    shutil.copytree(fitted, tmp_path / "run")
    args = program.arguments("fit", corpus, tmp_path)
    assert program.here([*args, "--trainer.max_steps", "1"]).code == 0
    assert "Not tested yet" in (tmp_path / "run" / "report.html").read_text()


def test_families_share_a_chart():
    tags = ("train/loss", "train/accuracy/pairs", "val/itc/i2t@10", "lr/matrices", "perf/mfu")
    assert [family(tag) for tag in tags] == [
        "train/loss",
        "train/accuracy",
        "val/itc/i2t@",
        "lr",
        "perf/mfu",
    ]
    scalars = {tag: {0: 1.0} for tag in tags} | {"train/nan": {0: float("nan")}, "epoch": {0: 0.0}}
    found = charts(scalars)
    assert found[0].title == "train/loss"
    assert found[1].lines == {"pairs": {0: 1.0}}
    assert len(found) == len(tags)


def test_a_curve_is_drawn_where_its_values_are():
    drawn = draw(Chart("x", {"x": {0: 0.0, 5: 10.0, 10: 5.0}}))
    points = re.findall(r'points="([^"]*)"', drawn)[0].split()
    (x0, y0), (x1, y1), (x2, y2) = ([float(v) for v in point.split(",")] for point in points)
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y0 - y1 == pytest.approx(2 * (y2 - y1))
    assert y1 < y2 < y0  # up is less


def test_a_long_curve_keeps_its_ends_and_its_peaks():
    line = {step: float(step % 7) for step in range(10_000)} | {7777: 99.0, 3333: -99.0}
    kept = thinned(line)
    assert len(kept) < 310
    assert kept == sorted(kept)
    assert {(0, 0.0), (9_999, line[9_999]), (7777, 99.0), (3333, -99.0)} <= set(kept)
    assert thinned({0: 1.0, 1: 2.0}) == [(0, 1.0), (1, 2.0)]


@pytest.mark.parametrize("ends", [(0, 1), (-3.2, 17.9), (1e-5, 1e-4), (99.0, 99.5), (0, 4e6)])
def test_ticks_are_round_and_inside(ends):
    low, high = ends
    found = ticks(low, high)
    assert 2 <= len(found) <= 6
    assert all(low <= value <= high + 1e-9 for value in found)
    assert all(len(f"{value:.3g}") <= 8 for value in found)
    assert ticks(2.0, 2.0) == [2.0]


def test_figures_are_in_the_order_of_their_numbers():
    tags = ["val/itc/i2t@10", "val/itc/i2t@5", "val/recall", "val/itc/i2t@1"]
    assert sorted(tags, key=place) == ["val/recall", *(f"val/itc/i2t@{k}" for k in (1, 5, 10))]


def test_a_page_that_is_broken_off_leaves_the_one_before(tmp_path, monkeypatch):
    def broken_off(*_):
        raise KeyboardInterrupt

    page = RunPage()
    page._folder = tmp_path
    (tmp_path / "report.html").write_text("before")
    monkeypatch.setattr(page, "_story", lambda *_: RunStory("t", {}, {}, {}, [], "c", "s"))
    monkeypatch.setattr("os.replace", broken_off)
    trainer = SimpleNamespace(fast_dev_run=False, is_global_zero=True)
    with pytest.raises(KeyboardInterrupt):
        page.on_fit_end(trainer, None)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]
