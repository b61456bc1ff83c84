"""Batches of pictures in memory that is used again.

B pictures of S x S pixels.
"""

import weakref
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from data_modules.decode import Pixels
from data_modules.sheet import Sheet

KEPT = 2
"""Canvases that wait for a batch: one is filled while the batch before it is read."""


class Canvases:
    """Lays pictures into batches, on memory that no batch holds any more.

    Memory of this size comes from the system page by page, each of them cleared first, and goes
    back at once; one canvas saves that for a whole run.
    """

    def __init__(self) -> None:
        self._free: list[Pixels] = []

    def __getstate__(self) -> dict[str, object]:
        """Take no memory into a worker process."""
        return {"_free": []}

    def lay(self, sheets: Sequence[Sheet]) -> Tensor:
        """Lay pictures of one size below each other, (B, 3, S, S) uint8."""
        images = self._blank((len(sheets), sheets[0].size, sheets[0].size, 3))
        for sheet, image in zip(sheets, images, strict=True):
            sheet.lay(image)
        # The permuted view has channels-last strides: the layout that convolutions like best.
        return torch.from_numpy(images).permute(0, 3, 1, 2)

    def _blank(self, shape: tuple[int, ...]) -> Pixels:
        memory = self._free.pop() if self._free else np.empty(shape, np.uint8)
        if memory.shape != shape:
            memory = np.empty(shape, np.uint8)
        lent = memory[:]
        # A tensor and all that is cut from it hold the array that it was made of.
        weakref.finalize(lent, self._take_back, memory).atexit = False
        return lent

    def _take_back(self, memory: Pixels) -> None:
        if len(self._free) < KEPT:
            self._free.append(memory)
