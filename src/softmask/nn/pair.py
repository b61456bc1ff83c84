"""The fusion encoder of two images: each fusion layer twice, one for each (ALBEF, section 5).

R texts, I images, L text tokens, N image tokens, D width.
"""

import copy

from torch import Tensor, nn

from softmask.nn.fusion import FusionEncoder, ImageKeys


class PairFusion(FusionEncoder):
    """Layers that look at the left and at the right image in turn.

    Layer 2 p looks left and layer 2 p + 1 right. The two project images to keys and values with
    one set of weights, everything else is their own. Keys come layer by layer, so
    that all passes are those of `FusionEncoder`.

    Args:
        single: the fusion encoder of one image whose layers are used, and copied for the right.
    """

    def __init__(self, single: FusionEncoder) -> None:
        # No layers of its own: they come from the one that is given.
        super().__init__(single.width, layers=0, heads=1, image_width=single.image_width)
        for left in single._stack():
            right = copy.deepcopy(left)
            right.image.kv = left.image.kv
            self.layers.extend([left, right])

    def project(self, image: Tensor) -> ImageKeys:
        """Image tokens of R left images, then of their R right ones, (2 R, N, image width)."""
        return _in_turn([tuple(kv.chunk(2)) for kv in self._project_each(image)])

    def project_chosen(self, image: Tensor, left: Tensor, right: Tensor) -> ImageKeys:
        """Pairs out of I images, each projected once however many pairs it is in.

        Args:
            image: tokens, (I, N, image width).
            left: which image is on the left of each text, (R,).
            right: which is on the right, (R,).
        """
        each = self._project_each(image)
        return _in_turn([(kv.index_select(0, left), kv.index_select(0, right)) for kv in each])

    def levels(self) -> list[list[nn.Parameter]]:
        """Parameters by pair of layers, which stands for one of a single image's."""
        stack = self._stack()
        pairs = zip(stack[::2], stack[1::2], strict=True)
        return [[*left.parameters(), *right.parameters()] for left, right in pairs]

    def _project_each(self, image: Tensor) -> list[Tensor]:
        return [layer.image.project(image) for layer in self._stack()[::2]]


def _in_turn(pairs: list[tuple[Tensor, ...]]) -> ImageKeys:
    return ImageKeys(tuple(kv for pair in pairs for kv in pair))
