"""`softmask demo` over an index that another command made, and over pictures with odd names."""

import os
import shutil

import pytest
from asked import TEXTS, write_model, write_pictures, write_table
from program import here, output_of, refused
from werkzeug.test import Client

from softmask.ask import making
from softmask.web import command


@pytest.fixture
def folder(tmp_path):
    write_pictures(tmp_path / "them", 4)
    return tmp_path / "them"


@pytest.fixture
def served(monkeypatch):
    """The pages that were begun."""
    apps = []
    monkeypatch.setattr(command, "serve", lambda listener, app, host: apps.append(app))
    return apps


def demo(shared, *args):
    return ("demo", "--model", shared, "--port", 0, *args)


def embedded(shared, folder, tmp_path, *args):
    output = tmp_path / "features"
    output_of("embed", "--model", shared, "--images", folder, "--output", output, *args)
    return output


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    "option",
    [
        ("--batch_size", 3),
        ("--store", "float16"),
        ("--format", "parquet"),
        ("--chunk", 2),
        ("--dtype", "bfloat16"),
    ],
)
def test_an_index_of_other_options_is_searched_as_it_is(shared, folder, tmp_path, served, option):
    index = embedded(shared, folder, tmp_path, *option)
    before = files(index)
    output_of(*demo(shared, "--images", folder, "--index", index))
    assert Client(served[0]).get("/search?text=red").text.count('alt="Hit ') == 4
    assert files(index) == before


def test_an_index_of_a_table_is_searched_if_it_names_all_pictures(shared, folder, tmp_path, served):
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*g"))
    table = write_table(tmp_path / "all.csv", [*zip(names, TEXTS, strict=False)])
    index = embedded(shared, folder, tmp_path, "--csv", table)
    output_of(*demo(shared, "--images", folder, "--index", index))
    table = write_table(tmp_path / "some.csv", [*zip(names[:2], TEXTS, strict=False)])
    index = tmp_path / "some"
    source = ("--images", folder, "--csv", table)
    output_of("embed", "--model", shared, "--output", index, *source)
    said = refused(*demo(shared, "--images", folder, "--index", index))
    assert "a table or shards named others" in said
    output_of(*demo(shared, "--index", index))
    assert Client(served[-1]).get("/search?text=red").text.count('alt="Hit ') == 2


@pytest.mark.parametrize("more", [True, False])
def test_pictures_that_came_or_went_are_told_in_words_of_demo(shared, folder, tmp_path, more):
    index = embedded(shared, folder, tmp_path)
    before = files(index)
    if more:
        shutil.copy(folder / "00.png", folder / "07.png")
    else:
        (folder / "00.png").unlink()
    said = refused(*demo(shared, "--images", folder, "--index", index))
    assert f"not those of the {5 if more else 3} pictures in '{folder}'" in said
    assert "Give another --index" in said
    assert "leave --images out" in said
    assert "--output" not in said
    assert "{" not in said
    assert files(index) == before


def test_an_index_of_another_model_is_named(shared, folder, tmp_path):
    index = embedded(write_model(tmp_path / "other", seed=1), folder, tmp_path)
    said = refused(*demo(shared, "--images", folder, "--index", index))
    assert "of another model" in said
    assert "--output" not in said


def test_what_another_command_left_half_is_not_gone_on_with(
    shared, folder, tmp_path, served, monkeypatch
):
    def broken_off(*_):
        raise KeyboardInterrupt

    index = tmp_path / "features"
    with monkeypatch.context() as patched:
        patched.setattr(making, "write_chunk", broken_off)
        own = [*map(str, demo(shared, "--images", folder, "--index", index))]
        assert here(own).code == 130
    output_of(*own)  # its own half it ends
    assert len(served) == 1
    shutil.rmtree(index)
    with monkeypatch.context() as patched:
        patched.setattr(making, "write_chunk", broken_off)
        args = ("--images", folder, "--output", index, "--batch_size", 3)
        assert here(["embed", "--model", str(shared), *map(str, args)]).code == 130
    said = refused(*own)
    assert f"The features in '{index}' are not whole" in said
    assert "give another --index" in said
    assert "--output" not in said


def test_names_that_are_no_utf8_are_shown_and_asked(shared, folder, served):
    odd = os.fsdecode(b"01-caf\xe9.png")
    (folder / "01.png").rename(folder / odd)
    output_of(*demo(shared, "--images", folder))
    client = Client(served[0])
    hits = client.get("/search?text=red")
    assert hits.status_code == 200
    assert "01-caf?.png. Show" in hits.text
    words = client.get("/words?text=red&of=f1")
    assert words.status_code == 200
    assert "in 01-caf?.png</h2>" in words.text
    assert client.get("/picture/f1").status_code == 200
    (folder / odd).unlink()
    gone = client.get("/words?text=red&of=f1")
    assert gone.status_code == 400
    assert "01-caf?.png" in gone.text
