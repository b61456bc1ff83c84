"""How the paper's size and a larger one are cut for eight ranks: no memory behind it, no talk."""

from pathlib import Path

import pytest
import torch
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.testing._internal.distributed.fake_pg import FakeStore

from softmask.backbone import Backbone
from softmask.nn import FusionEncoder, ImageEncoder, TextEncoder
from softmask.nn.sharded import shard
from softmask.tasks import PretrainTask

RANKS = 8
PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
# A ViT's name, width and heads of text and fusion, and what the page says is gathered for all of a
# step.
SIZES = {
    "base": ("deit_base_patch16_224.fb_in1k", 768, 12, "{:.0f} % of all parameters at base"),
    "large": ("vit_large_patch16_224", 1024, 16, "{:.0f} % with a ViT-L and texts 1,024 wide"),
}


@pytest.fixture
def mesh():
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=RANKS)
    yield init_device_mesh("cpu", (RANKS,))
    dist.destroy_process_group()


@pytest.mark.parametrize("size", SIZES)
def test_a_rank_keeps_its_share_and_gathers_blocks_one_at_a_time(size, mesh):
    name, width, heads, said = SIZES[size]
    with torch.device("meta"):
        image = ImageEncoder(name)
        text = TextEncoder(width=width, heads=heads)
        task = PretrainTask(Backbone(image, text, FusionEncoder(width=width, heads=heads)))
    numbers = {n: p.numel() for n, p in task.named_parameters()}
    shapes = {n: p.shape for n, p in task.named_parameters()}
    shard(task, mesh, ("compute_loss",))
    assert {n: p.shape for n, p in task.named_parameters()} == shapes
    kept = sum(p.to_local().numel() for p in task.parameters() if p.ndim)
    assert sum(numbers.values()) / RANKS <= kept <= 1.01 * sum(numbers.values()) / RANKS
    blocks = {n: m for n, m in task.named_modules() if isinstance(m, FSDPModule) and m is not task}
    assert len(blocks) == 2 * (len(image.vit.blocks) + 6)  # twins too
    alone = sum(numbers[f"{n}.{p}"] for n, m in blocks.items() for p, _ in m.named_parameters())
    share = 100 * (1 - alone / sum(numbers.values()))
    assert said.format(share) in PAGE.read_text()
