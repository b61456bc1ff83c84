"""Callbacks: where to go on from, how things run, speed, results, pictures, scores on disk."""

from softmask.callbacks.blocks import Blocks
from softmask.callbacks.board import RunBoard
from softmask.callbacks.dropped import DroppedSamples
from softmask.callbacks.folder import run_folder, run_path
from softmask.callbacks.last import LastCheckpoint, find_last
from softmask.callbacks.matmul import MatmulPrecision
from softmask.callbacks.memory import KeptMemory
from softmask.callbacks.negatives import NegativePanels
from softmask.callbacks.page import RunPage
from softmask.callbacks.panels import GroundingPanels, SoftMaskPanels
from softmask.callbacks.performance import Performance
from softmask.callbacks.preemption import Preemption
from softmask.callbacks.report import RunReport
from softmask.callbacks.retrieved import RetrievalPanels
from softmask.callbacks.scores import PairScores
from softmask.callbacks.settings import RunSettings
from softmask.callbacks.stopwatch import Stopwatch
from softmask.callbacks.updates import UpdateNorm

__all__ = [
    "Blocks",
    "DroppedSamples",
    "GroundingPanels",
    "KeptMemory",
    "LastCheckpoint",
    "MatmulPrecision",
    "NegativePanels",
    "PairScores",
    "Performance",
    "Preemption",
    "RetrievalPanels",
    "RunBoard",
    "RunPage",
    "RunReport",
    "RunSettings",
    "SoftMaskPanels",
    "Stopwatch",
    "UpdateNorm",
    "find_last",
    "run_folder",
    "run_path",
]
