"""What asking a model must not lose or mistake: users' files, whole outputs, whose features."""

import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from asked import TEXTS, write_pictures, write_table
from fake import write_fake_pairs
from PIL import Image
from program import here, output_of, refused

from softmask.ask import explain, export, plan
from softmask.ask.shards import open_shards
from softmask.program import main
from softmask.whole import write_text_whole

ODD = os.fsdecode(b"\xff.png")
"""A name of a file that is no UTF-8."""


@pytest.fixture
def folder(tmp_path):
    write_pictures(tmp_path / "them", 4)
    return tmp_path / "them"


def embed(shared, folder, output, *args):
    return output_of("embed", "--model", shared, "--images", folder, "--output", output, *args)


@pytest.mark.parametrize(("made", "asked"), [("bfloat16", "float32"), ("float32", "float16")])
def test_rounded_weights_are_the_same_model(shared, folder, tmp_path, made, asked):
    embed(shared, folder, tmp_path / "out", "--dtype", made)
    args = ("--index", tmp_path / "out", "--text", TEXTS[0], "--json", "true")
    assert len(output_of("search", *args, "--dtype", asked).splitlines()) == 4


def test_shards_that_became_others_are_not_searched(shared, tmp_path):
    write_fake_pairs(tmp_path / "shards", 10)
    output_of(
        "embed", "--model", shared, "--shards", tmp_path / "shards", "--output", tmp_path / "out"
    )
    open_shards.cache_clear()
    shutil.rmtree(tmp_path / "shards")
    write_fake_pairs(tmp_path / "shards", 10, seed=1)
    said = refused("search", "--index", tmp_path / "out", "--text", "a red square")
    open_shards.cache_clear()
    assert "not those that were embedded" in said
    assert "embed again" in said


@pytest.mark.parametrize("begun", [False, True])
def test_pictures_replaced_under_their_names_are_noticed(shared, folder, tmp_path, begun):
    ask = ("embed", "--model", shared, "--images", folder, "--chunk", 2, "--output", tmp_path / "o")
    output_of(*ask, *(("--part", "1/2") if begun else ()))
    output_of(*ask, *(("--part", "1/2") if begun else ()))  # nothing was replaced
    before = {path.name: path.read_bytes() for path in (tmp_path / "o").iterdir()}
    shutil.copy(folder / "00.png", folder / "01.png")
    said = refused(*ask)
    assert "Pictures were replaced" in said
    assert "another --output" in said
    assert {path.name: path.read_bytes() for path in (tmp_path / "o").iterdir()} == before


def test_a_picture_of_the_same_size_is_another_by_its_time(shared, folder, tmp_path):
    embed(shared, folder, tmp_path / "o")
    there = (folder / "00.png").stat()
    os.utime(folder / "00.png", ns=(there.st_atime_ns, there.st_mtime_ns + 10**9))
    args = ("--images", folder, "--output", tmp_path / "o")
    assert "Pictures were replaced" in refused("embed", "--model", shared, *args)
    os.utime(folder / "00.png", ns=(there.st_atime_ns, there.st_mtime_ns))
    embed(shared, folder, tmp_path / "o")


@pytest.mark.parametrize(("what", "said"), [("texts", None), ("images", "older version")])
def test_features_of_an_older_version_go_on_where_there_are_no_files(
    shared, folder, tmp_path, what, said
):
    write_table(folder / "pairs.csv", [("00.png", "a red square")])
    ask = ("embed", "--model", shared, "--csv", folder / "pairs.csv", "--what", what)
    output_of(*ask, "--output", tmp_path / "o")
    noted = json.loads((tmp_path / "o/index.json").read_text())
    del noted["plan"]["held"][what]["files"]
    (tmp_path / "o/index.json").write_text(json.dumps(noted))
    if said:
        assert said in refused(*ask, "--output", tmp_path / "o")
    else:
        output_of(*ask, "--output", tmp_path / "o")


def test_a_picture_that_is_asked_is_not_written_over(shared, folder):
    rows = [("00.png", "a"), ("0000-00.png", "a")]
    table = write_table(folder / "pairs.csv", rows)
    shutil.copy(folder / "00.png", folder / "0000-00.png")
    before = (folder / "0000-00.png").read_bytes()
    ask = ("explain", "--model", shared, "--csv", table)
    assert "give another --output" in refused(*ask, "--output", folder)
    assert (folder / "0000-00.png").read_bytes() == before


def test_what_is_explained_is_apart_by_picture_and_text(shared, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "others")
    shutil.copy(folder / "01.png", tmp_path / "others" / "00.png")

    def names(picture, text):
        ask = ("explain", "--model", shared, "--image", picture, "--text", text)
        before = {path.name for path in tmp_path.glob("o/*")}
        said = output_of(*ask, "--output", tmp_path / "o")
        new = {path.name for path in tmp_path.glob("o/*")} - before
        assert all(name in said for name in new)
        return new

    assert len(names(folder / "00.png", "a")) == 2
    assert len(names(tmp_path / "others" / "00.png", "a")) == 2
    assert len(names(folder / "00.png", "b")) == 2
    assert names(folder / "00.png", "a") == set()
    assert names(folder / ".." / folder.name / "00.png", "a") == set()


def broken_off(*_, **__):
    raise KeyboardInterrupt


