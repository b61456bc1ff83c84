"""Tasks: one LightningModule each."""

from softmask.tasks.base import TaskModule
from softmask.tasks.contrast import ContrastTask, Negatives, Seen
from softmask.tasks.objective import Contrast, Evaluation, SoftMasking, Weights
from softmask.tasks.pairs import PairTask
from softmask.tasks.pretrain import PretrainTask

__all__ = [
    "Contrast",
    "ContrastTask",
    "Evaluation",
    "Negatives",
    "PairTask",
    "PretrainTask",
    "Seen",
    "SoftMasking",
    "TaskModule",
    "Weights",
]
