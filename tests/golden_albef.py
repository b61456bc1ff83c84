"""Reads the golden values of the official ALBEF code and builds our task at their size."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from softmask.backbone import Backbone
from softmask.batch import IGNORE
from softmask.nn import FusionEncoder, ImageEncoder, TextEncoder
from softmask.renames import from_albef
from softmask.tasks import Contrast, Evaluation, PretrainTask, SoftMasking, TaughtTask
from softmask.weights import fill

FOLDER = Path(os.environ.get("SOFTMASK_GOLDEN", Path(__file__).parent / "golden")) / "albef"

CONTRAST = ("backbone.image_projection.", "backbone.text_projection.", "backbone.temperature")
"""What the official models of classes have not."""


def manifest() -> dict[str, Any]:
    return json.loads((FOLDER / "manifest.json").read_text())


def tensors(name: str) -> dict[str, dict[str, Tensor]]:
    """The tensors of one file, grouped by the part of their name before the first dot."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, value in load_file(FOLDER / f"{name}.safetensors").items():
        group, _, rest = key.partition(".")
        groups.setdefault(group, {})[rest] = value
    return groups


def backbone(sizes: dict[str, Any]) -> Backbone:
    config, bert = sizes["config"], sizes["bert"]
    first = bert["fusion_layer"]
    vision = {"width": config["vw"], "depth": config["vdepth"], "heads": config["vheads"]}
    return Backbone(
        ImageEncoder("deit_tiny_patch16_224.fb_in1k", image_size=config["res"], **vision),
        TextEncoder(
            layers=first,
            width=bert["hidden_size"],
            heads=bert["num_attention_heads"],
            hidden=bert["intermediate_size"],
            vocab_size=bert["vocab_size"],
            max_positions=bert["max_position_embeddings"],
        ),
        FusionEncoder(
            width=bert["hidden_size"],
            layers=bert["num_hidden_layers"] - first,
            heads=bert["num_attention_heads"],
            hidden=bert["intermediate_size"],
            image_width=bert["encoder_width"],
        ),
        embed_dim=sizes["albef"]["embed_dim"],
    )


def pretrain_task(sizes: dict[str, Any]) -> PretrainTask:
    """ALBEF: all three ideas of SoftMask++ switched off."""
    albef = sizes["albef"]
    contrast = Contrast(
        gamma=0.0,
        alpha=0.4,
        queue_size=albef["queue_size"],
        momentum=albef["momentum"],
        match_ids=False,
    )
    return PretrainTask(
        backbone(sizes),
        contrast=contrast,
        soft_mask=SoftMasking(weight=0.0, layer=8 - sizes["bert"]["fusion_layer"]),
        evaluation=Evaluation(),
    ).eval()


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    """Largest difference over the largest value."""
    scale = theirs.abs().max().clamp_min(1e-12)
    return float((ours - theirs).abs().max() / scale)


def assert_close(ours: Tensor, theirs: Tensor, name: str, tolerance: float = 1e-5) -> None:
    assert ours.shape == theirs.shape, f"{name}: {tuple(ours.shape)} for {tuple(theirs.shape)}"
    error = relative_error(ours.detach().float(), theirs.float())
    assert error <= tolerance, f"{name}: relative error {error:.2e}"


def known_only(official: dict[str, Tensor], known: dict[str, Tensor]) -> dict[str, Tensor]:
    """Values of `known`, NaN for every other official name, so that renaming can stack them."""
    return {
        k: known.get(k, torch.full_like(v, torch.nan) if v.is_floating_point() else v)
        for k, v in official.items()
    }


def masked_positions(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Labels of whole texts (B, L), IGNORE elsewhere, as flattened places and labels, both (M,)."""
    at = (labels.flatten() != IGNORE).nonzero().squeeze(1)
    return at, labels.flatten()[at]


def load_whole(task: TaughtTask, official: dict[str, Tensor]) -> None:
    """Fill a task of classes: all fits, and only what its loss does not read is missing."""
    report = fill(task.eval(), from_albef(official, task.backbone.text.layers), "golden")
    assert (report.unexpected, report.misshapen) == ([], [])
    assert set(report.missing) == unread(task)


def unread(task: TaughtTask) -> set[str]:
    """Names of projections and temperature, and of their twins."""
    frozen = {k for k, p in task.named_parameters() if not p.requires_grad and "twin" not in k}
    assert frozen == {k for k in frozen if k.startswith(CONTRAST)}
    return frozen | {f"momentum.twin.{name}" for name in frozen}


def alone(task: TaughtTask) -> TaughtTask:
    """Ready for a step that logs nothing."""
    for name in ("log", "log_dict"):
        task.__dict__[name] = lambda *a, **k: None
    return task


def assert_maps_whole(kind: type[TaughtTask], name: str, **image: int) -> None:
    """Every key of the official file of full size has its place, and every place its key."""
    official = json.loads((FOLDER / "albef_state_dict_keys.json").read_text())[name]
    with torch.device("meta"):
        state = {
            k: torch.empty(shape, dtype=getattr(torch, d)) for k, (d, shape) in official.items()
        }
        task = kind(Backbone(ImageEncoder(**image), TextEncoder(), FusionEncoder()))
    renamed = from_albef(state, task.backbone.text.layers)
    missing = unread(task)
    own = {k: tuple(v.shape) for k, v in task.state_dict().items() if k not in missing}
    assert own == {k: tuple(v.shape) for k, v in renamed.items()}


def labelled(given: dict[str, Tensor]) -> dict[str, Any]:
    """A batch of classes, but for its images."""
    rows = torch.arange(len(given["label"]))
    names = [str(i) for i in rows.tolist()]
    return {
        "input_ids": given["input_ids"],
        "attention_mask": given["attention_mask"].bool(),
        "label": given["label"],
        "position": rows,
        "key": names,
        "identifier": names,
        "identity": rows,
    }
