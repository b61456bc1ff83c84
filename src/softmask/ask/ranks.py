"""Processes that embed together, looked at before any of them starts."""

from typing import NamedTuple

import torch

from softmask.errors import InputError
from softmask.launched import check_world


class Ranks(NamedTuple):
    """Processes that embed together."""

    devices: int  # of each node, one a process
    nodes: int
    device: str  # of several: cpu or cuda

    @property
    def several(self) -> bool:
        """Whether there is more than one."""
        return self.devices * self.nodes > 1

    def check(self) -> None:
        """Refuse ranks that cannot be, before any starts.

        Raises:
            InputError: there are not so many devices, or a launcher started other ranks.
        """
        check_world(self.devices, self.nodes, ("--devices", "--num_nodes"))
        if not self.several:
            return
        if self.device not in ("cpu", "cuda"):
            raise InputError(
                f"The device is '{self.device}' for {self.devices} processes on {self.nodes} "
                f"node(s): give --device cpu or --device cuda, and each takes its own."
            )
        there = torch.cuda.device_count()
        if self.device == "cuda" and self.devices > there:
            raise InputError(
                f"--devices is {self.devices}, and this machine has {there} GPU(s) that can be "
                f"used: give as many at most, or --device cpu."
            )
