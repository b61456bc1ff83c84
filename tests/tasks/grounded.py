"""Grounding at its smallest, on fake expressions."""

import tiny
import torch
import training

from data_modules import GroundingData
from data_modules.image import Distortion
from data_modules.text import TextOptions
from softmask.tasks import Contrast, GroundingTask, SoftMasking

ALBEF = {"gamma": 0.0, "match_captions": False, "queue_size": 8, "momentum": 0.9}
STILL = Distortion(crop_scale=(1, 1), **training.NONE)


class Recorded(GroundingTask):
    """Keeps what each step's losses were."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.steps = []

    def total(self, losses, keys):
        self.steps.append({name: loss.item() for name, loss in losses.items()})
        return super().total(losses, keys)


def make(weight=0.0, kind=Recorded, parts=None, **options):
    contrast = Contrast(**{**ALBEF, **options.pop("contrast", {})})
    task = kind(
        training.backbone(**(parts or {})),
        contrast=contrast,
        soft_mask=SoftMasking(weight=weight, layer=1),
        **options,
    )
    tiny.shake(task.matcher, by=1.0)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in task.momentum.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return task.train()


def data(corpus, **options):
    folders = {name: str(corpus / name) for name in ("train", "val", "test")}
    given = {"distortion": STILL, "text": TextOptions(masks_per_pair=2), **options}
    return GroundingData(
        **folders,
        predict=folders["test"],
        image_size=training.SIZE,
        batch_size=4,
        workers=0,
        **given,
    )


def batches(corpus, stage="fit"):
    module = data(corpus)
    module.setup(stage)
    return list(module.train_dataloader() if stage == "fit" else module.test_dataloader())
