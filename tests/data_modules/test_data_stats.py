import base64
import json
import re
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from fake import write_fake_pairs
from schemas import picture

from data_modules.commands import main
from data_modules.contents import captions
from data_modules.headers import read_header
from data_modules.histogram import BARS, bins, histogram
from data_modules.shards import ShardSet
from data_modules.stats import summary
from data_modules.write import Pair, write_shards
from softmask.errors import InputError
from softmask.tokenizer import load_tokenizer


def stats(folder, *flags):
    output = folder / "stats"
    main(["stats", "--path", str(folder), "--output", str(output), *map(str, flags)])
    return json.loads((output / "stats.json").read_text()), (output / "stats.html").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    write_fake_pairs(folder, 30, captions=2)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return stats(folder)


def test_figures_are_those_of_plain_loops(folder, found):
    report, _ = found
    shards, tokenizer = ShardSet(str(folder)), load_tokenizer()
    samples = [shards.read(position) for position in range(len(shards))]
    texts = [text for sample in samples for text in captions(sample)]
    words = [word for text in texts for word in re.split(r"[ ,]+", text)]
    lengths = [len(text.split(" ")) for text in texts]
    tokens = [len(tokenizer.tokenize(text)) for text in texts]
    sides = [min(read_header(s.columns["png"])[1:3]) for s in samples]
    assert (report["samples"], report["captions"], report["shards"]) == (30, 60, 4)
    assert report["bytes"] == sum(len(data) for s in samples for data in s.columns.values())
    assert report["hash"] == json.loads((folder / "index.json").read_text())["hash"]
    for name, values in (
        ("words per caption", lengths),
        ("tokens per caption", tokens),
        ("captions per picture", [2] * 30),
        ("short side in pixels", sides),
    ):
        row = report["lengths"][name]
        assert row["mean"] == pytest.approx(np.mean(values))
        assert (row["least"], row["most"]) == (min(values), max(values))
        assert row["histogram"] == {str(k): v for k, v in sorted(Counter(values).items())}
    assert report["vocabulary"]["distinct_words"] == len(set(words))
    assert report["vocabulary"]["words"] == len(words)
    assert dict(report["vocabulary"]["most_common"])["red"] == words.count("red")
    assert report["vocabulary"]["tokens"] == sum(tokens)
    assert report["formats"] == {"PNG": 30}
    assert report["faults"] == {}
    assert report["cut_share"] == 0


def test_quantiles_are_those_of_numpy():
    values = np.random.default_rng(0).integers(5, 90, 1001)
    row = summary(Counter(map(int, values)))
    for name, share in (("p5", 5), ("median", 50), ("p95", 95)):
        assert row[name] == np.percentile(values, share, method="inverted_cdf")


def test_workers_and_parts_of_the_set(folder, found, monkeypatch):
    monkeypatch.setattr("data_modules.stats.CHUNK", 7)
    assert stats(folder, "--workers", 2)[0] == found[0]
    report, page = stats(folder, "--limit", 10, "--pictures", 3)
    assert (report["samples"], report["looked_at"], report["captions"]) == (30, 10, 20)
    assert "of them looked at" in page
    assert page.count("<figure") == 3


def odd(folder):
    def pair(key, image, text):
        return Pair(key, image, "jpg", [text], {})

    write_shards(
        [
            pair("good", picture(0), "a cat"),
            pair("none", b"no picture", "a dog"),
            pair("strange", picture(1), "<b>\u16a0\u16a1 & \"quoted\" 'cat'</b>"),
            pair("long", picture(2), "cat " * 40),
        ],
        folder,
    )
    return folder


def test_faults_unknown_words_and_long_captions(tmp_path):
    report, page = stats(odd(tmp_path), "--max_tokens", 26)
    assert sum(report["faults"].values()) == 1
    assert report["vocabulary"]["unknown_share"] > 0
    assert "\u16a0\u16a1" in report["vocabulary"]["unknown"][0][0]
    assert report["cut_share"] == 0.25
    assert report["lengths"]["words per caption"]["most"] == 40
    assert report["lengths"]["width in pixels"]["histogram"] == {"40": 1, "41": 1, "42": 1}
    assert "no picture" in page
    assert "<b>\u16a0" not in page


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags, self.outside, self.images = [], Counter(), [], []

    def handle_starttag(self, tag, attributes):
        self.tags[tag] += 1
        given = dict(attributes)
        self.images += [given] if tag == "img" else []
        self.outside += [v for k, v in attributes if k in ("src", "href") and v[:5] != "data:"]
        if tag not in ("meta", "img", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in ("rect", "line"):
            return
        assert self.open.pop() == tag


def test_the_page_stands_alone(found):
    report, page = found
    reader = Reader()
    reader.feed(page)
    assert reader.open == [], "every tag is closed"
    assert reader.outside == []
    assert "http" not in page
    assert "@import" not in page
    assert 'name="viewport"' in page
    assert reader.tags["svg"] == len(report["lengths"]) == 6
    assert page.count('role="img" aria-label="Histogram of ') == 6
    assert len(reader.images) == 24
    for image in reader.images:
        assert len(image["alt"]) > 10
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert read_header(base64.b64decode(data)).kind == "PNG"


def test_pictures_of_the_page_are_small(tmp_path):
    data = picture(0, size=900)
    write_shards([Pair("a", data, "jpg", ["a cat"], {})], tmp_path)
    _, page = stats(tmp_path)
    shown = base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])
    header = read_header(shown)
    assert (header.width, header.height) == (160, 160)


def test_text_goes_to_the_terminal(folder, capsys):
    main(["stats", "--path", str(folder)])
    out = capsys.readouterr().out
    assert re.search(r"samples +30\n", out)
    assert re.search(r"captions per picture +2 +2 +2 +2 +2 +2\n", out)
    assert "[UNK]" in out


@pytest.mark.parametrize(
    "values", [[7], [0, 1], range(24), range(25), range(3, 1000), [1, 10**6], [5] * 9 + [100]]
)
def test_bins_hold_all_values(values):
    counts = Counter(values)
    found = bins(counts)
    assert len(found) <= BARS
    assert sum(count for _, _, count in found) == counts.total()
    for low, high, count in found:
        assert count == sum(often for value, often in counts.items() if low <= value <= high)
    assert [low for low, _, _ in found[1:]] == [high + 1 for _, high, _ in found[:-1]]
    assert histogram("x", counts).count("<rect") == len(found)


def test_options_that_cannot_be(folder):
    for flags in (("--limit", 0), ("--pictures", -1)):
        with pytest.raises(InputError, match="give 0 or more, 1 or more"):
            stats(folder, *flags)
