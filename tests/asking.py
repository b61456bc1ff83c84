"""VQA at its smallest, on fake questions that stay in memory."""

import json
import os
from pathlib import Path
from typing import Any

import torch
import training
from corpora import ANSWERS, questions

from data_modules import VqaData
from data_modules.shards import Sample
from data_modules.text import TextOptions
from data_modules.write import Pair, columns
from softmask.tasks import Distillation, QuestionTask, Ranking, VqaClassTask, VqaTask

SETTINGS = {"image_size": training.SIZE, "distortion": training.STILL, "workers": 0}


def samples(count: int = 4, seed: int = 0) -> list[Sample]:
    return [stored(pair, place) for place, pair in enumerate(questions(count, seed))]


def stored(pair: Pair, place: int = 0) -> Sample:
    return Sample(place, "fake", pair.key, columns(pair))


def noted(sample: Sample, **meta: Any) -> Sample:
    """The sample with other notes; None takes one away."""
    found = json.loads(sample.columns["json"]) | meta
    kept = {name: value for name, value in found.items() if value is not None}
    return sample._replace(columns={**sample.columns, "json": json.dumps(kept).encode()})


def data(**options: Any) -> VqaData:
    return VqaData(**{**SETTINGS, "text": TextOptions(), "eval_tokens": 32, **options})


def listed(folder: Path, answers: list[str] = ANSWERS) -> str:
    """A list on disk; ranks write the same one at once, so it comes into its place whole."""
    folder.mkdir(parents=True, exist_ok=True)
    own = folder / f"answers-{os.getpid()}.json"
    own.write_text(json.dumps(answers))
    own.replace(folder / "answers.json")
    return str(folder / "answers.json")


def task(kind: type[QuestionTask], folder: Path, **options: Any) -> Any:
    """A task whose twins differ from it, so that it matters who is asked."""
    if kind is VqaTask:
        options = {"ranking": Ranking(k_test=5), **options}
    given = {"distillation": Distillation(alpha=0.4, momentum=0.9), **options}
    made = kind(training.backbone(fusion_layers=2), listed(folder), **given)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in made.momentum.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return made.train()


KINDS = {"decoder": VqaTask, "classes": VqaClassTask}
