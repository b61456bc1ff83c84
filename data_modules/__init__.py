"""Data: WebDataset shards in, the batches of `softmask.batch` out."""

from data_modules.base import ShardedData
from data_modules.caption import CaptionData
from data_modules.classes import ClassData
from data_modules.entailment import EntailmentData
from data_modules.grounding import WHOLE, GroundingData
from data_modules.image import WEAK, Distortion
from data_modules.nlvr2 import Nlvr2Data
from data_modules.pictured import FINE_TUNING, PicturedData
from data_modules.pretrain import PretrainData
from data_modules.retrieval import RetrievalData
from data_modules.text import TextOptions
from data_modules.vqa import VqaData

__all__ = [
    "FINE_TUNING",
    "WEAK",
    "WHOLE",
    "CaptionData",
    "ClassData",
    "Distortion",
    "EntailmentData",
    "GroundingData",
    "Nlvr2Data",
    "PicturedData",
    "PretrainData",
    "RetrievalData",
    "ShardedData",
    "TextOptions",
    "VqaData",
]
