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
        self.file, self.size = file, size
        self._compose = loaded if isinstance(loaded, A.Compose) else A.Compose([loaded])

    def __call__(self, pixels: Pixels, seed: int) -> Pixels:
        """Distort a picture; the same seed gives the same result in every process.

        Raises:
            InputError: if the pipeline cannot change it, or gives no (H, W, 3) uint8.
        """
        # Compose 2.0.8 counts its own draws: in another worker or epoch they would repeat.
        self._compose.set_random_seed(seed % 2**32)
        changed = self._checked(self._change(pixels))
        return (
            changed if changed.shape[:2] == (self.size, self.size) else resize(changed, self.size)
        )

    def _change(self, pixels: Pixels) -> object:
        try:
            return self._compose(image=pixels)["image"]
        except Exception as error:  # whatever a step does not like about a picture
            height, width = pixels.shape[:2]
            raise InputError(
                f"distortion.pipeline {self.file!r} cannot change a picture of {width} x {height} "
                f"pixels ({first_line(error)}): let it begin with a step that takes every size, "
                f"such as SmallestMaxSize or PadIfNeeded."
            ) from error

    def _checked(self, changed: object) -> Pixels:
        kind = getattr(changed, "dtype", type(changed))
        shape: tuple[int, ...] = getattr(changed, "shape", ())
        # Cast, numbers from 0 to 1 would be black, and one channel would be read as three.
        if kind != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise InputError(
                f"distortion.pipeline {self.file!r} gives {kind} of shape {tuple(shape)}, and "
                f"training wants uint8 of shape (height, width, 3): leave out steps such as "
                f"Normalize, ToFloat and ToTensorV2 (the model normalises), and let ToGray give "
                f"three channels."
            )
        return np.ascontiguousarray(changed, np.uint8)
