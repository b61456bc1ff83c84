"""A model opened to be asked, and the fingerprint by which its features are known again."""

import hashlib
import json
from typing import Literal, NamedTuple

import torch

from softmask.model import SoftMask
from softmask.placing import checked_device

DType = Literal["float32", "float16", "bfloat16"]
"""Types of a model's weights."""


class Opened(NamedTuple):
    """A model on its device."""

    model: SoftMask
    fingerprint: str


def open_model(source: str, checkpoint: str, device: str, dtype: DType) -> Opened:
    """Load a model for a command, and take its fingerprint before it is rounded.

    Args:
        source: folder of a run, folder made by `softmask weights export` or `convert`, or
            ORGANISATION/NAME on the hub.
        checkpoint: of a run.
        device: "cpu", "cuda:0" and the like.
        dtype: of its weights.

    Raises:
        InputError: there is no such model or device, or it does not match pictures and texts.
    """
    place = checked_device(device)
    model = SoftMask.from_pretrained(source, checkpoint=checkpoint)
    model.matching()
    known = fingerprint(model)  # before `to`, which changes the model itself
    return Opened(model.to(device=place, dtype=getattr(torch, dtype)), known)


def open_any(source: str, checkpoint: str, device: str, dtype: DType) -> SoftMask:
    """Load a model of any task, as `open_model` does one that matches."""
    kind: torch.dtype = getattr(torch, dtype)
    return SoftMask.from_pretrained(source, checkpoint=checkpoint, device=device, dtype=kind)


def fingerprint(model: SoftMask) -> str:
    """SHA-256 of all that a model's answers depend on: weights, sizes and options, word pieces."""
    digest = hashlib.sha256(json.dumps(model.config.to_dict(), sort_keys=True).encode())
    pieces = sorted(model.captions.tokenizer.get_vocab().items())
    digest.update(json.dumps(pieces).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
