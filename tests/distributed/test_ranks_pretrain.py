"""Pretraining on two ranks is pretraining on one with the joined batch."""

import pytest
import ranks
import torch
import training

from softmask.tasks import Negatives

WORLD, ROWS, STEPS = 2, 4, 3
TEXT = torch.tensor([[1, 2, 3, 0], [2, 3, 0, 1]])  # of each rank's half
IMAGE = torch.tensor([[3, 0, 1, 2], [1, 0, 3, 2]])
MODES = {
    "all ideas": ({"augment": "shared"}, {}, {}),
    "two masks, clean views, own partner alone": (
        {"augment": "separate", "teacher_clean": True, "masks_per_pair": 2},
        {"clean_image": True},
        {"match_ids": False},
    ),
}


class Halves(training.Recorded):
    """Negatives come from the rank's own half, also where one process has both halves."""

    def draw_negatives(self, i2t, t2i, same):
        self.offered.append(torch.stack([i2t, t2i, same.float()]).detach())
        if len(i2t) == ROWS:
            return Negatives(text=TEXT[self.global_rank], image=IMAGE[self.global_rank])
        shift = torch.arange(WORLD)[:, None] * ROWS
        return Negatives(text=(TEXT + shift).flatten(), image=(IMAGE + shift).flatten())

    def configure_optimizers(self):
        # AdamW would make steps of equal size of gradients that are noise.
        return torch.optim.SGD([p for p in self.parameters() if p.requires_grad], lr=0.1)

    def on_before_optimizer_step(self, _):
        own = {name: p.grad.clone() for name, p in self.named_parameters() if p.requires_grad}
        self.gradients.append(own)


def job(world, rank, mode):
    options, view, contrast = MODES[mode]
    count = WORLD * ROWS // world
    batches = [
        training.batch(
            count, training.text(**options), skip=step * WORLD * ROWS + rank * count, **view
        )
        for step in range(STEPS)
    ]
    task = training.task(contrast={"queue_size": 16, "alpha_steps": 2, **contrast})
    task.__class__ = Halves
    task.gradients, task.offered = [], []
    ranks.trainer(world, max_steps=STEPS).fit(task, datamodule=training.Given(batches))
    masked = [int((batch["mlm_labels"] >= 0).sum()) for batch in batches]
    return {
        "losses": task.steps,
        "gradients": task.gradients,
        "offered": task.offered,
        "state": dict(task.state_dict()),
        "masked": masked,
    }


def assert_close(one, two, name):
    # Sums of larger terms keep their rounding: of the matcher's bias, terms near 1 leave 0.01.
    floor = 2e-2 if name[-1] == "matcher.bias" else 1e-2
    scale = two.abs().max().clamp_min(floor)
    assert ((one - two).abs().max() / scale).item() < 1e-5, name


@pytest.mark.parametrize("mode", MODES)
def test_two_ranks_step_as_one_process_does(mode, tmp_path):
    one = job(1, 0, mode)
    both = ranks.on_ranks(job, tmp_path, mode)
    assert any(a != b for a, b in zip(both[0]["masked"], both[1]["masked"], strict=True))
    for step in range(STEPS):
        for number, rank in enumerate(both):
            own = slice(number * ROWS, (number + 1) * ROWS)
            offered = one["offered"][step][:, own, own]  # similarities, and who is the same
            assert_close(rank["offered"][step], offered, (step, "offered"))
            for name, gradient in one["gradients"][step].items():
                assert_close(rank["gradients"][step][name], gradient, (step, name))
        for name, loss in one["losses"][step].items():
            mean = sum(rank["losses"][step][name] for rank in both) / WORLD
            assert mean == pytest.approx(loss, rel=1e-5), (step, name)
    assert_same_state(one["state"], *(rank["state"] for rank in both))
    assert one["state"]["queue.pointer"] == 8  # 24 pairs went through 16 places


def assert_same_state(one, first, second):
    for name, value in one.items():
        assert first[name].equal(second[name]), name
        if value.is_floating_point():
            assert_close(first[name], value, name)
        else:
            assert first[name].equal(value), name
