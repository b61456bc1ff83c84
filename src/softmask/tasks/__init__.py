"""Tasks: one LightningModule each."""

from softmask.tasks.base import TaskModule
from softmask.tasks.caption import CaptionTask
from softmask.tasks.classified import ClassifiedTask
from softmask.tasks.classify import ClassifyTask
from softmask.tasks.contrast import ContrastTask, Negatives, Seen
from softmask.tasks.entailment import EntailmentTask
from softmask.tasks.evaluated import EvaluatedTask
from softmask.tasks.grounding import GroundingTask
from softmask.tasks.load import load_task
from softmask.tasks.nlvr2 import Nlvr2Task
from softmask.tasks.nlvr2_pretrain import Nlvr2PretrainTask
from softmask.tasks.objective import (
    Contrast,
    Distillation,
    Evaluation,
    Pointing,
    Ranking,
    SoftMasking,
    Weights,
)
from softmask.tasks.pairs import PairTask
from softmask.tasks.pretrain import PretrainTask
from softmask.tasks.question import QuestionTask
from softmask.tasks.retrieval import RetrievalTask
from softmask.tasks.soft import SoftMaskTask
from softmask.tasks.taught import TaughtTask
from softmask.tasks.vqa import VqaTask
from softmask.tasks.vqa_class import VqaClassTask
from softmask.tasks.zeroshot import ClassRerank, ZeroShotTask

__all__ = [
    "CaptionTask",
    "ClassRerank",
    "ClassifiedTask",
    "ClassifyTask",
    "Contrast",
    "ContrastTask",
    "Distillation",
    "EntailmentTask",
    "EvaluatedTask",
    "Evaluation",
    "GroundingTask",
    "Negatives",
    "Nlvr2PretrainTask",
    "Nlvr2Task",
    "PairTask",
    "Pointing",
    "PretrainTask",
    "QuestionTask",
    "Ranking",
    "RetrievalTask",
    "Seen",
    "SoftMaskTask",
    "SoftMasking",
    "TaskModule",
    "TaughtTask",
    "VqaClassTask",
    "VqaTask",
    "Weights",
    "ZeroShotTask",
    "load_task",
]
