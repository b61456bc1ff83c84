"""Files as others write them, at the smallest size: official ALBEF, BERT, DeiT."""

import json
import re
from pathlib import Path

import golden_albef
import torch
from program import Ended, here
from torch import Tensor

from softmask.backbone import Backbone
from softmask.nn import FusionEncoder, ImageEncoder, TextEncoder
from softmask.tasks import Contrast, PretrainTask, SoftMasking
from softmask.weights import load_weights

WIDTH, EMBED, QUEUE = 16, 8, 4
HEADS = ["--image_heads", "2", "--text_heads", "2"]
VIT = "deit_base_patch16_224.fb_in1k"
SMALL = {768: WIDTH, 2304: 3 * WIDTH, 3072: 64, 256: EMBED, 65536: QUEUE, 577: 17, 257: 17}
SMALL |= {512: 32}


def full_size(task: str) -> dict[str, tuple[str, list[int]]]:
    """Names, types and shapes of an official model's whole state dict."""
    known = json.loads((golden_albef.FOLDER / "albef_state_dict_keys.json").read_text())[task]
    pairs = {k: (v["dtype"], v["shape"]) if isinstance(v, dict) else v for k, v in known.items()}
    return {k: (str(kind).removeprefix("torch."), shape) for k, (kind, shape) in pairs.items()}


def albef(task: str, seed: int = 0, vocabulary: int = 30522) -> dict[str, Tensor]:
    """An official model's state dict: every name, narrow, at 64 pixels; tied tensors are tied."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, (kind, shape) in full_size(task).items():
        small = [vocabulary if n == 30522 else SMALL.get(n, n) for n in shape]
        if kind == "int64":
            state[name] = torch.zeros(small, dtype=torch.long)
        else:
            drawn = 0.1 * torch.randn(small, generator=generator)
            state[name] = drawn + 1 if re.search(r"(Layer)?[Nn]orm\d?\.weight$", name) else drawn
    for name in state:
        if name.endswith("cls.predictions.decoder.weight"):
            head = name.removesuffix("cls.predictions.decoder.weight")
            state[name] = state[f"{head}bert.embeddings.word_embeddings.weight"]
            state[f"{head}cls.predictions.decoder.bias"] = state[f"{head}cls.predictions.bias"]
    if task == "nlvr2":
        state |= {name: state[left] for name, left in right_sides(state).items()}
    if "temp" in state:
        state["temp"] = torch.tensor(0.07)
    return state


def right_sides(state: dict[str, Tensor]) -> dict[str, str]:
    """NLVR2's keys and values of right images, with those of left ones whose tensors they are."""
    found = {}
    for name in state:
        layer = re.search(r"layer\.(\d+)\.crossattention\.self\.(key|value)\.", name)
        if layer and int(layer[1]) % 2:
            found[name] = name.replace(f"layer.{layer[1]}.", f"layer.{int(layer[1]) - 1}.")
    return found


def write_albef(path: Path, task: str = "pretrain", **around: object) -> dict[str, Tensor]:
    """A checkpoint as the official code saves it, optimiser state and settings included."""
    state = albef(task)
    parts = {"optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}, "lr_scheduler": {"t": 1}}
    content = {"model": state, **parts, "config": {"image_res": 64, "temp": 0.07}, "epoch": 29}
    torch.save(content | around, path)
    return state


def inspect(path: Path) -> Ended:
    """Run `softmask weights inspect`."""
    return here(["weights", "inspect", str(path)])


def convert(path: Path, *flags: object) -> Ended:
    """Run `softmask weights convert`."""
    return here(["weights", "convert", str(path), *map(str, flags)])


def new_backbone() -> Backbone:
    """Ours, of the sizes of the narrow official files."""
    torch.manual_seed(3)
    return Backbone(
        ImageEncoder(VIT, 64, patch_size=16, width=16, depth=12, heads=2),
        TextEncoder(6, 16, 2, 64, max_positions=32),
        FusionEncoder(16, 6, 2, 64),
        embed_dim=EMBED,
    )


def new_task() -> PretrainTask:
    """Pretraining of that backbone."""
    parts = {"contrast": Contrast(queue_size=4), "soft_mask": SoftMasking(layer=2)}
    return PretrainTask(new_backbone(), **parts).eval()


def started_from(path: Path) -> PretrainTask:
    """A task that starts from a file of which all fits."""
    task = new_task()
    report = load_weights(task, path, task.adapt)
    assert report.missing == report.unexpected == report.misshapen == report.resampled == []
    return task
