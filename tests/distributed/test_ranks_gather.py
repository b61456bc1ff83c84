"""Gathering over two ranks: the rows and the gradient of one process on the joined batch."""

import ranks
import torch
import training
from torch import nn

from softmask.tasks import TaskModule

WORLD, ROWS, WIDTH = 2, 3, 5


class Probe(TaskModule):
    """A contrast whose candidates are gathered with gradient."""

    def __init__(self) -> None:
        super().__init__(training.backbone().requires_grad_(False))
        torch.manual_seed(3)
        self.weight = nn.Parameter(torch.randn(WIDTH, WIDTH))
        self.seen = {}

    def training_step(self, batch):
        own = batch["rows"] @ self.weight
        everyone = self.gather_with_grad(own)
        scores = own @ everyone.T + (own**3).sum(dim=1, keepdim=True) * everyone[:, 0]
        loss = -scores.log_softmax(dim=1).diagonal(len(own) * self.global_rank).mean()
        plain = self.gather(own)
        assert not plain.requires_grad
        ids = self.gather(batch["id"])
        self.seen |= {"loss": loss.detach(), "everyone": everyone.detach(), "plain": plain}
        self.seen |= {"ids": ids, "sum": self.sum_over_ranks(own.sum())}
        return loss

    def on_before_optimizer_step(self, _):
        self.seen["gradient"] = self.weight.grad.clone()


def job(world, rank):
    generator = torch.Generator().manual_seed(7)
    rows = torch.randn(WORLD * ROWS, WIDTH, generator=generator)
    count = WORLD * ROWS // world
    own = slice(rank * count, (rank + 1) * count)
    given = {"rows": rows[own], "id": torch.arange(WORLD * ROWS)[own], "key": [""] * count}
    probe = Probe()
    ranks.trainer(world).fit(probe, datamodule=training.Given([given]))
    return probe.seen


def test_gathered_rows_and_gradients_are_those_of_one_process(tmp_path):
    one = job(1, 0)
    both = ranks.on_ranks(job, tmp_path)
    for seen in both:
        torch.testing.assert_close(seen["everyone"], one["everyone"])
        assert seen["plain"].equal(seen["everyone"])
        assert seen["ids"].tolist() == list(range(WORLD * ROWS))
        torch.testing.assert_close(seen["sum"], one["sum"])
        torch.testing.assert_close(seen["gradient"], one["gradient"], rtol=1e-5, atol=1e-6)
    loss = torch.stack([seen["loss"] for seen in both]).mean()
    torch.testing.assert_close(loss, one["loss"])
    assert one["gradient"].abs().max() > 0.01
