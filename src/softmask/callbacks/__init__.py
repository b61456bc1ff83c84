"""Callbacks: where to go on from, speed, results, soft masks as pictures, scores on disk."""

from softmask.callbacks.folder import run_folder
from softmask.callbacks.last import LastCheckpoint
from softmask.callbacks.panels import SoftMaskPanels
from softmask.callbacks.performance import Performance
from softmask.callbacks.report import RunReport, table
from softmask.callbacks.scores import PairScores

__all__ = [
    "LastCheckpoint",
    "PairScores",
    "Performance",
    "RunReport",
    "SoftMaskPanels",
    "run_folder",
    "table",
]
