"""Tasks: one LightningModule each."""

from softmask.tasks.base import TaskModule
from softmask.tasks.caption import CaptionTask
from softmask.tasks.classified import ClassifiedTask
from softmask.tasks.classify import ClassifyTask
from softmask.tasks.contrast import ContrastTask, Negatives, Seen
from softmask.tasks.entailment import EntailmentTask
from softmask.tasks.nlvr2 import Nlvr2Task
from softmask.tasks.nlvr2_pretrain import Nlvr2PretrainTask
from softmask.tasks.objective import (
    Contrast,
    Distillation,
    Evaluation,
    Ranking,
    SoftMasking,
    Weights,
)
from softmask.tasks.pairs import PairTask
from softmask.tasks.pretrain import PretrainTask
from softmask.tasks.question import QuestionTask
from softmask.tasks.taught import TaughtTask
from softmask.tasks.vqa import VqaTask
from softmask.tasks.vqa_class import VqaClassTask

__all__ = [
    "CaptionTask",
    "ClassifiedTask",
    "ClassifyTask",
    "Contrast",
    "ContrastTask",
    "Distillation",
    "EntailmentTask",
    "Evaluation",
    "Negatives",
    "Nlvr2PretrainTask",
    "Nlvr2Task",
    "PairTask",
    "PretrainTask",
    "QuestionTask",
    "Ranking",
    "Seen",
    "SoftMasking",
    "TaskModule",
    "TaughtTask",
    "VqaClassTask",
    "VqaTask",
    "Weights",
]
