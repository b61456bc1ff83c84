"""Pure functions of tensors, one file a family."""

from softmask.losses.assignment import Assigned, assign, distractors, lonely
from softmask.losses.classes import distilled_answers, distilled_cross_entropy
from softmask.losses.contrastive import focal_itc, itc, similarity, soft_targets
from softmask.losses.language import mlm, next_words
from softmask.losses.matching import (
    hard_negatives,
    itm,
    match_accuracy,
    match_labels,
    same_item,
    without_negative,
)

__all__ = [
    "Assigned",
    "assign",
    "distilled_answers",
    "distilled_cross_entropy",
    "distractors",
    "focal_itc",
    "hard_negatives",
    "itc",
    "itm",
    "lonely",
    "match_accuracy",
    "match_labels",
    "mlm",
    "next_words",
    "same_item",
    "similarity",
    "soft_targets",
    "without_negative",
]
