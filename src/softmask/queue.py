"""The queue of momentum features that the contrast looks at beside its batch (MoCo, ALBEF).

B pairs of all ranks, Q places, E width.
"""

import torch
from torch import Tensor, nn

from softmask.errors import InputError

NOBODY = -100
"""Id of places that hold random vectors still; no item has it."""


class FeatureQueue(nn.Module):
    """The newest Q pairs of momentum features, with the ids of their images and captions.

    Buffers persist, so a resumed run goes on with the same queue.

    Args:
        size: Q, divisible by the global batch size; 0 for none.
        embed_dim: E.

    Raises:
        InputError: the size is negative.
    """

    image: Tensor
    text: Tensor
    image_id: Tensor
    text_id: Tensor
    pointer: Tensor

    def __init__(self, size: int, embed_dim: int) -> None:
        super().__init__()
        if size < 0:
            raise InputError(f"queue_size={size}: give 0 for no queue, or a positive number.")
        self.size = size
        for name in ("image", "text"):
            start = nn.functional.normalize(torch.randn(size, embed_dim), dim=-1)
            self.register_buffer(name, start)
            self.register_buffer(f"{name}_id", torch.full((size,), NOBODY))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))

    def check(self, batch: int) -> None:
        """Refuse a global batch that does not divide the queue.

        Raises:
            InputError: with the nearest sizes that do.
        """
        if self.size % batch == 0:
            return
        below, above = self.size // batch * batch, -(-self.size // batch) * batch
        raise InputError(
            f"queue_size={self.size} is not divisible by the global batch of {batch} pairs "
            f"(batch_size times ranks), so the queue could not wrap around whole. Set model."
            f"init_args.contrast.queue_size to {' or '.join(str(n) for n in (below, above) if n)}"
            f"{' or 0' if not below else ''}, or change data.init_args.batch_size."
        )

    @torch.no_grad()
    def push(self, image: Tensor, text: Tensor, image_id: Tensor, text_id: Tensor) -> None:
        """Put the newest pairs in the place of the oldest, without host synchronisation.

        Args:
            image: momentum features, (B, E).
            text: momentum features, (B, E).
            image_id: (B,).
            text_id: (B,).
        """
        if not self.size:
            return
        places = (self.pointer + torch.arange(len(image), device=image.device)) % self.size
        for name, value in (
            ("image", image),
            ("text", text),
            ("image_id", image_id),
            ("text_id", text_id),
        ):
            buffer: Tensor = getattr(self, name)
            buffer.index_copy_(0, places, value.to(buffer.dtype))
        self.pointer.copy_((self.pointer + len(image)) % self.size)