def test_pages_and_pictures_are_whole_or_not_there(shared, folder, tmp_path, monkeypatch):
    ask = (
        "--model",
        shared,
        "--image",
        folder / "00.png",
        "--text",
        "a",
        "--output",
        tmp_path / "o",
    )
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", broken_off)
        assert here(["explain", *map(str, ask)]).code == 130
        with pytest.raises(KeyboardInterrupt):
            write_text_whole(tmp_path / "o" / "a.html", "page")
    assert [*(tmp_path / "o").iterdir()] == []
    output_of("explain", *ask)
    assert {path.suffix for path in (tmp_path / "o").iterdir()} == {".png", ".html"}


def test_a_record_of_an_export_stands_beside_its_own_files_alone(shared, tmp_path, monkeypatch):
    for name in ("export.json", "text.onnx", "mine.onnx"):
        (tmp_path / name).write_text("of another model")
    move = shutil.move

    def broken_off_at_the_second(source, target):
        if Path(target).name == "text.pt2":
            raise KeyboardInterrupt
        return move(source, target)

    monkeypatch.setattr(export.shutil, "move", broken_off_at_the_second)
    args = ["export", "--model", str(shared), "--output", str(tmp_path)]
    assert here(args).code == 130
    assert (tmp_path / "image.pt2").is_file()
    assert not (tmp_path / "export.json").exists()
    assert not (tmp_path / "text.onnx").exists()
    assert (tmp_path / "mine.onnx").exists()


def test_names_that_are_no_utf8_are_shown_with_escapes(shared, folder, tmp_path, monkeypatch):
    shutil.copy(folder / "00.png", folder / ODD)
    embed(shared, folder, tmp_path / "out")
    strict = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", strict)
    page = tmp_path / "hits.html"
    main(["search", "--index", str(tmp_path / "out"), "--text", "a", "--json", "true",
          "--html", str(page)])  # fmt: skip
    lines = strict.buffer.getvalue().decode().splitlines()
    assert ODD in [json.loads(line)["key"] for line in lines]
    assert "?.png" in page.read_text()


def test_parquet_names_what_it_cannot_hold(shared, folder, tmp_path):
    shutil.copy(folder / "00.png", folder / ODD)
    args = ("embed", "--model", shared, "--images", folder, "--output", tmp_path / "out")
    said = refused(*args, "--format", "parquet")
    assert "'\\udcff.png'" in said
    assert "--format npy" in said


def test_a_text_that_is_no_utf8_has_a_page(shared, folder, tmp_path):
    text = os.fsdecode(b"a \xff square")
    output_of("explain", "--model", shared, "--image", folder / "00.png", "--text", text,
        "--output", tmp_path / "out")  # fmt: skip
    (written,) = (tmp_path / "out").glob("00-*.html")
    assert "a ? square" in written.read_text()


def test_two_parts_that_end_together_leave_a_whole_index(shared, folder, tmp_path, monkeypatch):
    ask = ("embed", "--model", shared, "--images", folder, "--chunk", 2, "--output", tmp_path / "o")
    output_of(*ask, "--part", "1/2")
    (tmp_path / "o" / ".images-00001.npy.99998.partial").write_bytes(b"of a killed process")
    dump, ended = plan._dump, []

    def dump_while_the_other_ends(content, file):
        dump(content, file)
        if "model" in content and not ended:  # index.json, not yet by its name
            ended.append(True)
            with monkeypatch.context() as other:
                other.setattr(os, "getpid", lambda: 99999)
                output_of(*ask, "--part", "1/2")

    monkeypatch.setattr(plan, "_dump", dump_while_the_other_ends)
    output_of(*ask, "--part", "2/2")
    assert ended
    names = {path.name for path in (tmp_path / "o").iterdir()}
    assert names == {
        "index.json",
        *(f"images-0000{n}.{kind}" for n in (0, 1) for kind in ("npy", "jsonl")),
    }


def many(folder):
    """Options that explain three pairs on one page."""
    rows = [(f"0{n}.png", "a red square") for n in range(3)]
    table = write_table(folder / "pairs.csv", rows)
    return ("--csv", str(table), "--one_page", "true")


def test_a_page_of_many_pairs_keeps_pictures_as_large_as_they_are_shown(
    shared, folder, tmp_path, monkeypatch
):
    Image.new("RGB", (1500, 1000), "red").save(folder / "01.png")
    sizes, write = [], explain.page

    def watched(pairs, *rest):
        sizes.extend(pair.picture.size for pair in pairs)
        return write(pairs, *rest)

    monkeypatch.setattr(explain, "page", watched)
    output_of("explain", "--model", shared, *many(folder), "--output", tmp_path / "o")
    assert sizes == [(48, 32), (720, 480), (48, 34)]


def test_a_page_that_is_broken_off_holds_what_was_explained(shared, folder, tmp_path, monkeypatch):
    each, begun = explain.explain_pair, []

    def stopped_at_the_third(*args):
        begun.append(args)
        return each(*args) if len(begun) < 3 else broken_off()

    monkeypatch.setattr(explain, "explain_pair", stopped_at_the_third)
    ask = ("--model", str(shared), *many(folder), "--output", str(tmp_path / "o"))
    assert here(["explain", *ask]).code == 130
    assert (tmp_path / "o" / "index.html").read_text().count("<article") == 2
    assert len([*(tmp_path / "o").glob("*.png")]) == 2
