"""A training picture on its way from a crop to a square, with its moves put off.

S is the side of the square. Matrices are (3, 3) and take a pixel's (x, y, 1) to its new place.
"""

import math
import random
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from softmask.pictures import Pixels, resize

Matrix = NDArray[np.float64]


class Sheet:
    """Pixels and the matrix that still has to be applied to them.

    A crop smaller than the square is spread as late as can be, so that what comes before has fewer
    pixels to change; moves join the spreading in one warp. What a move brings in is seen by all
    that comes after it.

    Args:
        pixels: (H, W, 3) or (H, W), uint8.
        size: S.
        fill: gray that moves bring in.
    """

    def __init__(self, pixels: Pixels, size: int, fill: int) -> None:
        self.pixels, self.size, self.fill = pixels, size, fill
        self._moves: Matrix | None = None
        if pixels.shape[0] > size or pixels.shape[1] > size:
            self.lay()

    def stay(self) -> None:
        """Change nothing."""

    def change(self, function: Callable[[Pixels], Pixels], *, late: bool = False) -> None:
        """Change the pixels.

        Args:
            function: of the pixels, into as many.
            late: it looks at neighbours by a number of pixels, and so needs the final size.
        """
        if late or self._moves is not None:
            self.lay()
        self.pixels = function(self.pixels)

    def move(self, matrix: Matrix) -> None:
        """Move the picture, at its final size."""
        self._moves = matrix if self._moves is None else matrix @ self._moves

    def lay(self) -> Pixels:
        """Spread and move the pixels now, and give them: (S, S, 3) or (S, S)."""
        if self._moves is not None:
            self._warp(self._moves @ self._spread())
        elif self.pixels.shape[:2] != (self.size, self.size):
            self.pixels = resize(self.pixels, self.size)
        self._moves = None
        return self.pixels

    def _spread(self) -> Matrix:
        height, width = self.pixels.shape[:2]
        across, down = self.size / width, self.size / height
        # Pixels are squares: their centres lie at halves.
        return np.array(
            [[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]], np.float64
        )

    def _warp(self, matrix: Matrix) -> None:
        coloured = self.pixels.ndim == 3
        # Four channels warp twice as fast as three.
        source = cv2.cvtColor(self.pixels, cv2.COLOR_RGB2RGBA) if coloured else self.pixels
        place, ground = (self.size, self.size), (self.fill,) * 4
        warped = cv2.warpAffine(
            source, matrix[:2], place, flags=cv2.INTER_LINEAR, borderValue=ground
        )
        final = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB) if coloured else warped
        self.pixels = np.asarray(final, np.uint8)


def draw_crop(
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    rng: random.Random,
) -> tuple[slice, slice]:
    """Draw a crop's rows and columns as torchvision does: ten trials, then the middle.

    Args:
        height: of the picture.
        width: of the picture.
        scale: smallest and largest share of the area; no less than 1 is all of it.
        ratio: smallest and largest width over height.
        rng: of the picture.
    """
    if scale[0] >= 1:
        return slice(0, height), slice(0, width)
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        shape = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        wide, high = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < wide <= width and 0 < high <= height:
            top, left = rng.randint(0, height - high), rng.randint(0, width - wide)
            return slice(top, top + high), slice(left, left + wide)
    wide = min(width, max(1, round(height * ratio[1])))
    high = min(height, max(1, round(width / ratio[0])))
    top, left = (height - high) // 2, (width - wide) // 2
    return slice(top, top + high), slice(left, left + wide)


def centred(linear: NDArray[np.float64], size: int) -> Matrix:
    """Give the matrix of a turn or a shear, (2, 2), about the middle of the square."""
    middle = np.full(2, (size - 1) / 2)
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, middle - linear @ middle
    return matrix


def shifted(across: float, down: float) -> Matrix:
    """Give the matrix of a shift in pixels."""
    matrix = np.eye(3)
    matrix[:2, 2] = across, down
    return matrix
