"""A training picture on its way from a crop to a square, with its moves put off.

S is the side of the square. A move is six numbers a, b, c, d, e, f that take a pixel at (x, y)
to (a x + b y + c, d x + e y + f): arrays this small cost more to handle than to compute.
"""

import math
import random
from collections.abc import Callable

import cv2
import numpy as np

from data_modules.decode import Crop
from data_modules.tone import FAINT, blur
from softmask.pictures import Pixels, spread

Spread = Callable[[Pixels, Pixels], None]
"""Brings a picture to a square that is there already."""
Move = tuple[float, float, float, float, float, float]
LINEAR = 1 / 6
"""Variance of what spreading between two neighbours blurs, in pixels of the crop: t (1 - t) at a
distance t from the nearer one, on average."""


class Sheet:
    """Pixels and the move that still has to be applied to them.

    A crop smaller than the square is spread as late as can be, so that what comes before has fewer
    pixels to change; moves join the spreading in one warp. What a move brings in is seen by all
    that comes after it. A blurred crop is spread between neighbours, which is quicker than bicubic
    and blurs a little by itself: the rest of the blur comes before.

    Args:
        pixels: (H, W, 3) or (H, W), uint8; they stay as they are.
        size: S.
        fill: gray that moves bring in.
        spread: spreads what no blur and no move does; by Pillow's rule unless told.
    """

    def __init__(self, pixels: Pixels, size: int, fill: int = 0, spread: Spread = spread) -> None:
        self.pixels = np.ascontiguousarray(pixels)
        self.size, self.fill, self.spread = size, fill, spread
        self._moves: Move | None = None
        self._soft = False
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

    def blur(self, sigma: float) -> None:
        """Blur the picture before any move, by a sigma in pixels of the square."""
        high, wide = self.pixels.shape[:2]
        across, down = sigma * wide / self.size, sigma * high / self.size
        if max(high, wide) < self.size and min(across, down) > FAINT:
            self._soft = True
            across, down = (math.sqrt(max(each * each - LINEAR, 0)) for each in (across, down))
        self.pixels = blur(self.pixels, across, down)

    def move(self, move: Move) -> None:
        """Move the picture, at its final size."""
        self._moves = move if self._moves is None else _joined(move, self._moves)

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
        self.pixels, self._moves, self._soft = laid, None, False

    def _lay(self, out: Pixels) -> None:
        """Write (S, S) or (S, S, 3), as the pixels are."""
        if self._moves is None:
            self._spread(out)
            return
        across, down = self._moves[2], self._moves[5]
        if self._moves == (1, 0, across, 0, 1, down) and across % 1 == down % 1 == 0:
            laid = np.empty_like(out)
            self._spread(laid)
            _shift(laid, int(across), int(down), self.fill, out)
        else:
            _warp(self.pixels, _joined(self._moves, self._spreading()), self.fill, out)

    def _spread(self, out: Pixels) -> None:
        if self._soft:
            cv2.resize(self.pixels, out.shape[:2], dst=out, interpolation=cv2.INTER_LINEAR)
        else:
            self.spread(self.pixels, out)

    def _spreading(self) -> Move:
        height, width = self.pixels.shape[:2]
        across, down = self.size / width, self.size / height
        # Pixels are squares: their centres lie at halves.
        return across, 0, across / 2 - 0.5, 0, down, down / 2 - 0.5


def spread_fast(pixels: Pixels, out: Pixels) -> None:
    """Spread as `spread` does, but by OpenCV's bicubic where no side shrinks.

    It takes two thirds of the time where OpenCV is built with Intel's IPP; elsewhere it takes three
    times as much and is not used. It is a little sharper: its parameter is -0.75, Pillow's -0.5.

    Args:
        pixels: (H, W, 3), or (H, W) gray, in one block of memory.
        out: (S, S, 3) or (S, S), written.
    """
    height, width = pixels.shape[:2]
    size = len(out)
    if max(height, width) <= size and cv2.ipp.useIPP():
        cv2.resize(pixels, (size, size), dst=out, interpolation=cv2.INTER_CUBIC)
    else:
        spread(pixels, out)


def _joined(last: Move, first: Move) -> Move:
    """Give the move that does `first`, then `last`."""
    a, b, c, d, e, f = last
    g, h, i, j, k, m = first
    return (
        a * g + b * j,
        a * h + b * k,
        a * i + b * m + c,
        d * g + e * j,
        d * h + e * k,
        d * i + e * m + f,
    )


def _warp(pixels: Pixels, move: Move, fill: int, out: Pixels) -> None:
    coloured = pixels.ndim == 3
    # Four channels warp twice as fast as three.
    source = cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA) if coloured else pixels
    warped = cv2.warpAffine(
        source,
        np.array(move).reshape(2, 3),
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


def centred(linear: tuple[float, float, float, float], size: int) -> Move:
    """Give the move of a turn or a shear, its a, b, d and e, about the middle of the square."""
    a, b, d, e = linear
    middle = (size - 1) / 2
    return a, b, middle * (1 - a - b), d, e, middle * (1 - d - e)


def shifted(across: float, down: float) -> Move:
    """Give the move of a shift in pixels."""
    return 1, 0, across, 0, 1, down
