"""Tasks of classes at their smallest, on fake samples that stay in memory."""

from typing import Any

import torch
import training
from corpora import entailments, statements

from data_modules import EntailmentData, Nlvr2Data
from data_modules.shards import Sample
from data_modules.write import columns
from softmask.tasks import ClassifyTask, Distillation, EntailmentTask, Nlvr2Task

KINDS: dict[type[ClassifyTask], tuple[Any, Any]] = {
    EntailmentTask: (entailments, EntailmentData),
    Nlvr2Task: (statements, Nlvr2Data),
}


def batch(kind: type[ClassifyTask], count: int = 6, *, skip: int = 0) -> Any:
    """Samples skip, skip + 1, ... as the data module makes them for evaluation."""
    pairs, data = KINDS[kind]
    samples = [
        Sample(number, "fake", pair.key, columns(pair))
        for number, pair in enumerate(pairs(skip + count))
    ]
    return data(image_size=training.SIZE).make_evaluation()(samples[skip:], 0)


def task(kind: type[ClassifyTask], **options: Any) -> ClassifyTask:
    """A task whose twins differ from it, so that it matters who is asked."""
    given = {"distillation": Distillation(alpha=0.4, momentum=0.9), **options}
    made = kind(training.backbone(fusion_layers=2), **given)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in made.momentum.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return made.train()
