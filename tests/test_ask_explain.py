"""`softmask explain` and `score` through the program; what they say is what the model says."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from asked import TEXTS, write_table
from PIL import Image
from program import here, output_of

from softmask import SoftMask
from softmask.ask.explained import Explained, place, tiles
from softmask.ask.page import page
from softmask.ask.sheet import sheet
from softmask.explain import Explanation
from softmask.panels import glow, overlay


@pytest.fixture(scope="module")
def model(shared):
    return SoftMask.from_pretrained(shared)


class Page(HTMLParser):
    """Pictures, links and ids of a page; complains of tags that do not close."""

    VOID = ("img", "meta", "br")

    def __init__(self, text):
        super().__init__()
        self.images, self.links, self.ids, self.open = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "img":
            self.images.append(given)
        if tag == "a":
            self.links.append(given["href"])
        if "id" in given:
            self.ids.append(given["id"])
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_explain_draws_every_word_on_png_and_page(shared, folder, model, tmp_path):
    text = "a red <xylophones> & square"
    output_of("explain", "--model", shared, "--image", folder / "00.png", "--text", text,
        "--output", tmp_path / "out")  # fmt: skip
    png, html = sorted((tmp_path / "out").iterdir(), key=lambda path: path.suffix, reverse=True)
    assert re.fullmatch(r"00-[0-9a-f]{8}\.png", png.name)
    assert html == png.with_suffix(".html")
    written = html.read_text()
    found = model.explain(folder / "00.png", text)
    read = Page(written)
    assert len(read.images) == 2 + len(found.words)  # the picture and the sentence, too
    for word, masked, image in zip(
        found.words, found.masked.tolist(), read.images[2:], strict=True
    ):
        assert f"“{word}” looks most at" in image["alt"]
        assert f"match {masked:.3f}" in image["alt"]
    assert f"probability {found.match:.3f}" in written
    assert {link.removeprefix("#") for link in read.links} <= {*read.ids}
    assert len(read.links) == len(read.images) - 1  # every map can be reached and enlarged
    assert "<xylophones" not in written
    assert not re.search(r"(src|href)=.(http|/|file)", written)
    shown = Image.open(png)
    assert min(shown.size) > 320


def test_pictures_of_one_name_keep_what_was_drawn_of_each(shared, folder, tmp_path):
    (tmp_path / "other").mkdir()
    copy = shutil.copy(folder / "00.png", tmp_path / "other" / "00.png")
    for image, text in ((folder / "00.png", "a"), (copy, "a"), (copy, "b"), (copy, "b")):
        args = ("--image", image, "--text", text, "--output", tmp_path / "out")
        output_of("explain", "--model", shared, *args)
    assert len(list((tmp_path / "out").glob("00-*.png"))) == 3


def test_explain_of_a_table_is_one_page_and_numbered_pictures(shared, folder, tmp_path):
    rows = [("00.png", TEXTS[0]), ("deep/last.jpg", TEXTS[9]), ("00.png", TEXTS[1])]
    table = write_table(tmp_path / "pairs.csv", rows)
    out = tmp_path / "out"
    output_of("explain", "--model", shared, "--csv", table, "--images", folder, "--output", out,
        "--one_page", "true", "--layer", 1)  # fmt: skip
    names = {path.name for path in out.iterdir()}
    assert names == {"index.html", "0000-00.png", "0001-last.png", "0002-00.png"}
    text = (out / "index.html").read_text()
    assert text.count("<article") == 3
    assert "fusion layer 1" in text
    assert len({*Page(text).ids}) == len(Page(text).ids)


@pytest.mark.parametrize("one_page", ["true", "false"])
def test_rows_that_cannot_be_explained_leave_the_others(shared, folder, tmp_path, one_page):
    rows = [("00.png", "a"), ("<none>.png", "b"), ("01.png", " . "), ("02.png", "\u200b"),
            ("03.png", "c")]  # fmt: skip
    table, out = write_table(tmp_path / "pairs.csv", rows), tmp_path / "out"
    ended = here([*("explain", "--model", str(shared), "--csv", str(table), "--one_page", one_page),
                  *("--images", str(folder), "--output", str(out))])  # fmt: skip
    assert ended.code == 1
    *_, last = ended.err.splitlines()
    assert last.startswith("softmask: 2 of 5 pairs could not be explained, the first is <none>.png")
    assert "02.png, “\u200b”: The text" in ended.err
    kinds = "png" if one_page == "true" else "*"
    assert {path.stem for path in out.glob(f"0*.{kinds}")} == {"0000-00", "0002-01", "0004-03"}
    assert (out / "index.html").exists() == (one_page == "true")
    if one_page == "true":
        written = (out / "index.html").read_text()
        assert written.count("<article") == 3
        left_out = written.partition("Left out")[2]
        assert "&lt;none&gt;.png, “b”: The picture" in left_out
        assert left_out.count("<li>") == 2
        Page(written)


def test_a_table_of_which_nothing_can_be_explained_says_of_no_others(shared, folder, tmp_path):
    table = write_table(tmp_path / "pairs.csv", [("none.png", "a"), ("00.png", "\u200b")])
    ask = ("--csv", str(table), "--images", str(folder), "--output", str(tmp_path / "out"))
    ended = here(["explain", "--model", str(shared), *ask])
    assert ended.code == 1
    last = ended.err.splitlines()[-1]
    assert last.startswith("softmask: 2 of 2 pairs could not be explained")
    assert "written" not in last


def test_explain_by_hiding_says_so(shared, folder, model, tmp_path):
    out, text = tmp_path / "out", "a red square"
    output_of("explain", "--model", shared, "--image", folder / "00.png", "--text", text,
        "--output", out, "--by", "hiding")  # fmt: skip
    (written,) = (path.read_text() for path in out.glob("00-*.html"))
    assert "Where the model finds words" in written
    assert "by hiding. Red is where hiding the picture costs a word most" in written
    found = model.explain(folder / "00.png", text, by="hiding")
    for masked in found.masked.tolist():
        assert f"match {masked:.3f}" in written


def test_other_layers_have_other_maps(model, folder):
    maps = [model.explain(folder / "00.png", TEXTS[0], layer).maps for layer in (0, 1, 2)]
    assert not torch.allclose(maps[0], maps[1])
    assert not torch.allclose(maps[1], maps[2])


def explained(maps, size=(60, 40)):
    words = [f"word{number}" for number in range(len(maps))]
    found = Explanation(words, maps, 0.5, torch.linspace(0, 1, len(maps)))
    return Explained("some.png", " ".join(words), Image.new("RGB", size, (10, 200, 30)), 0, found)


def test_the_sentence_has_the_mean_map_of_its_words():
    maps = torch.rand(3, 4, 5)
    mean = (maps[0] + maps[1] + maps[2]) / 3
    drawn = tiles(explained(maps))
    expected = (mean - mean.min()) / (mean.max() - mean.min())
    torch.testing.assert_close(drawn[0].patches, expected)
    assert "mean" in drawn[0].note
    assert [tile.title for tile in drawn[1:]] == ["word0", "word1", "word2"]
    assert drawn[3].note == "masked: match 1.000"


def test_what_the_browser_lays_over_a_picture_is_what_the_png_shows():
    patches = torch.rand(3, 4)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8))
    laid = Image.alpha_composite(picture.convert("RGBA"), glow(patches, picture.size))
    drawn = np.asarray(overlay(picture, patches), float)
    assert np.abs(np.asarray(laid.convert("RGB"), float) - drawn).max() <= 3
    assert np.abs(drawn - np.asarray(picture, float)).max() > 50


def test_maps_of_a_page_are_spread_over_the_whole_picture():
    maps = torch.zeros(1, 2, 3)
    maps[0, 0, 2] = 1
    read = Page(page([explained(maps)], "m"))
    uri = read.images[2]["src"].removeprefix("data:image/png;base64,")
    layer = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))), int)
    height, width = layer.shape[:2]
    assert (int(read.images[2]["width"]), int(read.images[2]["height"])) == (60, 40)
    assert abs(width / height - 60 / 40) < 0.05
    alpha = layer[..., 3]
    assert alpha[0, -1] == alpha.max() > alpha[-1, 0] == alpha.min()
    assert "the upper right" in read.images[2]["alt"]


@pytest.mark.parametrize(
    ("at", "words"),
    [((0, 0), "the upper left"), ((1, 1), "the middle"), ((2, 1), "the lower centre")],
)
def test_places_have_words(at, words):
    patches = torch.zeros(3, 3)
    patches[at] = 1
    assert place(patches) == words
    assert place(torch.zeros(3, 3)) == "nowhere"


def test_long_texts_and_narrow_pictures_stay_on_the_sheet():
    one = explained(torch.rand(9, 2, 2), (10, 300))
    one = one._replace(text="supercalifragilistic" * 20 + " and more " * 40)
    assert sheet(one).width < 2000


def test_score_prints_what_the_model_says(shared, folder, model, tmp_path):
    rows = [("00.png", TEXTS[0]), ("01.png", TEXTS[0]), ("deep/last.jpg", TEXTS[9])]
    table = write_table(folder / "pairs.csv", rows)
    lines = output_of(
        "score", "--model", shared, "--pairs", table, "--json", "true", "--batch_size", 2
    )
    found = [json.loads(line) for line in lines.splitlines()]
    pictures, texts = [folder / name for name, _ in rows], [text for _, text in rows]
    match = model.score(pictures, texts)
    cosine = (model.embed_images(pictures) * model.embed_texts(texts)).sum(dim=1)
    assert [(row["image"], row["text"]) for row in found] == rows
    torch.testing.assert_close(torch.tensor([row["match"] for row in found]), match)
    torch.testing.assert_close(torch.tensor([row["cosine"] for row in found]), cosine)
    other = tmp_path / "pairs.jsonl"
    other.write_text("".join(json.dumps({"image": a, "text": b}) + "\n" for a, b in rows))
    args = ("--pairs", other, "--images", folder, "--json", "true", "--batch_size", 2)
    assert output_of("score", "--model", shared, *args) == lines


def test_score_of_one_picture_and_texts_is_a_table(shared, folder, model):
    texts = json.dumps(TEXTS[:2])
    out = output_of("score", "--model", shared, "--image", folder / "00.png", "--text", texts)
    expected = model.judge(folder / "00.png", TEXTS[:2])
    head, *lines = out.splitlines()
    assert head.split() == ["match", "cosine", "image", "text"]
    for line, text, match, cosine in zip(lines, TEXTS, *map(list, expected), strict=False):
        assert line.split()[:2] == [f"{match:.4f}", f"{cosine:.4f}"]
        assert line.endswith(text)
    assert len(lines) == 2


def test_a_model_is_asked_without_lightning(shared, folder, model):
    code = (
        "import sys; from softmask.program import main; main(sys.argv[1:]); "
        "import softmask.web.command, softmask.ask.export, softmask.towers; "
        "heavy = ('lightning', 'webdataset', 'albumentations', 'data_modules', 'tensorboard'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    args = ["score", "--model", shared, "--image", folder / "00.png", "--text", "a"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *table, heavy = done.stdout.splitlines()
    assert heavy == "[]"
    assert table[1].split()[0] == f"{float(model.score(folder / '00.png', 'a')):.4f}"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("explain", "--image", "{}/none.png", "--text", "a"), "none.png"),
        (("explain", "--image", "{}/bad.jpg", "--text", "a"), "bad.jpg"),
        (("explain", "--image", "{}/00.png", "--text", "a", "--layer", "3"), "layer=0..2"),
        (("explain", "--image", "{}/00.png", "--text", " "), "no token"),
        (("explain", "--image", "{}/00.png"), "--text TEXT"),
        (("explain", "--csv", "{}/empty.csv"), "has no rows"),
        (("score", "--pairs", "{}/wrong.csv"), "no column 'text'.*image, caption"),
        (("score", "--pairs", "{}/short.csv"), "text in line 2 .* is None"),
        (("score", "--pairs", "{}/none.csv"), "none.csv"),
        (("score", "--pairs", "{}/junk.jsonl"), "Line 2 of .* no JSON"),
        (("score", "--pairs", "{}/00.png"), "neither .csv nor .jsonl"),
        (("score", "--image", "{}/00.png", "--text", "a", "--device", "cuda:99"), "cuda:99"),
        (("score", "--image", "{}/00.png", "--text", "a", "--device", "warp"), "warp"),
        (("score",), "--pairs TABLE"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_paragraph(shared, folder, tmp_path, args, words):
    (folder / "bad.jpg").write_bytes(b"junk")
    write_table(folder / "empty.csv", [])
    write_table(folder / "wrong.csv", [("00.png", "a")], ("image", "caption"))
    (folder / "short.csv").write_text("image,text\n00.png\n")
    (folder / "junk.jsonl").write_text('{"image": "00.png", "text": "a"}\nmore\n')
    verb, *rest = (arg.format(folder) for arg in args)
    output = ["--output", str(tmp_path / "out")] if verb == "explain" else []
    ended = here([verb, "--model", str(shared), *rest, *output])
    assert ended.code == 1
    assert ended.err.startswith("softmask: ")
    assert re.search(words, ended.err.splitlines()[-1])
    assert "Traceback" not in ended.err
    assert ended.err.count("\n") == 1, ended.err
