"""The program with conf/trainer/fsdp.yaml on two ranks; its run is then read by one process."""

import json

import program
import pytest
import ranks

from softmask import SoftMask
from softmask.checkpoint import read_state


@pytest.fixture(scope="module")
def two(corpus, tmp_path_factory):
    """The folder of a run of four steps, with validations before and between, tested after them."""
    runs = tmp_path_factory.mktemp("sharded")
    args = program.arguments("fit", corpus, runs, machine="fsdp")
    flags = {"devices": 2, "precision": "32-true", "num_sanity_val_steps": 1, "max_steps": 4}
    args += [part for name, value in flags.items() for part in (f"--trainer.{name}", str(value))]
    args += ["--data.init_args.batch_size", "2", "--then_test", "true"]
    ended = ranks.on_both(args, runs)
    assert [one.code for one in ended] == [0, 0], ended[0].err
    return runs / "run"


def test_one_process_tests_the_weights_that_two_ranks_tested(two, corpus, tmp_path):
    args = program.arguments("test", corpus, tmp_path)
    ended = program.here([*args, "--ckpt_path", str(two / "checkpoints" / "last.ckpt")])
    assert ended.code == 0, ended.err
    one, both = (json.loads((run / "report.json").read_text()) for run in (tmp_path / "run", two))
    assert one["steps"] == both["steps"] == 4
    assert one["parameters"] == both["parameters"]
    assert one["itc"] == both["itc"]
    assert one["itm"] == both["itm"]


def test_a_sharded_run_is_a_model_to_load(two):
    model = SoftMask.from_pretrained(two, checkpoint="last")
    kept = read_state(two / "checkpoints" / "last.ckpt")
    for name, value in model.state_dict().items():
        assert value.equal(kept[name]), name
    assert model.embed_texts("a red circle").shape == (1, 8)


def test_figures_and_drawings_are_there(two):
    logged = program.scalars(two)
    for tag in ("train/loss", "train/grad_norm", "train/update_norm"):
        assert list(logged[tag]) == [0, 1, 2, 3], tag
        assert all(value > 0 for value in logged[tag].values()), tag
    assert list(logged["val/recall"]) == [2]
    assert (two / "soft_mask.png").stat().st_size > 0
    assert "PretrainTask" in (two / "report.html").read_text()
