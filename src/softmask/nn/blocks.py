"""The repeated blocks of the encoders, compiled or recomputed: other ways to the same numbers.

Both replace the `forward` of a block alone, so names of parameters stay as they are.
"""

from collections.abc import Iterator
from functools import partial

import torch
from timm.models.vision_transformer import Block
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.models.bert.modeling_bert import BertLayer

from softmask.nn.fusion import FeedForward, FusionLayer


def compile_blocks(module: nn.Module, backend: str = "inductor") -> None:
    """Compile the blocks of all encoders in a module, twins included, each kind once.

    ViT blocks see one shape in training and are compiled for it; texts come in any length and are
    compiled for all at once. Of fusion layers it is the feed-forward part: their attention is asked
    for the first token alone, for a map, under masks or not, and would be compiled for each case.

    Args:
        module: a task or a backbone.
        backend: of `torch.compile`.
    """
    for block in _of(module, Block):
        block.forward = torch.compile(block.forward, fullgraph=True, dynamic=False, backend=backend)
    for block in _of(module, BertLayer, FeedForward):
        block.forward = torch.compile(block.forward, fullgraph=True, dynamic=True, backend=backend)


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


def _of(module: nn.Module, *kinds: type[nn.Module]) -> Iterator[nn.Module]:
    return (block for block in module.modules() if isinstance(block, kinds))
