"""The pipeline to compare with: PIL and torchvision, as most training code is written.

What ALBEF and TCL do, with today's libraries and the very probabilities of our Distortion: PIL
opens the file; torchvision v2 crops (bicubic), mirrors, jitters, grays; PIL blurs, which is quicker
than torchvision's own for PIL pictures; RandAugment's ten operations are torchvision's for PIL
pictures, bilinear for moves as ALBEF's are; then a float tensor, normalised. Captions are tokenised
one by one with the same fast tokenizer; transformers' own collator pads and masks. Files lie loose
in a folder, so no time goes into tars.
"""

import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision.transforms import v2  # type: ignore[import-untyped]
from torchvision.transforms.v2 import functional as F  # type: ignore[import-untyped]
from transformers import DataCollatorForLanguageModeling

from data_modules.image import Distortion
from softmask.nn.image import CLIP_MEAN, CLIP_STD
from softmask.tokenizer import load_tokenizer

Picture = Image.Image
Operation = Callable[[Picture], Picture]


class Naive:
    """Files and captions to float batches.

    Args:
        options: the distortions.
        size: side of the pictures in pixels.
        max_tokens: tokens kept of a caption.
    """

    def __init__(self, options: Distortion, size: int, max_tokens: int = 25) -> None:
        self.transform = transform(options, size)
        self.tokenizer, self.max_tokens = load_tokenizer(), max_tokens
        self.collate = DataCollatorForLanguageModeling(self.tokenizer, mlm_probability=0.15)

    def __call__(self, files: Sequence[Path], captions: Sequence[str]) -> dict[str, Tensor]:
        """Make one batch."""
        samples = [self.sample(*pair) for pair in zip(files, captions, strict=True)]
        batch: dict[str, Tensor] = dict(self.collate([encoded for _, encoded in samples]))
        batch["image"] = torch.stack([image for image, _ in samples])
        return batch

    def sample(self, file: Path, caption: str) -> tuple[Tensor, Any]:
        """Make one sample: the picture, and what the tokenizer gives."""
        with Image.open(file) as picture:
            image: Tensor = self.transform(picture.convert("RGB"))
        return image, self.tokenizer(caption, truncation=True, max_length=self.max_tokens)


def transform(options: Distortion, size: int) -> Callable[[Picture], Tensor]:
    """Give the distortions as torchvision writes them."""
    return v2.Compose(  # type: ignore[no-any-return]
        [
            v2.RandomResizedCrop(
                size,
                scale=options.crop_scale,
                ratio=options.crop_ratio,
                interpolation=v2.InterpolationMode.BICUBIC,
            ),
            v2.RandomHorizontalFlip(options.flip),
            v2.RandomApply([v2.ColorJitter(*options.jitter)], options.jitter_prob),
            v2.RandomGrayscale(options.gray_prob),
            v2.RandomApply([partial(blur, sigma=options.blur_sigma)], options.blur_prob),
            partial(
                augment,
                draws=options.rand_ops,
                probability=options.rand_prob,
                choices=tuple(operations(options.rand_magnitude, size, options.fill).values()),
            ),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(CLIP_MEAN, CLIP_STD),
        ]
    )


def blur(picture: Picture, sigma: tuple[float, float]) -> Picture:
    """Blur as MoCo, SimSiam and TCL do."""
    return picture.filter(ImageFilter.GaussianBlur(random.uniform(*sigma)))


def augment(
    picture: Picture, draws: int, probability: float, choices: Sequence[Sequence[Operation]]
) -> Picture:
    """Apply RandAugment as ALBEF does: each draw with a probability."""
    for _ in range(draws):
        if random.random() < probability:
            picture = random.choice(random.choice(choices))(picture)
    return picture


def operations(magnitude: float, size: int, fill: int) -> dict[str, tuple[Operation, ...]]:
    """Give RandAugment's operations by name, by our `data_modules.image.operations`'s names."""
    level = magnitude / 10
    factor = 0.1 + 1.8 * level
    shear, shift, turn = float(np.degrees(0.3 * level)), 10 / 256 * level * size, 30 * level

    def moves(**most: Any) -> tuple[Operation, ...]:  # noqa: ANN401 (torchvision's own mixture)
        still = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
        return tuple(
            partial(
                F.affine,
                **still | {name: _times(way, value) for name, value in most.items()},
                interpolation=v2.InterpolationMode.BILINEAR,
                fill=[fill] * 3,
            )
            for way in (-1, 1)
        )

    return {
        "identity": (lambda picture: picture,),
        "autocontrast": (F.autocontrast,),
        "equalize": (F.equalize,),
        "brightness": (partial(F.adjust_brightness, brightness_factor=factor),),
        "sharpness": (partial(F.adjust_sharpness, sharpness_factor=factor),),
        "shear_x": moves(shear=[shear, 0.0]),
        "shear_y": moves(shear=[0.0, shear]),
        "translate_x": moves(translate=[round(shift), 0]),
        "translate_y": moves(translate=[0, round(shift)]),
        "rotate": moves(angle=turn),
    }


def _times(way: int, value: Any) -> Any:  # noqa: ANN401 (a number, or a list of them)
    return [way * each for each in value] if isinstance(value, list) else way * value
