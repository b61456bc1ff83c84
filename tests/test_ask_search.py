"""`softmask embed` and `search` through the program, over folders, tables and shards."""

import json
import os
import re
import shutil
import signal
import time
from html import unescape

import numpy as np
import program
import pytest
import torch
from asked import TEXTS, write_model, write_table
from fake import write_fake_pairs
from program import here, output_of, refused
from pyarrow import parquet

from softmask import SoftMask
from softmask.ask import making
from softmask.ask.shards import open_shards
from softmask.program import main


@pytest.fixture(scope="module")
def model(shared):
    return SoftMask.from_pretrained(shared)


@pytest.fixture(scope="module")
def table(folder):
    rows = [(f"{number:02d}.png", TEXTS[number]) for number in range(6)]
    return write_table(folder / "pairs.csv", [*rows, ("00.png", "twice the same")])


@pytest.fixture(scope="module")
def index(shared, table, tmp_path_factory):
    output = tmp_path_factory.mktemp("index") / "features"
    embed(shared, output, "--csv", table, "--chunk", 4)
    return output


def embed(shared, output, *args):
    return output_of("embed", "--model", shared, "--output", output, *args)


def found(*args):
    return [json.loads(line) for line in output_of("search", *args, "--json", "true").splitlines()]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def keys(output, kind="images"):
    rows = [json.loads(line) for path in sorted(output.glob(f"{kind}-*.jsonl"))
            for line in path.read_text().splitlines()]  # fmt: skip
    return [row["key"] for row in rows]


def features(output, kind="images"):
    return torch.cat(
        [torch.from_numpy(np.load(path)) for path in sorted(output.glob(f"{kind}-*.npy"))]
    )


def test_features_of_a_folder_are_the_models_in_the_order_of_names(shared, folder, model, tmp_path):
    embed(shared, tmp_path / "out", "--images", folder, "--chunk", 4, "--batch_size", 3)
    names = sorted([*(f"{n:02d}.png" for n in range(9)), "deep/last.jpg"])
    assert keys(tmp_path / "out") == names
    expected = model.embed_images([folder / name for name in names])
    torch.testing.assert_close(features(tmp_path / "out"), expected)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "index.json",
        *(f"images-{n:05d}.{kind}" for n in range(3) for kind in ("npy", "jsonl")),
    }


def test_a_table_gives_distinct_pictures_and_texts(index, model):
    assert keys(index) == [f"{number:02d}.png" for number in range(6)]
    assert keys(index, "texts") == [*TEXTS[:6], "twice the same"]
    expected = model.embed_texts([*TEXTS[:6], "twice the same"])
    torch.testing.assert_close(features(index, "texts"), expected)


def test_parquet_and_half_precision_hold_the_same(shared, table, index, tmp_path):
    args = ("--csv", table, "--chunk", 4, "--what", "images")
    embed(shared, tmp_path / "p", *args, "--format", "parquet", "--store", "float16")
    embed(shared, tmp_path / "n", *args, "--store", "float16")
    tables = [parquet.read_table(path) for path in sorted((tmp_path / "p").glob("*.parquet"))]
    rows = [row for one in tables for row in one.to_pylist()]
    assert [row["key"] for row in rows] == keys(index)
    assert str(tables[0].schema.field("feature").type) == "fixed_size_list<element: halffloat>[8]"
    half = features(tmp_path / "n")
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), features(index), atol=1e-3, rtol=0)
    assert torch.equal(half, torch.tensor(np.stack([row["feature"] for row in rows])).half())
    question = ("--text", TEXTS[3], "--candidates", 0)
    hits = [found("--index", tmp_path / name, *question) for name in ("p", "n")]
    assert hits[0] == hits[1]


def test_search_orders_by_cosine_then_by_the_matching_head(index, model, folder):
    names = keys(index)
    text = model.embed_texts(TEXTS[2])[0]
    cosine = model.embed_images([folder / name for name in names]) @ text
    order = cosine.argsort(descending=True).tolist()
    plain = found("--index", index, "--text", TEXTS[2], "--candidates", 0)
    assert [hit["key"] for hit in plain] == [names[row] for row in order]
    assert [hit["rank"] for hit in plain] == [1, 2, 3, 4, 5, 6]
    assert all(hit["match"] is None for hit in plain)
    match = model.score([folder / name for name in names], TEXTS[2])
    assert len({round(float(value), 4) for value in match}) == len(match)
    first = sorted(order[:4], key=lambda row: -float(match[row]))
    assert first != order[:4]
    again = found("--index", index, "--text", TEXTS[2], "--candidates", 4, "--top", 5)
    assert [hit["key"] for hit in again] == [names[row] for row in [*first, order[4]]]
    for hit, row in zip(again, first, strict=False):
        assert hit["match"] == pytest.approx(float(match[row]), abs=1e-5)
        assert hit["cosine"] == pytest.approx(float(cosine[row]), abs=1e-5)


