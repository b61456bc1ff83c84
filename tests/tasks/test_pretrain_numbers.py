"""Mixed precision stays near full precision, and what is not finite stops the run."""

import math

import pytest
import torch
import training

from softmask.callbacks import LastCheckpoint
from softmask.errors import InputError
from softmask.optim import Optim
from softmask.tasks import (
    Contrast,
    Evaluation,
    Negatives,
    SoftMasking,
    Weights,
    contrast,
    pretrain,
)

SENSITIVE = ((contrast, "similarity"), (contrast, "soft_targets"), (pretrain, "mlm"))


def spied(monkeypatch):
    """The types of what the sensitive functions give, and of what the heads give."""
    types = {}

    def spy(module, name):
        real = getattr(module, name)

        def call(*args, **options):
            result = real(*args, **options)
            types[name] = result.dtype
            return result

        monkeypatch.setattr(module, name, call)

    for module, name in SENSITIVE:
        spy(module, name)
    return types


def near_full_precision(losses, full):
    for name, loss in full.items():
        assert losses[name] == pytest.approx(loss, rel=0.03), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_gives_finite_losses_near_full_precision(dtype, monkeypatch):
    given, other = training.batch(), torch.tensor([1, 2, 3, 0])
    full, task = training.task(), training.task()
    for made in (full, task):
        made.negatives = Negatives(text=other, image=other)
    expected = training.step(full, given)
    types = spied(monkeypatch)
    layer = task.backbone.fusion.layers[0].feed.up
    for name, part in (("matcher", task.matcher), ("words", task.words), ("mixed", layer)):
        part.register_forward_hook(lambda *call, name=name: types.update({name: call[2].dtype}))
    with torch.autocast("cpu", dtype=dtype):
        loss = training.alone(task).training_step(given, 0)
    loss.backward()
    near_full_precision(task.steps[-1], expected)
    assert task.logged["train/mask_mean"].item() == pytest.approx(
        full.logged["train/mask_mean"].item(), abs=0.05
    )
    assert types.pop("mixed") == dtype  # or all of this would prove nothing
    assert len(types) == 5
    assert set(types.values()) == {torch.float32}
    assert loss.dtype == task.backbone.temperature.dtype == torch.float32
    for name, parameter in task.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.dtype == torch.float32
            assert parameter.grad.isfinite().all(), name


def test_trainer_in_bf16_learns_as_in_full_precision():
    given = training.batch()
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        task = training.task(optim=Optim(lr=1e-3, warmup_steps=0))
        training.trainer(max_steps=5, precision=precision).fit(task, training.Given([given]))
        losses.append(task.steps[0])
        assert sum(task.steps[-1].values()) < sum(task.steps[0].values())
        assert {p.dtype for p in task.parameters()} == {torch.float32}
        assert task.queue.image.dtype == torch.float32
    near_full_precision(losses[1], losses[0])


@pytest.mark.parametrize(
    ("precision", "clip", "fused"),
    [("32-true", 1.0, True), ("bf16-mixed", None, True), ("bf16-mixed", 0.01, False)],
)
def test_gradients_are_clipped_in_any_precision(precision, clip, fused):
    """Lightning refuses a fused optimiser where mixed precision meets clipping."""
    task = training.task()
    fit = training.trainer(precision=precision, gradient_clip_val=clip)
    fit.fit(task, training.Given([training.batch()]))
    assert bool(fit.optimizers[0].defaults["fused"]) is fused
    if clip:
        grads = [p.grad for p in task.parameters() if p.grad is not None]
        assert torch.nn.utils.get_total_norm(grads).item() <= clip * 1.001


def spoilt(given):
    """One picture, already normalised, holds a pixel that is not a number."""
    image = given["image"].float() / 255
    image[2, 0, 5, 5] = torch.nan
    return {**given, "image": image}


def test_a_loss_that_is_not_finite_stops_before_the_weights_do(tmp_path):
    batches = [training.batch(4, skip=4 * n) for n in range(4)]
    batches[2] = spoilt(batches[2])
    task = training.task()
    fit = training.trainer(
        max_steps=4,
        enable_checkpointing=True,
        callbacks=[LastCheckpoint(every_n_train_steps=1)],
        default_root_dir=tmp_path,
    )
    with pytest.raises(InputError) as stopped:
        fit.fit(task, datamodule=training.Given(batches))
    message = str(stopped.value)
    assert "not finite at step 2: itc=nan, itm=nan, mlm=nan, soft=nan" in message
    assert all(key in message for key in batches[2]["key"])
    assert not any(key in message for key in batches[1]["key"])
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 2
    assert all(t.isfinite().all() for t in saved["state_dict"].values())
    own = [p for p in task.parameters() if p.requires_grad]
    assert all(p.isfinite().all() for p in own)  # nor were they touched since


def test_a_single_loss_is_named_alone():
    task = training.alone(training.task())
    given = training.batch()
    with torch.no_grad():
        task.words.bias[int(given["mlm_labels"][0])] = torch.inf
    with pytest.raises(InputError, match=r"at step 0: mlm=nan\."):
        task.training_step(given, 0)


class Steep(training.Recorded):
    """Its loss is finite, its gradient is not: the slope of a root at nought."""

    def total(self, losses, keys):
        flat = self.matcher.bias.sum() * 0
        return super().total({**losses, "steep": flat.sqrt()}, keys)


def test_a_gradient_that_is_not_finite_stops_before_the_weights_are_spoilt():
    task = training.task()
    task.__class__ = Steep
    before = {name: p.clone() for name, p in task.named_parameters()}
    given = training.batch()
    with pytest.raises(InputError, match=r"not finite at step 0: gradient=nan") as stopped:
        training.trainer().fit(task, datamodule=training.Given([given]))
    assert given["key"][0] in str(stopped.value)
    trained = dict(task.named_parameters())
    for name, p in before.items():
        if not name.startswith("momentum."):
            assert torch.equal(trained[name], p), name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Contrast(momentum=1.7), r"contrast\.momentum is 1\.7: give a number from 0 to 1"),
        (lambda: Contrast(gamma=-2), r"contrast\.gamma is -2: give 0 or more"),
        (lambda: Contrast(alpha=math.nan), r"contrast\.alpha is nan"),
        (lambda: SoftMasking(weight=-1), r"soft_mask\.weight is -1"),
        (lambda: Weights(mlm=-0.1), r"weights\.mlm is -0\.1"),
        (lambda: Evaluation(chunk=0), r"evaluation\.chunk is 0: give 1 or more"),
        (lambda: Optim(lr=0), r"optim\.lr is 0"),
        (lambda: Optim(betas=(2, 3)), r"optim\.betas is \(2, 3\)"),
        (lambda: Optim(lr=1e-6).check_rates(), r"optim\.min_lr is 1e-05 and optim\.lr 1e-06"),
        (
            lambda: Optim(lr=1e-6, min_lr=0).check_rates(),
            r"optim\.warmup_lr is 1e-05 and optim\.lr 1e-06",
        ),
    ],
)
def test_constants_out_of_range_are_refused_by_name(make, message):
    with pytest.raises(InputError, match=message):
        make()
