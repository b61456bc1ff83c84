"""Pretraining learns: every parameter in every mode, and four samples by heart."""

import pytest
import torch
import training
from training import text

from softmask.errors import InputError
from softmask.optim import Optim
from softmask.tasks import Negatives, Weights

# What differs from the plain task: options of the text, of the task, and of the batch.
MODES = {
    "text none": (text(augment="none"), {}, {}),
    "text shared": (text(augment="shared"), {}, {}),
    "text separate": (text(augment="separate"), {}, {}),
    "clean views": (text(teacher_clean=True), {}, {"clean_image": True}),
    "clean views, separate": (text(augment="separate", teacher_clean=True), {}, {}),
    "two masks a pair": (text(masks_per_pair=2), {}, {}),
    "no masked negatives": (text(), {"soft_mask": {"negatives": False}}, {}),
    "no soft mask": (text(), {"soft_mask": {"weight": 0.0}}, {}),
    "first layer": (text(augment="none"), {"soft_mask": {"layer": 0}}, {}),
    "maps by their largest value": (text(), {"soft_mask": {"by_max": True}}, {}),
    "deep": (text(), {"parts": {"text_layers": 2, "fusion_layers": 5}}, {}),
    "shallow": (text(), {"parts": {"fusion_layers": 2}, "soft_mask": {"layer": 0}}, {}),
    "no focus": (text(), {"contrast": {"gamma": 0.0}}, {}),
    "half focus, a row, detached": (
        text(),
        {"contrast": {"gamma": 0.5, "per_row": True, "detach": True}},
        {},
    ),
    "own partner alone": (text(), {"contrast": {"match_ids": False}}, {}),
    "no twins' beliefs": (text(), {"contrast": {"alpha": 0.0}}, {}),
    "no queue": (text(), {"contrast": {"queue_size": 0}}, {}),
    "dropout": (text(), {"parts": {"dropout": 0.1}}, {}),
}

NEIGHBOURS = Negatives(text=torch.tensor([1, 2, 3, 0]), image=torch.tensor([3, 0, 1, 2]))


@pytest.mark.parametrize("mode", MODES)
def test_every_parameter_gets_a_gradient(mode):
    options, changes, view = MODES[mode]
    task = training.task(**changes)
    losses = training.step(task, training.batch(4, options, **view))
    assert all(0 < loss < 20 for loss in losses.values()), losses
    for name, parameter in task.named_parameters():
        if name.startswith("momentum."):
            assert not parameter.requires_grad
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.abs().max() > 0, name


def test_a_loss_of_weight_zero_moves_nothing():
    """Were it not for the others, this would be the gradient of every parameter."""
    task = training.task(soft_mask={"weight": 0.0}, weights=Weights(itc=0.0, itm=0.0, mlm=0.0))
    assert set(training.step(task, training.batch()).values()) == {0.0}
    assert all(not p.grad.any() for p in task.parameters() if p.grad is not None)


def stepped(temperature=0.07, **options):
    """The losses of a step whose negatives are given, and the temperature that it used."""
    task = training.task(**options)
    task.negatives = NEIGHBOURS
    with torch.no_grad():
        task.backbone.temperature.fill_(temperature)
    losses = training.step(task, training.batch())
    return losses, task.backbone.temperature.item()


@pytest.mark.parametrize(
    ("name", "doubled"),
    [
        ("itc", {"weights": Weights(itc=2.0)}),
        ("itm", {"weights": Weights(itm=2.0)}),
        ("mlm", {"weights": Weights(mlm=2.0)}),
        ("soft", {"soft_mask": {"weight": 2.0}}),
    ],
)
def test_weights_scale_their_own_loss(name, doubled):
    one, two = stepped()[0], stepped(**doubled)[0]
    for loss, value in one.items():
        assert two[loss] == pytest.approx(value * (2 if loss == name else 1), rel=1e-6)


@pytest.mark.parametrize("step", [0, 5])
def test_the_twins_share_of_contrast_and_words_rises_over_alpha_steps(monkeypatch, step):
    monkeypatch.setattr(training.Recorded, "global_step", step)
    rising, _ = stepped(contrast={"alpha": 0.4, "alpha_steps": 10})
    constant, _ = stepped(contrast={"alpha": 0.4 * step / 10})
    assert rising == pytest.approx(constant, rel=1e-5)


@pytest.mark.parametrize(("start", "used"), [(0.9, 0.5), (1e-4, 1e-3)])
def test_the_temperature_is_clamped_before_a_step(start, used):
    losses, after = stepped(start)
    assert after == pytest.approx(used)
    assert losses == pytest.approx(stepped(used)[0], rel=1e-5)


