"""Tasks: one LightningModule each."""

from softmask.tasks.base import TaskModule
from softmask.tasks.objective import Contrast, Evaluation, SoftMasking, Weights
from softmask.tasks.pairs import PairTask
from softmask.tasks.pretrain import PretrainTask

__all__ = [
    "Contrast",
    "Evaluation",
    "PairTask",
    "PretrainTask",
    "SoftMasking",
    "TaskModule",
    "Weights",
]
