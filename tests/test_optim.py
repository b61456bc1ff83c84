"""AdamW's groups and its schedule against a plain formula."""

import math
from dataclasses import replace

import pytest
import tiny
import torch
import training
from torch import nn

from softmask.errors import InputError
from softmask.momentum import Momentum
from softmask.nn import WordHead
from softmask.optim import Optim, parameter_groups, set_again, settings_of
from softmask.tasks import SoftMasking

OPTIM = Optim(lr=1e-3, weight_decay=0.1, warmup_steps=10, warmup_lr=1e-5, min_lr=1e-4)
TOTAL = 50


class Model(nn.Module):
    """A backbone, a head whose table is tied to it, and frozen twins."""

    def __init__(self):
        super().__init__()
        self.backbone = tiny.backbone()
        self.words = WordHead(tiny.WIDTH, tiny.VOCAB)
        self.table = self.backbone.text.table
        self.momentum = Momentum({"backbone": self.backbone})


def test_every_trainable_parameter_stands_in_one_group_and_frozen_ones_in_none():
    model = Model()
    grouped = [id(p) for group in parameter_groups(model, 0.1, 1e-3) for p in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in model.parameters() if p.requires_grad}
    assert not set(grouped) & {id(p) for p in model.momentum.parameters()}


def test_vectors_and_scalars_do_not_decay():
    model = Model()
    decays = {
        id(p): group["weight_decay"]
        for group in parameter_groups(model, 0.1, 1e-3)
        for p in group["params"]
    }
    by_name = {n: decays[id(p)] for n, p in model.named_parameters() if p.requires_grad}
    for name, p in model.named_parameters():
        if p.requires_grad:
            assert by_name[name] == (0.1 if p.ndim > 1 else 0.0), name
    plain = {n for n, decay in by_name.items() if decay == 0}
    assert {n for n in by_name if n.endswith("bias") or "norm" in n.lower()} <= plain
    assert "backbone.temperature" in plain
    assert decays[id(model.table)] == 0.1


def expected_lr(step):
    if step < 10:
        return 1e-5 + step * (1e-3 - 1e-5) / 10
    part = min(step - 10, 40) / 40
    return 1e-4 + (1e-3 - 1e-4) * 0.5 * (1 + math.cos(math.pi * part))


def test_schedule_equals_its_formula_at_every_step():
    for step in range(TOTAL + 20):
        assert OPTIM.lr * OPTIM.factor(step, TOTAL) == pytest.approx(expected_lr(step), rel=1e-9)


@pytest.mark.parametrize(
    ("step", "lr"), [(0, 1e-5), (5, 5.05e-4), (10, 1e-3), (30, 5.5e-4), (50, 1e-4), (70, 1e-4)]
)
def test_schedule_at_its_corners(step, lr):
    assert OPTIM.lr * OPTIM.factor(step, TOTAL) == pytest.approx(lr, rel=1e-9)


def test_schedule_without_warm_up_starts_at_the_peak():
    optim = Optim(lr=1e-3, warmup_steps=0, min_lr=0.0)
    assert optim.factor(0, 10) == 1
    assert optim.factor(10, 10) == pytest.approx(0)


def test_run_shorter_than_its_warm_up_only_warms_up():
    assert [OPTIM.factor(s, 5) for s in range(5)] == [OPTIM.factor(s, TOTAL) for s in range(5)]
    assert all(0 < OPTIM.factor(s, 5) <= 1 for s in range(20))


# ALBEF's learning rates of COCO retrieval (5 epochs) and VQA (8), as its scheduler gives them.
EPOCHS = {
    5: (1e-5, [10, 9.14, 6.89, 4.11, 1.86]),
    8: (2e-5, [20, 19.3, 17.2, 14.1, 10.5, 6.9, 3.8, 1.7]),
}


@pytest.mark.parametrize("epochs", EPOCHS)
@pytest.mark.parametrize("warmup_steps", [0, 30, 100])
def test_schedule_by_epoch_is_albefs(epochs, warmup_steps):
    lr, expected = EPOCHS[epochs]
    optim = Optim(lr=lr, min_lr=1e-6, warmup_lr=0, warmup_steps=warmup_steps, falls="epoch")
    rates = [lr * optim.factor(step, 40 * epochs, 40) for step in range(40 * epochs)]
    for epoch, rate in enumerate(expected):
        first = min(warmup_steps, 40) if epoch == 0 else 0
        for step in range(first, 40):
            assert rates[40 * epoch + step] == pytest.approx(rate * 1e-6, abs=5.1e-8)
    for step in range(min(warmup_steps, 40)):
        assert rates[step] == pytest.approx(lr * step / warmup_steps)


