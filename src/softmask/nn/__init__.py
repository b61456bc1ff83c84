"""Layers: attention, fusion, encoders, heads."""

from softmask.nn.fusion import FusionEncoder, FusionLayer, ImageKeys, interleave, regroup
from softmask.nn.heads import Matcher, Projection, WordHead
from softmask.nn.image import ImageEncoder
from softmask.nn.text import TextEncoder

__all__ = [
    "FusionEncoder",
    "FusionLayer",
    "ImageEncoder",
    "ImageKeys",
    "Matcher",
    "Projection",
    "TextEncoder",
    "WordHead",
    "interleave",
    "regroup",
]
