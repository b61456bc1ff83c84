"""A training picture on its way from a crop to a square, with its moves put off.

S is the side of the square. Matrices are (3, 3) and take a pixel's (x, y, 1) to its new place.
"""

import math
import random
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from data_modules.decode import Crop
from softmask.pictures import Pixels, spread

Matrix = NDArray[np.float64]


class Sheet:
    """Pixels and the matrix that still has to be applied to them.

    A crop smaller than the square is spread as late as can be, so that what comes before has fewer
    pixels to change; moves join the spreading in one warp. What a move brings in is seen by all
    that comes after it.

    Args:
        pixels: (H, W, 3) or (H, W), uint8; they stay as they are.
        size: S.
        fill: gray that moves bring in.
    """

    def __init__(self, pixels: Pixels, size: int, fill: int = 0) -> None:
        self.pixels = np.ascontiguousarray(pixels)
        self.size, self.fill = size, fill
        self._moves: Matrix | None = None
        if pixels.shape[0] * pixels.shape[1] > size * size:
            self._settle()

    def stay(self) -> None:
        """Change nothing."""

    def change(self, function: Callable[[Pixels], Pixels], *, late: bool = False) -> None:
        """Change the pixels.

        Args:
            function: of the pixels, into as many.
            late: it looks at neighbours by a number of pixels, and so needs the final size.
        """
        if late or self._moves is not None:
            self._settle()
        self.pixels = function(self.pixels)

    def move(self, matrix: Matrix) -> None:
        """Move the picture, at its final size."""
        self._moves = matrix if self._moves is None else matrix @ self._moves

    def lay(self, out: Pixels | None = None) -> Pixels:
        """Spread and move the pixels, and give them.

        Args:
            out: where to, (S, S, 3), a part of a batch for instance; a new picture unless given.
        """
        out = np.empty((self.size, self.size, 3), np.uint8) if out is None else out
        if self.pixels.ndim == 3:
            self._lay(out)
        else:
            gray = np.empty((self.size, self.size), np.uint8)
            self._lay(gray)
            cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB, dst=out)
        return out

    def _settle(self) -> None:
        laid = np.empty((self.size, self.size, *self.pixels.shape[2:]), np.uint8)
        self._lay(laid)
        self.pixels, self._moves = laid, None

    def _lay(self, out: Pixels) -> None:
        """Write (S, S) or (S, S, 3), as the pixels are."""
        if self._moves is None:
            spread(self.pixels, out)
            return
        linear, by = self._moves[:2, :2], self._moves[:2, 2]
        if np.array_equal(linear, np.eye(2)) and not (by % 1).any():
            laid = np.empty_like(out)
            spread(self.pixels, laid)
            _shift(laid, int(by[0]), int(by[1]), self.fill, out)
        else:
            _warp(self.pixels, self._moves @ self._spread(), self.fill, out)

    def _spread(self) -> Matrix:
        height, width = self.pixels.shape[:2]
        across, down = self.size / width, self.size / height
        # Pixels are squares: their centres lie at halves.
        return np.array(
            [[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]], np.float64
        )


def _warp(pixels: Pixels, matrix: Matrix, fill: int, out: Pixels) -> None:
    coloured = pixels.ndim == 3
    # Four channels warp twice as fast as three.
    source = cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA) if coloured else pixels
    warped = cv2.warpAffine(
        source,
        matrix[:2],
        out.shape[:2],
        dst=None if coloured else out,
        flags=cv2.INTER_LINEAR,
        borderValue=(fill,) * 4,
    )
    if coloured:
        cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB, dst=out)


def _shift(pixels: Pixels, across: int, down: int, fill: int, out: Pixels) -> None:
    """Move by whole pixels."""
    size = len(pixels)
    across, down = (min(max(by, -size), size) for by in (across, down))
    out[:] = fill
    kept = pixels[max(-down, 0) : size - down, max(-across, 0) : size - across]
    out[max(down, 0) : size + down, max(across, 0) : size + across] = kept


def draw_crop(
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    rng: random.Random,
) -> Crop:
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
    least, most = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        shape = math.exp(rng.uniform(least, most))
        wide, high = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < wide <= width and 0 < high <= height:
            # What rng.randint does, in a third of its time.
            top = int(rng.random() * (height - high + 1))
            left = int(rng.random() * (width - wide + 1))
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
