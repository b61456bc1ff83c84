"""`--ckpt_path best`: scores what a named run chose, and leaves what the run was told as it was."""

import json
import shutil

import program
import pytest
import torch
from commanded import Wrong, planned

from softmask.errors import InputError
from softmask.runs import choose_checkpoint


@pytest.fixture
def run(fitted, tmp_path):
    """A run whose chosen checkpoint says that it is of step 2, its last one of step 4."""
    folder = tmp_path / "run"
    shutil.copytree(fitted, folder)
    last = folder / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    (chosen,) = (s for s in content["callbacks"].values() if "best_model_path" in s)
    chosen["best_model_path"] = "somewhere/else/chosen.ckpt"  # a run may have been moved
    torch.save(content, last)
    torch.save({**content, "global_step": 2}, last.with_name("chosen.ckpt"))
    return folder


@pytest.mark.parametrize(("word", "steps"), [("best", 2), ("last", 4)])
def test_a_named_run_is_tested_at_the_checkpoint_that_is_asked_for(run, corpus, word, steps):
    told = (run / "config.yaml").read_bytes()
    args = program.arguments("test", corpus, run.parent)
    ended = program.here([*args, "--ckpt_path", word])
    assert ended.code == 0, ended.err
    assert json.loads((run / "report.json").read_text())["steps"] == steps
    assert (run / "config.yaml").read_bytes() == told
    page = (run / "report.html").read_text()
    assert f"softmask test -c {run / 'test.yaml'}" in page
    tested = {"best": "chosen.ckpt", "last": "last.ckpt"}[word]  # by its path: "again" has none
    assert f"version again --ckpt_path {run / 'checkpoints' / tested}" in page


def test_a_test_beside_no_training_says_what_it_was_told(fitted, corpus, tmp_path):
    last = fitted / "checkpoints" / "last.ckpt"
    args = program.arguments("validate", corpus, tmp_path)
    assert program.here([*args, "--ckpt_path", str(last)]).code == 0
    assert (tmp_path / "run" / "config.yaml").is_file()
    assert not (tmp_path / "run" / "validate.yaml").exists()


def test_a_training_does_not_go_on_from_the_best(run, corpus):
    args = program.arguments("fit", corpus, run.parent)
    ended = program.here([*args, "--ckpt_path", "best"])
    assert ended.code == 1
    assert "--ckpt_path best is for validate, test and predict" in ended.err


@pytest.mark.parametrize(
    ("version", "said"),
    [("null", "--ckpt_path best is the best checkpoint"), ("other", "no last checkpoint in")],
)
def test_a_run_that_is_not_there_is_refused(corpus, tmp_path, version, said):
    args = program.arguments("test", corpus, tmp_path)
    name = ["--trainer.logger.init_args.version", version]
    ended = program.here([*args, "--ckpt_path", "best", *name])
    assert ended.code == 1
    assert said in ended.err


def test_make_names_the_run_and_tests_what_it_chose():
    here = '--trainer.logger.init_args.save_dir "runs" --trainer.logger.init_args.version "a"'
    assert f"{here} --ckpt_path last" in planned("vqa", "RUN=runs/a")
    tested = planned("test-vqa", "RUN=runs/a/")
    assert f'{here} --ckpt_path "best"' in tested
    assert '--ckpt_path "b.ckpt"' in planned("test-vqa", "RUN=runs/a", "CKPT=b.ckpt")
    assert f"{here} --ckpt_path last --then_test true" in planned("demo", "RUN=runs/a")
    assert "version" not in planned("vqa")
    assert "--ckpt_path" not in planned("test-zeroshot")
    with pytest.raises(Wrong, match="add RUN="):
        planned("predict-vqa")


def test_the_latest_of_a_run_that_monitors_nothing_is_no_best(run):
    last = run / "checkpoints" / "last.ckpt"
    content = torch.load(last, weights_only=True)
    (chosen,) = (s for s in content["callbacks"].values() if "best_model_path" in s)
    assert choose_checkpoint(last.parent, "best").name == "chosen.ckpt"
    chosen["monitor"] = None
    torch.save(content, last)
    assert choose_checkpoint(last.parent, "best") == last


def test_a_broken_last_checkpoint_leaves_the_others_to_be_named(run):
    (run / "checkpoints" / "last.ckpt").write_bytes(b"half a file")
    assert choose_checkpoint(run / "checkpoints", "chosen.ckpt").is_file()
    with pytest.raises(InputError, match=r"last\.ckpt"):
        choose_checkpoint(run / "checkpoints", "best")
