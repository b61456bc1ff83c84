"""A user's mistake ends with one paragraph that names the value and the fix, and no traceback."""

import errno
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import program
import pytest
import torch
from fake import fake_pairs, write_fake_pairs
from vocabulary import own_tokenizer

from data_modules.write import write_shards
from softmask import __version__


class Mistake(NamedTuple):
    """Flags that cannot work, and what the answer must hold."""

    flags: str
    says: tuple[str, ...]
    verb: str = "fit"


TRAIN = "--data.init_args.train {wrong}/"
INIT = "--model.init_args"
PART = "--model.init_args.backbone.init_args"

# Understood, but impossible: one paragraph and exit code 1.
IMPOSSIBLE = {
    "missing folder": Mistake(TRAIN + "nowhere", ("wrong/nowhere", "softmask data write")),
    "missing shard": Mistake(TRAIN + "gone", ("gone/00000.tar", "does not exist")),
    "empty shard": Mistake(TRAIN + "empty", ("empty/00000.tar", "holds no samples")),
    "broken picture": Mistake(
        "--data.init_args.test {wrong}/junk",
        ("sample '0-00003'", "unknown_picture", "softmask data check"),
        "test",
    ),
    "too many broken pictures": Mistake(
        TRAIN + "junk --trainer.max_steps 6",
        ("1 of 12", "unknown_picture 1 (8.33%)", "max_drop_rate"),
    ),
    "drop rate": Mistake("--data.init_args.max_drop_rate 2", ("max_drop_rate is 2", "from 0 to 1")),
    "pixel limit": Mistake("--data.init_args.max_pixels 0", ("max_pixels is 0", "1 or more")),
    "no training data": Mistake(
        "--data.init_args.train null", ("data.init_args.train is not given",)
    ),
    "no validation samples": Mistake("--data.init_args.val_limit 0", ("val_limit is 0", "1 or")),
    "no evaluation batch": Mistake(
        "--data.init_args.eval_batch_size 0", ("eval_batch_size is 0", "1 or more")
    ),
    "no test data": Mistake(
        "--data.init_args.test null", ("data.init_args.test is not given",), "test"
    ),
    "batch of one": Mistake("--data.init_args.batch_size 1", ("batch of 1", "2 or more")),
    "batch of none": Mistake("--data.init_args.batch_size 0", ("batch_size is 0",)),
    "workers": Mistake("--data.init_args.workers -1", ("workers is -1", "0 or more")),
    "equal captions": Mistake(TRAIN + "same", ("batch of 4 pairs", "batch_size", "0-000")),
    "fewer samples than a batch": Mistake(
        "--data.init_args.batch_size 16 --model.init_args.contrast.queue_size 16",
        ("12 samples", "takes 16", "at most 12"),
    ),
    "queue": Mistake(INIT + ".contrast.queue_size 10", ("queue_size=10", "8 or 12", "batch_size")),
    "negative queue": Mistake(
        INIT + ".contrast.queue_size -8", ("contrast.queue_size is -8", "0 or more")
    ),
    "timm name": Mistake(PART + ".image.init_args.name deit_tine", ("'deit_tine'", "list_models")),
    "timm tag": Mistake(PART + ".image.init_args.name vit_tiny_patch16_224.no", ("(no)", "choose")),
    "image heads": Mistake(PART + ".image.init_args.heads 3", ("num_heads", "choose")),
    "text heads": Mistake(PART + ".text.init_args.heads 3", ("text.width=16", "text.heads=3")),
    "fusion heads": Mistake(PART + ".fusion.init_args.heads 3", ("fusion.heads=3", "change")),
    "widths": Mistake(PART + ".fusion.init_args.width 32", ("text.width=16", "fusion.width=32")),
    "BERT": Mistake(INIT + ".bert {wrong}/no", ("wrong/no", "config.json", "null")),
    "layer": Mistake(INIT + ".soft_mask.layer 3", ("soft_mask.layer=3", "0..2")),
    "layer below 0": Mistake(INIT + ".soft_mask.layer -1", ("soft_mask.layer=-1", "0..2")),
    "probability": Mistake("--data.init_args.distortion.flip 2", ("flip is 2", "from 0 to 1")),
    "share": Mistake("--data.init_args.text.mask_ratio 2", ("mask_ratio is 2", "from 0 to 1")),
    "accelerator": Mistake("--trainer.devices 0", ("devices='0'", "cpu")),
    "weights gone": Mistake(INIT + ".init_from {wrong}/no.ckpt", ("wrong/no.ckpt", "correct")),
    "weights cut": Mistake(INIT + ".init_from {wrong}/cut.ckpt", ("wrong/cut.ckpt", "read")),
    "weights not finite": Mistake(INIT + ".init_from {wrong}/nan.ckpt", ("step 0", "itm=nan")),
    "checkpoint gone": Mistake("--ckpt_path {wrong}/no.ckpt", ("wrong/no.ckpt", "correct")),
    "checkpoint cut": Mistake("--ckpt_path {wrong}/cut.ckpt", ("wrong/cut.ckpt", "read")),
    "bare weights": Mistake("--ckpt_path {wrong}/bare.ckpt", ("wrong/bare.ckpt", "init_from")),
    "task": Mistake("--ckpt_path {wrong}/task.ckpt", ("VQATask", "PretrainTask", "init_from")),
    "task to test": Mistake("--ckpt_path {wrong}/task.ckpt", ("VQATask", "init_from"), "test"),
    "weights of half precision": Mistake(
        "--trainer.precision bf16-true", ("bf16-true", "train with bf16-mixed")
    ),
    "rates": Mistake(INIT + ".optim.lr 1e-6", ("optim.min_lr", "optim.lr 1e-06")),
    "image size": Mistake("--data.init_args.image_size 36", ("image_size is 36", "give 32 or 48")),
    "mean of bytes": Mistake(
        PART + ".image.init_args.mean [123.7,116.3,103.5]", ("image.mean is [123.7", "by 255")
    ),
    "text length": Mistake(
        "--data.init_args.text.max_tokens 33",
        ("text.max_tokens is 33", "max_positions is 32", "give 32 at most"),
    ),
    "word pieces": Mistake(
        "--data.init_args.text.tokenizer {wrong}/pieces",
        ("wrong/pieces', which gives 30525", "vocab_size is 30522", "give 30525 at least"),
    ),
    "dry run of a test": Mistake("--dry_run true", ("--dry_run", "test is none"), "test"),
    "size": Mistake(
        "--ckpt_path {last} " + PART + ".embed_dim 16", ("10 misshapen", "(8, 16) for (16, 16)")
    ),
    "batch on resume": Mistake(
        "--ckpt_path {last} --data.init_args.batch_size 2", ("global_batch 4", "has 2")
    ),
}

