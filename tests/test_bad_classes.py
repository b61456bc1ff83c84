"""Mistakes in the data of SNLI-VE and NLVR2 end the program with one paragraph that names them."""

import program
import pytest
from corpora import entailments, statements

from data_modules.write import write_shards

# Task, verb, how one sample of six differs, and what the answer must hold.
MISTAKES = {
    "no right picture": (
        "nlvr2",
        "test",
        {"second": None},
        ("0-00004", "missing_picture", "no left picture but json, png, txt"),
    ),
    "label of no class": (
        "nlvr2",
        "predict",
        {"meta": {"label": "perhaps"}},
        ("0-00004", "bad_label", "'perhaps'", "false, true"),
    ),
    "label of another task": (
        "snli_ve",
        "validate",
        {"meta": {"label": "True"}},
        ("0-00002", "bad_label", "'True'", "contradiction, neutral, entailment"),
    ),
    "identifier that comes twice": (
        "nlvr2",
        "test",
        {"meta": {"label": "True", "identifier": "dev-0-0-0"}},
        ("'dev-0-0-0'", "places 0, 2", "remove the copies"),
    ),
    "hypothesis that comes twice": (
        "snli_ve",
        "test",
        {"meta": {"label": "neutral", "identifier": "0.jpg#0r0"}},
        ("'0.jpg#0r0'", "places 0, 2", "remove the copies"),
    ),
    "no label at all in training": (
        "snli_ve",
        "fit",
        {"meta": {}},
        ("1 of 8", "bad_label 1 (12.50%)", "max_drop_rate"),
    ),
}
PAIRS = {"snli_ve": entailments, "nlvr2": statements}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_paragraph(name, tmp_path):
    task, verb, changed, says = MISTAKES[name]
    pairs = list(PAIRS[task](8 if verb == "fit" else 6))
    pairs[2] = pairs[2]._replace(**changed)
    for split in ("train", "val", "test"):
        write_shards(pairs, tmp_path / split)
    ended = program.here(program.arguments(verb, tmp_path, tmp_path / "runs", task=task))
    assert ended.code == 1, ended.err
    told = ended.err[ended.err.index("softmask: ") :]
    assert [part for part in says if part not in told] == [], told
    assert len(told.splitlines()) == 1
    assert "Traceback" not in ended.err


def test_what_other_samples_lack_is_left_out_and_said(tmp_path):
    pairs = list(entailments(6))
    pairs[2] = pairs[2]._replace(meta={"label": "-"})
    write_shards(pairs, tmp_path / "test")
    args = program.arguments("test", tmp_path, tmp_path / "runs", task="snli_ve", splits=["test"])
    ended = program.here(args)
    assert ended.code == 0, ended.err
    assert "EntailmentTask on" in ended.out
    assert ": 5 samples" in ended.out
    assert "1 samples without a known label are left out" in ended.out
