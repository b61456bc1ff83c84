"""A user's own distortions: an albumentations pipeline from a file, drawn anew for each sample."""

import os
from pathlib import Path

import numpy as np

from data_modules.decode import Pixels
from softmask.errors import InputError, first_line
from softmask.pictures import resize

# Its import asks the network for a newer version otherwise.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
import albumentations as A  # type: ignore[import-untyped]


class Pipeline:
    """What `albumentations.save(transform, FILE)` wrote.

    Args:
        file: .json, .yaml or .yml.
        size: side of the square it gives, in pixels.

    Raises:
        InputError: if the file holds no pipeline.
    """

    def __init__(self, file: str, size: int) -> None:
        kind = "json" if Path(file).suffix == ".json" else "yaml"
        try:
            loaded = A.load(file, data_format=kind)
        except Exception as error:  # whatever a wrong file makes its reader stumble over
            raise InputError(
                f"distortion.pipeline {file!r} holds no albumentations pipeline "
                f"({first_line(error)}): write one with albumentations.save(transform, FILE, "
                f'data_format="yaml").'
            ) from error
        self.size = size
        self._compose = loaded if isinstance(loaded, A.Compose) else A.Compose([loaded])

    def __call__(self, pixels: Pixels, seed: int) -> Pixels:
        """Distort a picture; the same seed gives the same result in every process."""
        # Compose 2.0.8 counts its own draws: in another worker or epoch they would repeat.
        self._compose.set_random_seed(seed % 2**32)
        changed = np.ascontiguousarray(self._compose(image=pixels)["image"], np.uint8)
        return (
            changed if changed.shape[:2] == (self.size, self.size) else resize(changed, self.size)
        )