# Not understood: usage, the key or the value, and exit code 2.
UNKNOWN = {
    "key in YAML": Mistake("-c {wrong}/key.yaml", ("gama", "contrast")),
    "section in YAML": Mistake("-c {wrong}/section.yaml", ("trainr",)),
    "no YAML": Mistake("-c {wrong}/syntax.yaml", ("parsing config", "line 1")),
    "YAML gone": Mistake("-c {wrong}/no.yaml", ("wrong/no.yaml",)),
    "flag": Mistake(INIT + ".contrast.gama 1", ("gama",)),
    "value": Mistake("--data.init_args.batch_size many", ("many", "int")),
    "choice": Mistake("--data.init_args.text.augment sharde", ("sharde", "shared", "separate")),
    "class": Mistake("--model softmask.tasks.PretranTask", ("PretranTask",)),
}


@pytest.fixture(scope="session")
def wrong(tmp_path_factory: pytest.TempPathFactory, fitted: Path) -> Path:
    """A folder of things that are wrong."""
    folder = tmp_path_factory.mktemp("data") / "wrong"
    write_fake_pairs(folder / "gone", 8, shard_size=4)
    (folder / "gone" / "00000.tar").unlink()
    own_tokenizer(folder / "pieces", more=3)
    (folder / "empty").mkdir()
    tarfile.open(folder / "empty" / "00000.tar", "w").close()
    pairs = list(fake_pairs(12))
    write_shards((pair._replace(captions=["one"]) for pair in pairs), folder / "same")
    pairs[3] = pairs[3]._replace(image=b"junk")
    write_shards(pairs, folder / "junk")
    last = fitted / "checkpoints" / "last.ckpt"
    (folder / "cut.ckpt").write_bytes(last.read_bytes()[:5000])
    content = torch.load(last, weights_only=True)
    torch.save({"state_dict": content["state_dict"]}, folder / "bare.ckpt")
    torch.save({**content, "softmask": {"task": "VQATask"}}, folder / "task.ckpt")
    content["state_dict"]["matcher.bias"].fill_(torch.nan)
    torch.save(content, folder / "nan.ckpt")
    (folder / "key.yaml").write_text("model: {init_args: {contrast: {gama: 1}}}")
    (folder / "section.yaml").write_text("trainr: {max_steps: 1}")
    (folder / "syntax.yaml").write_text("trainer: [1")
    return folder


