"""Tables that are asked: names that no file can have, and columns that nobody wants."""

import json
import shutil

import pytest
from asked import write_table
from program import here, output_of, refused

from softmask.ask import sources

ODD = ["a\0.png", "a\ud800.png"]
"""Names that the system refuses before it looks for the file."""


@pytest.fixture(params=ODD, ids=["nul", "half"])
def table(folder, tmp_path, request):
    names = ["00.png", request.param, "01.png"]
    lines = [json.dumps({"image": name, "text": f"text of {name[:2]}"}) for name in names]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    return ("--csv", tmp_path / "pairs.jsonl", "--images", folder)


def keys(output, kind):
    rows = (output / f"{kind}-00000.jsonl").read_text().splitlines()
    return [json.loads(row)["key"] for row in rows]


def test_a_name_that_no_file_can_have_is_a_bad_picture(shared, table, tmp_path):
    args = ("embed", "--model", shared, *table, "--what", "images", "--output", tmp_path / "out")
    said = refused(*args)
    assert "cannot be read" in said
    assert "--skip_bad true" in said
    ended = here([*map(str, args), "--skip_bad", "true"])
    assert ended.code == 0
    assert "Left out: The picture" in ended.err
    assert keys(tmp_path / "out", "images") == ["00.png", "01.png"]


def test_a_name_that_no_file_can_have_leaves_the_other_pairs(shared, table, tmp_path):
    args = ("explain", "--model", shared, *table, "--output", tmp_path / "out")
    said = refused(*args, "--one_page", "true")
    assert "1 of 3 pairs could not be explained, the first is a" in said
    assert "All others are written" in said
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"0000-00.png", "0002-01.png", "index.html"}


def test_a_picture_of_a_configuration_that_no_file_can_be_is_named(shared, tmp_path):
    file = tmp_path / "ask.yaml"
    file.write_text(f'model: {shared}\nimage: "a\\0.png"\ntext: a\noutput: {tmp_path / "out"}\n')
    assert "cannot be read (embedded null byte)" in refused("explain", "--config", file)


def test_a_score_of_a_name_that_no_file_can_have_is_a_paragraph(shared, table):
    _, pairs, *images = table
    assert "cannot be read" in refused("score", "--model", shared, "--pairs", pairs, *images)


@pytest.mark.parametrize(
    ("what", "rows"),
    [
        ("images", [("00.png", ""), ("01.png", "a"), ("00.png", " ")]),
        ("texts", [("", "a red square"), ("none.png", "a"), ("", "a")]),
    ],
)
def test_columns_that_are_not_wanted_may_hold_anything(
    shared, folder, tmp_path, monkeypatch, what, rows
):
    table = write_table(tmp_path / "pairs.csv", rows)
    args = ("embed", "--model", shared, "--csv", table, "--images", folder)
    assert "in line" in refused(*args, "--output", tmp_path / "both")
    if what == "texts":  # pictures are not even looked for
        monkeypatch.setattr(sources, "_state", pytest.fail)
    output_of(*args, "--what", what, "--output", tmp_path / "out")
    column = {"images": 0, "texts": 1}[what]
    assert keys(tmp_path / "out", what) == [*dict.fromkeys(row[column] for row in rows)]


def test_a_column_that_is_wanted_and_not_there_is_named(shared, tmp_path):
    table = write_table(tmp_path / "texts.csv", [("a",)], ("text",))
    args = ("embed", "--model", shared, "--csv", table, "--output", tmp_path / "out")
    said = refused(*args, "--what", "images")
    assert "There are no images in this source: give --what texts." in said


def test_hidden_pictures_of_a_folder_are_passed_over(folder, tmp_path):
    seen = shutil.copytree(folder, tmp_path / "pictures")
    (seen / ".ipynb_checkpoints").mkdir()
    for name in ("._00.png", ".ipynb_checkpoints/00-checkpoint.png"):
        shutil.copy(seen / "00.png", seen / name)
    assert sources.folder_source(seen).hash == sources.folder_source(folder).hash
