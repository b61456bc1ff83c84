"""The repeated blocks of the encoders, compiled or recomputed: other ways to the same numbers.

Both replace the `forward` of a block alone, so names of parameters stay as they are.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from timm.models.vision_transformer import Block
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.models.bert.modeling_bert import BertLayer

from softmask.nn.fusion import FeedForward, FusionLayer

Backend = Callable[..., Callable[..., Any]]


def compile_blocks(module: nn.Module, backend: str | Backend = "inductor") -> None:
    """Compile the blocks of all encoders in a module, twins included, each kind once.

    ViT blocks see one shape in training and are compiled for it; texts come in any length and are
    compiled for all at once. Of fusion layers it is the feed-forward part: their attention is asked
    for the first token alone, for a map, under masks or not, and would be compiled for each case.

    Evaluations and drawings run the blocks as they were: their batches, modes and precisions are so
    many more cases that torch would refuse to compile yet another one.

    Args:
        module: a task or a backbone; while it is in training mode, compiled blocks are run.
        backend: of `torch.compile`.
    """
    for block in _of(module, Block):
        block.forward = _in_training(module, block.forward, dynamic=False, backend=backend)
    for block in _of(module, BertLayer, FeedForward):
        block.forward = _in_training(module, block.forward, dynamic=True, backend=backend)


def checkpoint_blocks(module: nn.Module) -> None:
    """Keep each block's input alone for the backward pass and compute the rest again in it.

    Draws of dropout are repeated, so losses and gradients stay what they were. It saves memory and
    costs another forward pass; where there is no gradient, as in the twins, nothing changes.

    Args:
        module: a task or a backbone.
    """
    for block in _of(module, Block, BertLayer, FusionLayer):
        if any(p.requires_grad for p in block.parameters()):
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def _in_training(
    module: nn.Module, plain: Callable[..., Any], *, dynamic: bool, backend: str | Backend
) -> Callable[..., Any]:
    # Of the whole module, for parts that are frozen are in evaluation mode all the time.
    compiled = torch.compile(plain, fullgraph=True, dynamic=dynamic, backend=backend)

    def forward(*given: Any, **named: Any) -> Any:  # noqa: ANN401 (what each kind of block takes)
        return (compiled if module.training else plain)(*given, **named)

    return forward


def _of(module: nn.Module, *kinds: type[nn.Module]) -> Iterator[nn.Module]:
    return (block for block in module.modules() if isinstance(block, kinds))