@pytest.fixture
def attempt(corpus, wrong, fitted, tmp_path):
    def args(mistake: Mistake) -> list[str]:
        last = fitted / "checkpoints" / "last.ckpt"
        flags = [part.format(wrong=wrong, last=last) for part in mistake.flags.split()]
        return [*program.arguments(mistake.verb, corpus, tmp_path / "runs"), *flags]

    return args


def check(ended: program.Ended, mistake: Mistake, code: int) -> None:
    assert ended.code == code, ended.err
    assert "Traceback" not in ended.out + ended.err
    told = ended.err[ended.err.index("error: " if code == 2 else "softmask: ") :]
    assert [part for part in mistake.says if part not in told] == [], told
    if code == 1:
        assert len(told.splitlines()) == 1, told


@pytest.mark.parametrize("mistake", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible_input_is_one_paragraph(mistake, attempt):
    check(program.here(attempt(mistake)), mistake, code=1)


@pytest.mark.parametrize("mistake", UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_input_is_named(mistake, attempt):
    check(program.here(attempt(mistake)), mistake, code=2)


def test_a_process_ends_in_the_same_way(attempt, tmp_path):
    for code, mistake in ((1, IMPOSSIBLE["equal captions"]), (2, UNKNOWN["flag"])):
        check(program.apart(attempt(mistake), tmp_path / str(code)), mistake, code)


def test_data_command_is_as_kind(tmp_path):
    table = tmp_path / "no.csv"
    flags = f"data write --images {tmp_path} --captions {table} --output {tmp_path}"
    check(program.here(flags.split()), Mistake("", (str(table), "cannot be read")), code=1)
    check(program.here(["data", "emojis"]), Mistake("", ("emojis", "emoji")), code=2)
    check(program.here([]), Mistake("", ("fit,validate,test,predict",)), code=2)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1, "A file cannot be used (No space"),
        (OSError(errno.ENOSPC, "No space left on device", "o/0.tar"), 1, "o/0.tar cannot be used"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=["full disk", "full disk of a file", "Ctrl-C"],
)
def test_what_ends_a_command_is_told_in_a_line(tmp_path, monkeypatch, error, code, says):
    def ends(*_, **__):
        raise error

    table = tmp_path / "captions.csv"
    table.write_text("image,caption\n")
    monkeypatch.setattr("data_modules.pairs.read_annotations", ends)
    ended = program.here(f"data write --images {tmp_path} --captions {table}".split())
    assert (ended.code, len(ended.err.splitlines())) == (code, 1)
    assert f"softmask: {says}" in ended.err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ("--help", "softmask data"),
        ("fit --help", "--checkpoint.monitor"),
        ("--version", "softmask 0"),
        ("data --help", "emoji"),
        ("data write --help", "--captions"),
    ],
)
def test_help_is_given(args, says):
    ended = program.here(args.split())
    assert ended.code == 0
    assert says in ended.out


def test_the_version_is_said_without_importing_torch():
    said = "from softmask.program import main; import sys; main(['--version']); "
    command = [sys.executable, "-c", said + "print('torch' in sys.modules)"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert ended.stdout.split() == ["softmask", __version__, "False"]


def test_module_runs():
    command = [sys.executable, "-m", "softmask", "--help"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0
    assert ended.stdout.startswith("usage: softmask ")
    assert ended.stderr == ""
    assert shutil.which("softmask", path=Path(sys.executable).parent)
