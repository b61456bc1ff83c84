"""A small model that nobody trained, pictures and texts, for the commands that ask a model."""

import csv
from pathlib import Path
from typing import Any

import torch
from fake import COLOURS, SHAPES, draw
from PIL import Image
from tiny import shake

from softmask import SoftMask
from softmask.config import AnswerConfig, FusionConfig, ImageConfig, ModelConfig, TextConfig

ANSWERS = AnswerConfig(("yes", "no", *COLOURS, "on the left"))
TEXTS = [f"a {colour} {shape}" for colour in COLOURS for shape in SHAPES]


def write_model(folder: Path, seed: int = 0, **tuned: Any) -> Path:
    """A shared model whose answers differ from picture to picture and text to text.

    Given `answers` or `truth` of its config, it was fine-tuned for them.
    """
    config = ModelConfig(
        ImageConfig(
            "vit_tiny_patch16_224", image_size=32, patch_size=8, width=16, depth=1, heads=2
        ),
        TextConfig(layers=1, width=16, heads=2, hidden=32, vocab_size=30522, max_positions=32),
        FusionConfig(width=16, layers=4, heads=2, hidden=32, image_width=16),
        embed_dim=8,
        mask_layer=2,
        words=False,
        matcher=not tuned,
        **tuned,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # whatever was drawn before, in other tests
        model = SoftMask(config)
    shake(model, seed)
    if model.matcher is not None:
        with torch.no_grad():
            model.matcher.weight.mul_(3)
    model.save_pretrained(folder)
    return folder


def write_pictures(folder: Path, count: int = 10) -> list[str]:
    """Pictures of differing shapes, one of them a folder deeper; their names in order."""
    (folder / "deep").mkdir(parents=True)
    names = [f"{number:02d}.png" for number in range(count - 1)] + ["deep/last.jpg"]
    for number, name in enumerate(names):
        _, colour, shape = TEXTS[number].split()
        ground = "white" if colour != "white" else "black"
        picture = Image.fromarray(draw(colour, shape, ("left", "right")[number % 2], ground, 48))
        picture.resize((48, 32 + number)).save(folder / name)
    return sorted(names)


def write_table(table: Path, rows: list[tuple[str, ...]], columns=("image", "text")) -> Path:
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return table
