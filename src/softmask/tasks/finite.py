"""A non-finite loss or gradient stops the run by name before its weights reach a checkpoint."""

from collections import deque
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from softmask.errors import InputError

Watched = tuple[Tensor, torch.cuda.Event | None, tuple[str, ...], int, tuple[str, ...]]


class FiniteGuard:
    """Looks at every step's losses without making the host wait for the device.

    On CPU a bad loss raises at once, before the backward pass; on CUDA as soon as its value has
    arrived, a few steps later, or when `check(wait=True)` asks, before a checkpoint is written.
    """

    def __init__(self) -> None:
        self._pending: deque[Watched] = deque()

    def watch(self, losses: Mapping[str, Tensor], step: int, keys: Sequence[str]) -> None:
        """Remember the losses of one step, scalars by name, and the samples they came from."""
        values = torch.stack([loss.detach().float() for loss in losses.values()])
        event = None
        if values.is_cuda:
            values = values.to("cpu", non_blocking=True)
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
        self._pending.append((values, event, tuple(losses), step, tuple(keys)))
        self.check()

    def check(self, wait: bool = False) -> None:
        """Look at what has arrived.

        Args:
            wait: look at everything, waiting for the device.

        Raises:
            InputError: names the loss, the step and the sample keys.
        """
        while self._pending:
            values, event, names, step, keys = self._pending[0]
            if event is not None and not event.query():  # type: ignore[no-untyped-call]
                if not wait:
                    return
                event.synchronize()
            self._pending.popleft()
            bad = [
                f"{name}={value}"
                for name, value, ok in zip(
                    names, values.tolist(), values.isfinite().tolist(), strict=True
                )
                if not ok
            ]
            if bad:
                raise InputError(_message(bad, step, keys))


def _message(bad: list[str], step: int, keys: tuple[str, ...]) -> str:
    return (
        f"Training is not finite at step {step}: {', '.join(bad)}. The batch held the samples "
        f"{', '.join(keys)}. The checkpoint before this step is untouched: lower "
        f"model.init_args.optim.lr, use trainer.precision bf16-mixed or 32-true, or look at these "
        f"samples, then resume from it with --ckpt_path."
    )