def test_search_finds_texts_for_a_picture_and_writes_pages(index, model, folder, tmp_path):
    texts = keys(index, "texts")
    match = model.score(folder / "03.png", texts)
    args = ("--index", index, "--image", folder / "03.png", "--candidates", 7)
    hits = found(*args, "--html", tmp_path / "texts.html")
    best = sorted(range(len(texts)), key=lambda row: -float(match[row]))
    assert [hit["key"] for hit in hits] == [texts[row] for row in best]
    page = (tmp_path / "texts.html").read_text()
    assert page.index(hits[0]["key"]) < page.index(hits[1]["key"])
    args = ("--index", index, "--text", "<b> & so", "--html", tmp_path / "deep" / "p.html")
    table = output_of("search", *args, "--top", 3)
    page = (tmp_path / "deep" / "p.html").read_text()
    assert page.count("<img alt=") == 3
    assert "<b> & so" not in page
    assert "<b> & so" in unescape(page)
    assert len(table.splitlines()) == 4


def test_shards_are_embedded_and_found_again(shared, tmp_path):
    write_fake_pairs(tmp_path / "shards", 10, captions=2)
    embed(shared, tmp_path / "out", "--shards", tmp_path / "shards", "--chunk", 4)
    assert len(keys(tmp_path / "out")) == 10
    texts = keys(tmp_path / "out", "texts")
    assert len(texts) == 20
    hits = found("--index", tmp_path / "out", "--text", texts[5], "--candidates", 10)
    assert re.fullmatch(r".*00000\.tar/0-0000\d|.*00001\.tar/0-0000\d", hits[0]["key"])
    assert [hit["match"] for hit in hits] == sorted((h["match"] for h in hits), reverse=True)
    open_shards.cache_clear()  # it has them open
    shutil.move(tmp_path / "shards", tmp_path / "elsewhere")
    args = ("--index", tmp_path / "out", "--text", texts[5], "--candidates", 10)
    assert "--images" in refused("search", *args)
    assert found(*args, "--images", tmp_path / "elsewhere") == hits


def test_parts_together_make_the_same_bytes(shared, table, index, tmp_path):
    args = ("--csv", table, "--chunk", 4)
    said = embed(shared, tmp_path / "out", *args, "--part", "2/2")
    assert "2 of 4 chunks are left to other parts, the first is images-00000" in said
    assert not (tmp_path / "out" / "index.json").exists()
    assert "not whole" in refused("search", "--index", tmp_path / "out", "--text", "a")
    embed(shared, tmp_path / "out", *args, "--part", "1/2")
    assert files(tmp_path / "out") == files(index)


def stopping_embed(args, most):
    """A run for a fresh process that stands still after so many chunks."""
    write, written = making.write_chunk, []

    def stopping(folder, stem, *rest):
        if len(written) == most:
            time.sleep(600)
        write(folder, stem, *rest)
        written.append(stem)

    making.write_chunk = stopping
    main(args)


def test_killed_it_goes_on_and_ends_with_the_same_bytes(shared, table, index, tmp_path):
    output = tmp_path / "out"
    args = ["embed", "--model", str(shared), "--output", str(output), "--csv", str(table)]
    args += ["--chunk", "4"]
    for wanted in (1, 2):  # whole chunks that a kill leaves, one more each time
        running = program.start(stopping_embed, (args, 1), tmp_path / str(wanted))
        end = time.monotonic() + 300
        while len([*output.glob("*.npy")]) < wanted and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.join()
        there = files(output)
        assert "index.json" not in there
        assert len([name for name in there if name.endswith(".npy")]) == wanted
        assert "same arguments" in refused("search", "--index", output, "--text", "a")
        (output / ".images-00001.npy.99999.partial").write_bytes(b"half a chunk")
    before = (output / "images-00000.npy").stat().st_mtime_ns
    ended = program.finish(program.start(stopping_embed, (args, 99), tmp_path / "last"))
    assert ended.code == 0, ended.err
    assert files(output) == files(index)
    assert (output / "images-00000.npy").stat().st_mtime_ns == before  # not made again


