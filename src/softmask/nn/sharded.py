"""Parameters in shards: a rank keeps its part of each and gathers the rest to compute (FSDP2).

Blocks of ViTs and BERTs are gathered one at a time. All else is gathered for a whole step: soft
masks differentiate fusion layers in the middle of it, and table, projections and heads are read by
several losses. Not among the package's names, for inference does without all this.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, pairwise
from typing import cast

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers.models.bert.modeling_bert import BertLayer


def shard(task: nn.Module, mesh: DeviceMesh, methods: Sequence[str]) -> None:
    """Cut every parameter of a task, twins included, into a part for each rank of a mesh.

    Scalars stay whole, and so do buffers. All ranks start with what the first one has.

    Args:
        task: on its device.
        mesh: of one dimension.
        methods: names of the task's methods that compute with whole parameters; none calls another.
    """
    group, kind = mesh.get_group(), type(task).__name__
    for tensor in chain(task.parameters(), task.buffers()):
        dist.broadcast(tensor.data, group=group, group_src=0)
    stacks = [[b for b in m.children() if isinstance(b, Block | BertLayer)] for m in task.modules()]
    for block in chain(*stacks):
        fully_shard(block, mesh=mesh)
    scalars = {p for p in task.parameters() if p.ndim == 0}  # nothing to cut
    fully_shard(task, mesh=mesh, reshard_after_forward=False, ignored_params=scalars)
    for scalar in scalars:
        if scalar.requires_grad:
            average = partial(_average, group=group)
            scalar.register_post_accumulate_grad_hook(average)  # type: ignore[no-untyped-call]
    # Told, not guessed from earlier calls: ranks may make other ones in an evaluation.
    for stack in stacks:
        for before, after in pairwise(cast(list[FSDPModule], [task, task, *stack])):
            after.set_modules_to_backward_prefetch([before])
    for method in methods:
        register_fsdp_forward_method(task, method)
    type(task).__name__ = kind  # by which checkpoints and reports know it


def gather(task: nn.Module) -> None:
    """Make all parameters whole, until `release`: each rank can then compute on its own."""
    # Whole parameters that inference mode made could never be trained.
    with torch.inference_mode(False), torch.no_grad():
        for module in _sharded(task):
            module.set_reshard_after_forward(False, recurse=False)
            module.unshard()


def release(task: nn.Module) -> None:
    """Keep shards alone again."""
    for module in _sharded(task):
        module.set_reshard_after_forward(module is not cast(FSDPModule, task), recurse=False)
        module.reshard()


def whole(tensor: Tensor) -> Tensor:
    """A tensor of which each rank may have a shard; all ranks ask together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def shard_like(tensor: Tensor, own: Tensor) -> Tensor:
    """This rank's shard of a whole tensor, cut as `own` is; a copy."""
    if isinstance(own, DTensor) and tensor.shape == own.shape:
        tensor = distribute_tensor(tensor, own.device_mesh, own.placements, src_data_rank=None)
    return tensor.clone()


def _sharded(task: nn.Module) -> Iterator[FSDPModule]:
    return (module for module in task.modules() if isinstance(module, FSDPModule))


def _average(parameter: Tensor, group: dist.ProcessGroup) -> None:
    # What earlier batches of the step left there is an average already and stays one.
    assert parameter.grad is not None
    dist.all_reduce(parameter.grad, group=group)
    parameter.grad.div_(group.size())
