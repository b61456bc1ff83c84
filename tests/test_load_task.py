"""The task of a run, with its weights and its own parts."""

import shutil

import program
import pytest
import torch
import yaml
from vocabulary import own_tokenizer

from softmask.backbone import Backbone
from softmask.errors import InputError
from softmask.nn import FusionEncoder, ImageEncoder, TextEncoder
from softmask.tasks import load_task
from softmask.tokenizer import load_tokenizer


def test_load_task_is_what_the_run_saved(fitted):
    task = load_task(fitted, "last")
    saved = torch.load(fitted / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert type(task).__name__ == "PretrainTask"
    assert task.soft_mask.layer == 2
    assert task.contrast.queue_size == 8
    assert not task.training
    for name, value in task.state_dict().items():
        assert torch.equal(value, saved[name]), name


def test_load_task_refuses_by_name(fitted, tmp_path):
    with pytest.raises(InputError, match="not the folder of a run"):
        load_task(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(fitted, copy)
    settings = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(settings.replace("tasks.PretrainTask", "tasks.NoTask"))
    with pytest.raises(InputError, match="must be importable"):
        load_task(copy)
    (copy / "config.yaml").write_text(settings.replace("embed_dim: 8", "embed_dim: 4"))
    with pytest.raises(InputError, match="does not fit"):
        load_task(copy)


def test_load_task_gives_a_task_the_tokenizer_of_its_data(corpus_of, tmp_path):
    own = own_tokenizer(tmp_path / "own")
    args = program.arguments("fit", corpus_of("caption"), tmp_path, task="caption")
    flags = ["--data.init_args.text.tokenizer", str(own), "--trainer.max_steps", "1"]
    ended = program.here([*args, *flags])
    assert ended.code == 0, ended.err
    task = load_task(tmp_path / "run", "last")
    assert task.tokenizer.get_vocab() == load_tokenizer(str(own)).get_vocab()


class OwnImage(ImageEncoder):
    """An image encoder that knows its size."""

    def __init__(self, width: int = 16) -> None:
        sizes = {"patch_size": 16, "width": width, "depth": 1, "heads": 2}
        super().__init__("deit_tiny_patch16_224.fb_in1k", image_size=32, **sizes)


class OwnBackbone(Backbone):
    """A backbone that makes its parts."""

    def __init__(self, width: int = 16) -> None:
        text = TextEncoder(1, width, heads=2, max_positions=32)
        super().__init__(OwnImage(width), text, FusionEncoder(width, 4, heads=2), embed_dim=8)


@pytest.mark.parametrize("place", ["backbone", "image"])
def test_load_task_builds_parts_of_the_users_own(fitted, tmp_path, place):
    copy = tmp_path / "copy"
    shutil.copytree(fitted, copy)
    settings = yaml.safe_load((copy / "config.yaml").read_text())
    task = settings["model"]["init_args"]
    kind = {"backbone": OwnBackbone, "image": OwnImage}[place]
    owner = task if place == "backbone" else task["backbone"]["init_args"]
    owner[place] = {"class_path": f"{__name__}.{kind.__name__}", "init_args": {"width": 16}}
    (copy / "config.yaml").write_text(yaml.safe_dump(settings))
    assert type(load_task(copy, "last").backbone.image) is OwnImage
