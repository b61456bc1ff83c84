"""Training with sharded parameters: Lightning's FSDP2, with the checkpoints of one process."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only

from softmask.checkpoint import read_torch
from softmask.nn.sharded import gather, release, shard, shard_like, whole


class FullyShardedStrategy(ModelParallelStrategy):
    """Every rank trains its own batch and keeps its part of weights, gradients, moments and twins.

    For models of which a device cannot hold these several times over. The first rank gathers
    checkpoints in its host's memory and writes them as whole files, those of one process: a run may
    go on under another strategy, or come from one. Evaluations gather the weights once, for ranks
    then take different numbers of steps.

    Args:
        process_group_backend: that ranks talk through; the device's own unless given.
    """

    def __init__(self, process_group_backend: str | None = None) -> None:
        super().__init__(
            tensor_parallel_size=1,
            save_distributed_checkpoint=False,
            process_group_backend=process_group_backend,
        )
        self._gathered = False

    def setup_environment(self) -> None:
        """Meet the other ranks, all of which share one copy."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def shard(self, methods: Sequence[str]) -> None:
        """Cut the parameters of the task, once, on its device; see `softmask.nn.sharded.shard`."""
        task = self.lightning_module
        if task is not None and not isinstance(task, FSDPModule):
            shard(task.to(self.root_device), self.device_mesh["data_parallel"], methods)

    def on_validation_start(self) -> None:
        """Gather."""
        self._gather(True)

    def on_validation_end(self) -> None:
        """Release."""
        self._gather(False)

    def on_test_start(self) -> None:
        """Gather."""
        self._gather(True)

    def on_test_end(self) -> None:
        """Release."""
        self._gather(False)

    def on_predict_start(self) -> None:
        """Gather."""
        self._gather(True)

    def on_predict_end(self) -> None:
        """Release."""
        self._gather(False)

    @property
    def restore_checkpoint_after_setup(self) -> bool:
        """Before it: parameters are cut by then, and optimisers are made for the data's length.

        Lightning asks for the training data to know it, which have to begin where they were left.
        """
        return False

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Checkpoints hold the optimiser's state as every other strategy's do."""
        return True

    def load_checkpoint(
        self,
        checkpoint_path: str | Path,
        weights_only: bool | None = None,  # noqa: ARG002 (code is never run)
    ) -> dict[str, Any]:
        """Read a checkpoint of any strategy; the parts are cut out of it later.

        Raises:
            InputError: it cannot be read.
        """
        return cast(dict[str, Any], read_torch(self.broadcast(checkpoint_path), mmap=True))

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Keep this rank's part of the weights."""
        assert self.lightning_module is not None
        own = self.lightning_module.state_dict()
        given = checkpoint["state_dict"].items()
        parts = {name: shard_like(value, own.get(name, value)) for name, value in given}
        self.lightning_module.load_state_dict(parts, strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Keep this rank's part of the moments."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            own = [p for group in optimizer.param_groups for p in group["params"]]
            numbers = [n for group in state["param_groups"] for n in group["params"]]
            parts = {
                number: {k: shard_like(v, parameter) for k, v in state["state"][number].items()}
                for number, parameter in zip(numbers, own, strict=True)
                if number in state["state"]
            }
            optimizer.load_state_dict({**state, "state": parts})

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Whole weights on the first rank; all ranks ask together."""
        assert self.lightning_module is not None
        state = self._whole(self.lightning_module.state_dict())
        if self._gathered:  # asking puts weights back into shards
            self._gather(True)
        return state

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Whole moments on the first rank; all ranks ask together."""
        return self._whole(optimizer.state_dict())

    def _whole(self, state: dict[str, Any]) -> dict[str, Any]:
        def take(shard: Tensor) -> Tensor | None:
            joined = whole(shard)
            return joined.cpu() if self.is_global_zero else None

        joined: dict[str, Any] = tree_map_only(DTensor, take, state)
        return joined

    def _gather(self, gathered: bool) -> None:
        assert self.lightning_module is not None
        self._gathered = gathered
        (gather if gathered else release)(self.lightning_module)