class Turns(training.Recorded):
    """Every other sample is the negative in its turn."""

    def draw_negatives(self, i2t, *_):
        other = (torch.arange(len(i2t)) + 1 + self.global_step % (len(i2t) - 1)) % len(i2t)
        return Negatives(text=other, image=other)


def test_four_samples_are_learnt_by_heart():
    optim = Optim(lr=5e-3, warmup_steps=0, min_lr=5e-4)
    task = training.task({"width": 64}, contrast={"queue_size": 4}, optim=optim)
    task.__class__ = Turns
    given = training.batch(4)
    fit = training.trainer(max_steps=75, gradient_clip_val=1.0)
    fit.fit(task, datamodule=training.Given([given]))
    total = [sum(losses.values()) for losses in task.steps]
    assert len(total) == 75
    assert total[29] < total[0] / 2
    assert task.steps[-1]["soft"] < task.steps[0]["soft"] / 2
    match = match_of_all_pairs(task.eval(), given)
    partner = torch.eye(4, dtype=torch.bool)
    assert match[partner].mean() - match[~partner].mean() > 0.5


@torch.no_grad()
def match_of_all_pairs(task, given):
    """Probability that image i matches text j, (4, 4)."""
    mask = given["attention_mask"]
    tokens, _ = task.backbone.encode_image(given["image"])
    states, _ = task.backbone.encode_text(given["input_ids"], mask)
    keys = task.backbone.project(tokens)
    first = task.backbone.match_state(states.repeat(4, 1, 1), mask.repeat(4, 1), keys)
    return task.matcher(first).softmax(dim=1)[:, 1].view(4, 4)


@pytest.mark.parametrize(("every", "warnings"), [(1, 0), (2, 1)])
def test_accumulation_warns_that_contrast_does_not_see_it(every, warnings, recwarn):
    fit = training.trainer(max_steps=1, accumulate_grad_batches=every)
    fit.fit(training.task(), datamodule=training.Given([training.batch()] * 2))
    told = [str(w.message) for w in recwarn if "accumulate_grad_batches" in str(w.message)]
    assert len(told) == warnings
    assert all("contrast" in text and "micro-batch" in text for text in told)


def test_accumulation_moves_twins_and_queue_every_batch():
    task = training.task()
    fit = training.trainer(max_steps=1, accumulate_grad_batches=2)
    batches = [training.batch(4), training.batch(4, skip=4)]
    fit.fit(task, datamodule=training.Given(batches))
    assert len(task.steps) == 2
    assert task.queue.image_id.tolist() == [i for b in batches for i in b["image_id"].tolist()]


def test_batch_without_negatives_is_refused_before_the_step():
    task = training.task()
    given = training.batch(4)
    given["text_id"][:] = 7
    with pytest.raises(InputError, match=r"batch of 4 pairs.*0-00000"):
        training.trainer().fit(task, datamodule=training.Given([given]))
    assert task.steps == []


@pytest.mark.parametrize(("step", "share"), [(0, 0.333), (5, 0.691), (10, 0.909), (20, 0.909)])
def test_negatives_turn_hard_over_hard_steps(monkeypatch, step, share):
    """At first all three others are as likely, at the end e^3 / (e^3 + 2) are the likest one."""
    task = training.task(contrast={"hard_steps": 10})
    monkeypatch.setattr(type(task), "global_step", step)
    like = torch.tensor([9.0, 3.0, 0.0, 0.0]).expand(4000, 4)
    same = torch.tensor([True, False, False, False]).expand(4000, 4)
    torch.manual_seed(0)
    for drawn in task.draw_negatives(like, like, same):
        assert drawn.eq(1).float().mean().item() == pytest.approx(share, abs=0.03)
        assert not drawn.eq(0).any()


def test_negatives_are_hard_from_the_first_step_unless_told():
    assert training.task().hardness == 1.0


def test_images_get_hard_texts_and_texts_hard_images():
    """Each direction is drawn from its own similarity, not from the other's."""
    task = training.task()
    i2t, t2i = torch.zeros(4, 4), torch.zeros(4, 4)
    for row in range(4):
        i2t[row, (row + 1) % 4] = t2i[row, (row + 2) % 4] = 50.0
    drawn = task.draw_negatives(i2t, t2i, torch.eye(4, dtype=torch.bool))
    assert drawn.text.tolist() == [1, 2, 3, 0]
    assert drawn.image.tolist() == [2, 3, 0, 1]