def test_a_run_that_ends_within_an_epoch_falls_as_if_it_ended_with_it():
    optim = Optim(lr=1.0, min_lr=0.0, warmup_steps=0, falls="epoch")
    for step, share in ((0, 1), (9, 1), (10, 0.75), (19, 0.75), (20, 0.25), (24, 0.25)):
        assert optim.factor(step, 25, 10) == pytest.approx(share)
    assert optim.factor(24, 25) == 1  # no end of an epoch is known


def test_built_optimizer_follows_the_schedule_in_both_groups():
    module = nn.Linear(2, 2)
    optimizer, schedule = OPTIM.build(module, TOTAL)
    assert isinstance(optimizer, torch.optim.AdamW)
    for step in range(TOTAL):
        for group in optimizer.param_groups:
            assert group["lr"] == pytest.approx(expected_lr(step), rel=1e-9)
        optimizer.step()
        schedule.step()


def test_built_optimizer_has_the_given_constants():
    optimizer, _ = Optim(betas=(0.8, 0.9), eps=1e-6, weight_decay=0.3).build(nn.Linear(2, 2), 5)
    for group in optimizer.param_groups:
        assert group["betas"] == (0.8, 0.9)
        assert group["eps"] == 1e-6
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]


def test_a_step_decays_matrices_alone():
    module = nn.Linear(2, 2)
    with torch.no_grad():
        module.weight.fill_(1.0)
        module.bias.fill_(1.0)
    optimizer, _ = Optim(lr=0.1, warmup_steps=0, weight_decay=0.5).build(module, 10)
    for p in module.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    assert torch.allclose(module.weight, torch.tensor(0.95))
    assert torch.equal(module.bias, torch.ones(2))


def test_scalars_learn_at_their_own_rate():
    model = Model()
    optimizer, schedule = Optim(lr=1e-3, warmup_steps=2, scalar_lr=0.05).build(model, TOTAL)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    others = {rate for key, rate in rates.items() if key != id(model.backbone.temperature)}
    assert len(others) == 1
    assert rates[id(model.backbone.temperature)] == pytest.approx(0.05 * others.pop())
    for _ in range(2):
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr() == pytest.approx([1e-3, 1e-3, 5e-5])


DECAY = 0.5


def stages_by_name(name):
    """The layer of a parameter and the number of layers, from its name alone."""
    if ".image.vit." in name:
        number = int(name.split(".blocks.")[1].split(".")[0]) + 1 if ".blocks." in name else 0
        return (1, 1) if ".vit.norm." in name else (number, 1)  # the tests' ViT has one block
    if ".text.bert.embeddings." in name or name == "table":
        return 0, 2 * tiny.LAYERS
    if ".text.bert.encoder.layer." in name:
        return int(name.split(".layer.")[1].split(".")[0]) + 1, 2 * tiny.LAYERS
    if ".fusion.layers." in name:
        return tiny.LAYERS + int(name.split(".layers.")[1].split(".")[0]) + 1, 2 * tiny.LAYERS
    return 1, 1


def test_layers_learn_slower_the_deeper_they_lie():
    model = Model()
    optim = Optim(lr=1e-3, warmup_steps=0, scalar_lr=0.1, layer_decay=DECAY)
    optimizer, _ = optim.build(model, TOTAL, stacks=model.backbone.stacks())
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    seen = set()
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        layer, layers = stages_by_name(name)
        rate = 1e-3 * DECAY ** (layers - layer) * (0.1 if p.ndim == 0 else 1)
        assert groups[id(p)]["lr"] == pytest.approx(rate), name
        assert groups[id(p)]["weight_decay"] == (0.02 if p.ndim > 1 else 0), name
        below = f"-{layers - layer:02d}" if layers > layer else ""
        kind = ("scalars", "vectors", "matrices")[min(p.ndim, 2)]
        assert groups[id(p)]["name"] == kind + below, name
        seen.add(rate)
    assert len(seen) == 6  # five levels of BERT's, and the temperature
    names = [group["name"] for group in optimizer.param_groups]
    assert len(set(names)) == len(names)
    assert names[:3] == ["matrices", "vectors", "scalars"]


