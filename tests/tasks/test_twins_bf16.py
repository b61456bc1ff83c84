"""Twins may see in bfloat16 while all else stays float32: only targets move, and little."""

import asking
import classes
import pytest
import torch
import training
from torch import nn

from softmask.tasks import Distillation, EntailmentTask

HALF = {"twins_bf16": True}


def kinds_of_products(part, kept):
    """Notes in which precision the linear layers of a part give what they give."""
    for layer in part.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(lambda _, __, out: kept.add(out.dtype))


def step(given, **contrast):
    task = training.task(contrast=contrast)
    seen = {"student": set(), "twins": set()}
    for part in ("image", "text", "fusion"):  # heads give float32 in any precision
        kinds_of_products(task.backbone.get_submodule(part), seen["student"])
        kinds_of_products(task.teacher.get_submodule(part), seen["twins"])
    losses = training.step(task, given)
    grads = {name: p.grad for name, p in task.named_parameters() if p.requires_grad}
    return task, seen, losses, grads


@pytest.mark.parametrize("augment", ["none", "shared"])
def test_the_twins_alone_see_in_bfloat16(augment):
    given = training.batch(4, training.text(augment=augment))
    task, seen, losses, grads = step(given, **HALF)
    assert seen == {"student": {torch.float32}, "twins": {torch.bfloat16}}
    assert {p.dtype for p in task.parameters()} == {torch.float32}
    assert task.queue.image.dtype == task.queue.text.dtype == torch.float32
    assert all(p.grad is None for p in task.momentum.parameters())
    _, plainly, plain, exact = step(given)
    assert plainly["twins"] == {torch.float32}
    for name in ("itc", "mlm"):  # what twins teach
        assert losses[name] == pytest.approx(plain[name], rel=1e-2)
        assert losses[name] != plain[name]
    for name in ("itm", "soft"):
        assert losses[name] == plain[name]
    for name, grad in grads.items():
        scale = exact[name].abs().max().clamp_min(1e-3)  # a key's bias has none but rounding's
        assert ((grad - exact[name]).abs().max() / scale).item() < 5e-2, name


def test_twins_of_classes_do_so_too():
    given = classes.batch(EntailmentTask)
    found = {}
    for half in (True, False):
        task = classes.task(EntailmentTask, distillation=Distillation(twins_bf16=half))
        found[half] = task.eval().teach(given)
    assert not found[True].requires_grad
    torch.testing.assert_close(found[True].float(), found[False], rtol=0, atol=1e-2)
    assert not found[True].float().equal(found[False])


@pytest.mark.parametrize("kind", asking.KINDS)
def test_twins_of_questions_do_so_too(kind, tmp_path):
    given = asking.data().make_train()(asking.samples(4), 0)
    found = {}
    for half in (True, False):
        shared = Distillation(twins_bf16=half)
        torch.manual_seed(0)
        task = asking.task(asking.KINDS[kind], tmp_path, distillation=shared).eval()
        found[half] = task.teach(given).float()
    assert not found[True].requires_grad
    scale = found[False].abs().max()
    assert 0 < (found[True] - found[False]).abs().max() < 3e-2 * scale
