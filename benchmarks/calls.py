"""What a step asks of the kernels, counted."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

WAITING = ("_local_scalar_dense", "item", "nonzero", "masked_select", "lift_fresh")
"""Calls for whose answer the host waits: `lift_fresh` brings Python's values, which a GPU fetches
before the host may go on; `multinomial` waits inside of its kernel too, on CUDA."""


class Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the calls that reach the kernels while it is entered.

    `count` holds all of them by name, `works` those that are not mere views of a tensor.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count: Counter[str] = Counter()
        self.works: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Count one call and make it."""
        name = func.overloadpacket.__name__
        self.count[name] += 1
        if not func.is_view:
            self.works[name] += 1
        return func(*args, **(kwargs or {}))

    @property
    def waits(self) -> int:
        """How often the host waited for a value."""
        return sum(self.count[name] for name in WAITING)


def counted(run: Callable[[], object]) -> Calls:
    """Count the calls of one run."""
    calls = Calls()
    with calls:
        run()
    return calls