def test_layers_learn_alike_unless_told():
    model = Model()
    optimizer, _ = Optim(lr=1e-3).build(model, TOTAL, stacks=model.backbone.stacks())
    assert [group["name"] for group in optimizer.param_groups] == ["matrices", "vectors", "scalars"]
    assert len({group["lr"] for group in optimizer.param_groups}) == 1


@pytest.mark.parametrize("value", [0, -0.5, 1.1])
def test_layer_decay_out_of_range_is_refused(value):
    with pytest.raises(InputError, match=r"optim\.layer_decay"):
        Optim(layer_decay=value)


class Watched(training.Recorded):
    """Keeps each optimiser step's learning rate."""

    def on_before_optimizer_step(self, optimizer):
        self.rates.append(optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize("length", [{"max_epochs": 2, "max_steps": -1}, {"max_epochs": -1}])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_knows_its_epochs(accumulate, length):
    optim = Optim(lr=1e-3, min_lr=0.0, warmup_steps=0, falls="epoch")
    task = Watched(training.backbone(), optim, soft_mask=SoftMasking(layer=1))
    task.rates = []
    steps = 4 // accumulate
    options = {"max_steps": 2 * steps, "accumulate_grad_batches": accumulate, **length}
    made = training.trainer(**options)
    made.fit(task, datamodule=training.Given([training.batch()] * 4))
    assert task.rates == pytest.approx([1e-3] * steps + [5e-4] * steps)


@pytest.mark.parametrize("falls", ["step", "epoch"])
def test_a_run_without_end_is_refused(falls):
    task = training.task(optim=Optim(falls=falls))
    made = training.trainer(max_epochs=-1, max_steps=-1, max_time={"seconds": 2})
    with pytest.raises(InputError, match=r"max_steps is -1 and max_epochs -1, without end"):
        made.fit(task, datamodule=training.Given([training.batch()]))


def stepped(optim, steps, state=None):
    """An optimiser and its schedule after some steps, or after a checkpoint of another one."""
    optimizer, schedule = optim.build(tiny.backbone(), TOTAL)
    own = settings_of(optimizer)
    if state is not None:
        optimizer.load_state_dict(state[0])
        schedule.load_state_dict(state[1])
    for _ in range(steps):
        optimizer.step()
        schedule.step()
    return optimizer, schedule, own


@pytest.mark.parametrize("steps", [0, 3, 30])
def test_settings_of_a_checkpoint_of_the_same_run_stay_bit_for_bit(steps):
    optimizer, schedule, _ = stepped(OPTIM, steps)
    state = optimizer.state_dict(), schedule.state_dict()
    again, scheduled, own = stepped(OPTIM, 0, state)
    assert set_again(again, scheduled, own) == {}
    assert again.state_dict()["param_groups"] == state[0]["param_groups"]
    assert scheduled.state_dict() == state[1]
    again.step()
    scheduled.step()
    optimizer.step()
    schedule.step()
    assert scheduled.get_last_lr() == schedule.get_last_lr()


def test_settings_of_this_run_follow_its_own_schedule_from_the_step_on():
    optimizer, schedule, _ = stepped(OPTIM, 30)
    other = replace(OPTIM, lr=5e-4, weight_decay=0.0, eps=1e-6, scalar_lr=0.1)
    again, scheduled, own = stepped(other, 0, (optimizer.state_dict(), schedule.state_dict()))
    differ = set_again(again, scheduled, own)
    assert differ["initial_lr"] == (1e-3, 5e-4)  # of the first group
    assert differ["weight_decay"] == (0.1, 0.0)
    assert differ["eps"] == (1e-8, 1e-6)
    plain, plainly, _ = stepped(other, 30)
    for _ in range(2):
        for mine, theirs in zip(again.param_groups, plain.param_groups, strict=True):
            assert {k: mine[k] for k in own[0]} == {k: theirs[k] for k in own[0]}
            assert mine["lr"] == theirs["lr"]
        assert scheduled.get_last_lr() == plainly.get_last_lr()
        for each in (again, plain, scheduled, plainly):
            each.step()
