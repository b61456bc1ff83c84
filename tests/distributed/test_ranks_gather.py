"""Gathering over two ranks: the rows, the sum and the mean of one process on the joined batch."""

import ranks
import torch
import training
from torch import nn

from softmask.tasks import TaskModule

WORLD, ROWS, WIDTH = 2, 3, 5


class Probe(TaskModule):
    """Gathers what it is given."""

    def __init__(self) -> None:
        super().__init__(training.backbone().requires_grad_(False))
        torch.manual_seed(3)
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH))
        self.seen = {}

    def training_step(self, batch):
        own = batch["rows"] @ self.weight
        self.seen = {"rows": self.gather(own), "ids": self.gather(batch["id"])}
        assert not self.seen["rows"].requires_grad
        self.seen["sum"] = self.sum_over_ranks(own.sum())
        self.seen["mean"] = self.mean_over_ranks(batch["id"].sum())
        return own.sum()


def job(world, rank):
    generator = torch.Generator().manual_seed(7)
    rows = torch.randn(WORLD * ROWS, WIDTH, generator=generator)
    count = WORLD * ROWS // world
    own = slice(rank * count, (rank + 1) * count)
    given = {"rows": rows[own], "id": torch.arange(WORLD * ROWS)[own], "key": [""] * count}
    probe = Probe()
    ranks.trainer(world).fit(probe, datamodule=training.Given([given]))
    return probe.seen


def test_what_is_gathered_is_that_of_one_process(tmp_path):
    one = job(1, 0)
    both = ranks.on_ranks(job, tmp_path)
    for seen in both:
        torch.testing.assert_close(seen["rows"], one["rows"])
        assert seen["ids"].tolist() == list(range(WORLD * ROWS))
        torch.testing.assert_close(seen["sum"], one["sum"])
        assert seen["mean"] == one["mean"] / WORLD
