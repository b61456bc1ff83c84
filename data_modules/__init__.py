"""Data: WebDataset shards in, the batches of `softmask.batch` out."""

from data_modules.base import ShardedData
from data_modules.grounding import WHOLE, GroundingData
from data_modules.image import WEAK, Distortion
from data_modules.pictured import FINE_TUNING, PicturedData
from data_modules.pretrain import PretrainData
from data_modules.retrieval import RetrievalData
from data_modules.text import TextOptions

__all__ = [
    "FINE_TUNING",
    "WEAK",
    "WHOLE",
    "Distortion",
    "GroundingData",
    "PicturedData",
    "PretrainData",
    "RetrievalData",
    "ShardedData",
    "TextOptions",
]
