"""Layers: attention, fusion, encoders, heads."""

from softmask.nn.blocks import checkpoint_blocks, compile_blocks
from softmask.nn.chunks import chunk_encoders
from softmask.nn.decoder import AnswerDecoder
from softmask.nn.fusion import (
    FusionEncoder,
    FusionLayer,
    ImageKeys,
    SeveralKeys,
    interleave,
    regroup,
)
from softmask.nn.heads import ClassHead, Matcher, Projection, WordHead
from softmask.nn.image import ImageEncoder, within_reach
from softmask.nn.pair import PairFusion
from softmask.nn.text import TextEncoder

__all__ = [
    "AnswerDecoder",
    "ClassHead",
    "FusionEncoder",
    "FusionLayer",
    "ImageEncoder",
    "ImageKeys",
    "Matcher",
    "PairFusion",
    "Projection",
    "SeveralKeys",
    "TextEncoder",
    "WordHead",
    "checkpoint_blocks",
    "chunk_encoders",
    "compile_blocks",
    "interleave",
    "regroup",
    "within_reach",
]