def test_other_arguments_do_not_go_on(shared, table, index):
    args = ("embed", "--model", shared, "--output", index, "--csv", table)
    said = refused(*args, "--chunk", 5)
    assert "was begun with" in said
    assert "another --output" in said
    assert "store" in refused(*args, "--chunk", 4, "--store", "float16")
    before = files(index)
    embed(shared, index, "--csv", table, "--chunk", 4)  # whole already
    assert files(index) == before


def test_an_index_of_another_model_is_refused(index, tmp_path):
    other = write_model(tmp_path / "other", seed=1)
    args = ("--index", index, "--text", "a")
    said = refused("search", *args, "--model", other)
    assert "of another model" in said
    assert str(other) in said


def test_the_same_weights_elsewhere_are_the_same_model(index, shared, tmp_path):
    shutil.copytree(shared, tmp_path / "copy")
    args = ("--index", index, "--text", TEXTS[0])
    assert found(*args, "--model", tmp_path / "copy") == found(*args)


def test_bad_pictures_stop_it_or_are_left_out(shared, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "in")
    (tmp_path / "in" / "05.png").write_bytes(b"junk")
    args = ("embed", "--model", shared, "--images", tmp_path / "in", "--chunk", 4)
    args = (*args, "--output", tmp_path / "out")
    said = refused(*args)
    assert "05.png" in said
    assert "--skip_bad true" in said
    assert len([*(tmp_path / "out").glob("*.npy")]) == 1  # the chunk before it is whole
    ended = here([*map(str, args), "--skip_bad", "true"])
    assert ended.code == 0
    assert "05.png" in ended.out + ended.err
    assert len(keys(tmp_path / "out")) == 9
    assert "05.png" not in keys(tmp_path / "out")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("embed", "--images", "{}/none"), "no folder"),
        (("embed", "--images", "{}/empty"), "holds no picture"),
        (("embed", "--csv", "{}/empty.csv"), "has no rows"),
        (("embed", "--csv", "{}/wrong.csv"), "neither a column 'image' nor 'text', but a, b"),
        (("embed", "--csv", "{}/lost.csv"), "lost.png"),
        (("embed", "--shards", "{}/none"), "none.*does not exist"),
        (("embed", "--images", "{}/them", "--what", "texts"), "no texts"),
        (("embed", "--images", "{}/them", "--part", "3/2"), "3/2"),
        (("embed", "--images", "{}/them", "--chunk", "0"), "chunk is 0"),
        (("embed",), "one source"),
        (("search", "--index", "{}/none", "--text", "a"), "holds no features"),
        (("search", "--index", "{}/index"), "one question"),
        (("search", "--index", "{}/index", "--text", "a", "--top", "0"), "top is 0"),
        (("search", "--index", "{}/index", "--text", " "), "no token"),
        (("search", "--index", "{}/index", "--image", "{}/them/00.png"), "not of texts"),
        (("search", "--index", "{}/cut", "--text", "a"), "images-00000.*cannot be read"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_paragraph(shared, bad, tmp_path, args, words):
    given = [arg.format(bad) for arg in args]
    model = ["--model", str(shared), "--output", str(tmp_path / "out")]
    ended = here([*given, *(model if given[0] == "embed" else [])])
    assert ended.code == 1
    last = ended.err.splitlines()[-1]
    assert last.startswith("softmask: ")
    assert re.search(words, last), last
    assert "Traceback" not in ended.err


@pytest.fixture(scope="module")
def bad(shared, folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("bad")
    (path / "empty").mkdir()
    shutil.copytree(folder, path / "them")
    write_table(path / "empty.csv", [])
    write_table(path / "wrong.csv", [("x", "y")], ("a", "b"))
    write_table(path / "lost.csv", [("lost.png", "y")])
    embed(shared, path / "index", "--images", path / "them")
    shutil.copytree(path / "index", path / "cut")
    data = (path / "cut" / "images-00000.npy").read_bytes()
    (path / "cut" / "images-00000.npy").write_bytes(data[:-50])
    return path
