"""Texts as options: what YAML would read as null, a number or yes is a text, or is refused."""

import json

import pytest
from program import here, output_of

from softmask import SoftMask

ODD = ["null", "~", "1.5", "yes", "# red", "2020-01-01"]


@pytest.fixture(scope="module")
def index(shared, folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("index")
    output_of("embed", "--model", shared, "--images", folder, "--output", output)
    return output


def scored(shared, folder, *args):
    lines = output_of(
        "score", "--model", shared, "--image", folder / "00.png", "--json", "true", *args
    )
    return {row["text"]: row["match"] for row in map(json.loads, lines.splitlines())}


@pytest.mark.parametrize("text", ODD)
def test_one_text_is_read_as_it_was_typed(shared, folder, index, tmp_path, text):
    model = SoftMask.from_pretrained(shared)
    match = float(model.score(folder / "00.png", text))
    assert scored(shared, folder, "--text", text) == {text: pytest.approx(match, abs=1e-5)}
    ask = ("--model", shared, "--image", folder / "00.png", "--output", tmp_path)
    output_of("explain", *ask, "--text", text)
    (page,) = tmp_path.glob("*.html")
    assert f">{text}</h2>" in page.read_text()
    cosine = float((model.embed_images(folder / "00.png") * model.embed_texts(text)).sum())
    lines = output_of("search", "--index", index, "--text", text, "--json", "true").splitlines()
    hits = {hit["key"]: hit["cosine"] for hit in map(json.loads, lines)}
    assert hits["00.png"] == pytest.approx(cosine, abs=1e-5)


def test_several_texts_are_read_as_they_were_typed(shared, folder):
    assert list(scored(shared, folder, *(arg for text in ODD for arg in ("--text+", text)))) == ODD
    assert list(scored(shared, folder, "--text", json.dumps(ODD))) == ODD
    assert list(scored(shared, folder, "--text+", "[red] or [blue]")) == ["[red] or [blue]"]


@pytest.mark.parametrize("verb", ["explain", "score", "search"])
@pytest.mark.parametrize(("value", "said"), [("1.5", "1.5"), ("yes", "True")])
def test_texts_of_a_file_want_quotes(shared, folder, index, tmp_path, verb, value, said):
    asked = {"search": f"index: {index}"}.get(verb, f"model: {shared}\nimage: {folder / '00.png'}")
    file = tmp_path / "ask.yaml"
    file.write_text(f"{asked}\ntext: {value}\n")
    ended = here([verb, "--config", str(file)])
    assert ended.code == 2
    assert 'key "text"' in ended.err
    assert said in ended.err
    assert ("wants quotes" in ended.err) == (verb == "score")
    file.write_text(f"{asked}\ntext: '{value}'\n")
    output_of(verb, "--config", file, *(["--output", tmp_path] if verb == "explain" else []))


def test_a_list_of_what_are_no_texts_is_refused(shared, folder):
    ask = ["score", "--model", str(shared), "--image", str(folder / "00.png")]
    ended = here([*ask, "--text", '["red", 1.5]'])
    assert ended.code == 1
    assert ended.err.startswith('softmask: --text ["red", 1.5] is no list of texts: quote each')
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("text", ["[7]", "[red]", "- red"])
def test_what_yaml_reads_as_a_list_is_a_text_in_quotes(shared, folder, text):
    assert list(scored(shared, folder, "--text", json.dumps([text]))) == [text]


@pytest.mark.parametrize("verb", ["explain", "score"])
def test_a_folder_without_a_table_is_refused(shared, folder, verb):
    image = ["--image", str(folder / "00.png"), "--text", "a", "--images", str(folder)]
    ended = here([verb, "--model", str(shared), *image])
    assert ended.code == 1
    assert "no table is given: leave it out" in ended.err
