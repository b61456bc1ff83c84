"""Tasks: one LightningModule each."""

from softmask.tasks.base import TaskModule
from softmask.tasks.contrast import ContrastTask, Negatives, Seen
from softmask.tasks.grounding import GroundingTask
from softmask.tasks.objective import (
    Contrast,
    Distillation,
    Evaluation,
    Pointing,
    SoftMasking,
    Weights,
)
from softmask.tasks.pairs import PairTask
from softmask.tasks.pretrain import PretrainTask
from softmask.tasks.retrieval import RetrievalTask
from softmask.tasks.soft import SoftMaskTask
from softmask.tasks.taught import TaughtTask

__all__ = [
    "Contrast",
    "ContrastTask",
    "Distillation",
    "Evaluation",
    "GroundingTask",
    "Negatives",
    "PairTask",
    "Pointing",
    "PretrainTask",
    "RetrievalTask",
    "Seen",
    "SoftMaskTask",
    "SoftMasking",
    "TaskModule",
    "TaughtTask",
    "Weights",
]
