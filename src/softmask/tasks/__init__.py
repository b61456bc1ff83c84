"""Tasks: one LightningModule each."""

from softmask.tasks.base import TaskModule
from softmask.tasks.contrast import ContrastTask, Negatives, Seen
from softmask.tasks.load import load_task
from softmask.tasks.objective import Contrast, Distillation, Evaluation, SoftMasking, Weights
from softmask.tasks.pairs import PairTask
from softmask.tasks.pretrain import PretrainTask
from softmask.tasks.taught import TaughtTask

__all__ = [
    "Contrast",
    "ContrastTask",
    "Distillation",
    "Evaluation",
    "Negatives",
    "PairTask",
    "PretrainTask",
    "Seen",
    "SoftMasking",
    "TaskModule",
    "TaughtTask",
    "Weights",
    "load_task",
]
