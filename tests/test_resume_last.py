"""`--ckpt_path last`: one command for the first start of a run and for every other."""

import program
import torch


def command(verb, corpus, runs, *flags):
    return [*program.arguments(verb, corpus, runs), "--ckpt_path", "last", *flags]


def test_it_starts_a_run_and_goes_on_with_it(corpus, tmp_path):
    ended = program.here(command("fit", corpus, tmp_path))
    assert ended.code == 0, ended.err
    assert list(program.scalars(tmp_path / "run")["train/loss"]) == [0, 1]
    ended = program.here(command("fit", corpus, tmp_path, "--trainer.max_steps", "4"))
    assert ended.code == 0, ended.err
    assert list(program.scalars(tmp_path / "run")["train/loss"]) == [0, 1, 2, 3]
    kept = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert kept["global_step"] == 4
    ended = program.here(command("validate", corpus, tmp_path))
    assert ended.code == 0, ended.err


def test_a_run_without_a_name_is_refused(corpus, tmp_path):
    args = command("fit", corpus, tmp_path, "--trainer.logger.init_args.version", "null")
    ended = program.here(args)
    assert ended.code == 1
    assert "name it with --trainer.logger.init_args.version NAME" in ended.err
    assert not (tmp_path / "version_0").exists()


def test_a_test_of_nothing_is_refused(corpus, tmp_path):
    ended = program.here(command("test", corpus, tmp_path))
    assert ended.code == 1
    assert f"There is no last checkpoint in {tmp_path / 'run'} to test" in ended.err


def test_a_broken_last_checkpoint_is_named(corpus, tmp_path):
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half")
    ended = program.here(command("fit", corpus, tmp_path))
    assert ended.code == 1
    assert f"'{path}' cannot be read as a checkpoint" in ended.err
