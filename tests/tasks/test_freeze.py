"""Frozen encoders: not moved by a real fit, without dropout, their twins like them; resume."""

import program
import pytest
import torch
import training

from softmask.errors import InputError
from softmask.optim import Optim

PARTS = ("image", "text", "fusion")


def fit(freeze, folder, steps=2, *, ckpt=None, **optim):
    """A task after some steps, and the values it began with."""
    given = Optim(lr=1e-2, warmup_steps=0, freeze=freeze, **optim)
    task = training.task({"dropout": 0.3}, optim=given)
    task.loaded_weights()
    before = {name: p.detach().clone() for name, p in task.named_parameters()}
    trainer = training.trainer(max_steps=steps)
    trainer.fit(task, datamodule=training.Given([training.batch()]), ckpt_path=ckpt)
    trainer.save_checkpoint(folder / "end.ckpt")
    return task, before


@pytest.mark.parametrize("freeze", [("image",), ("text",), ("fusion",), PARTS], ids="+".join)
def test_frozen_weights_do_not_move_and_all_others_do(freeze, tmp_path):
    task, before = fit(freeze, tmp_path)
    still = tuple(f"backbone.{part}." for part in freeze)
    twins = tuple(f"momentum.twin.{name}" for name in still)
    for name, p in task.named_parameters():
        if name.startswith(still + twins):
            assert torch.equal(p, before[name]), name
            assert not p.requires_grad
            assert p.grad is None
        else:
            assert not torch.equal(p, before[name]), name
    optimizer = task.optimizers()
    trained = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
    assert trained == sum(p.numel() for p in task.parameters() if p.requires_grad)


def test_frozen_encoders_and_their_twins_have_no_dropout():
    task = training.task({"dropout": 0.3}, optim=Optim(freeze=("image", "text")))
    given = training.batch()
    for mode in (True, False, True):
        task.train(mode)
        for backbone in (task.backbone, task.teacher):
            for part in PARTS:
                modes = {m.training for m in backbone.get_submodule(part).modules()}
                assert modes == {mode and part == "fusion"}
    texts = given["input_ids"], given["attention_mask"]
    one, two = (task.backbone.encode_text(*texts)[0] for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(task.teacher.text(*texts), task.teacher.text(*texts))


def test_modes_are_set_before_the_first_call_of_train():
    parts, masks = training.backbone(), training.SoftMasking(layer=1)
    task = training.PretrainTask(parts, optim=Optim(freeze=("text",)), soft_mask=masks)
    assert not task.backbone.text.training
    assert not task.teacher.text.training
    assert task.backbone.fusion.training


@pytest.mark.parametrize("other", [{"freeze": ()}, {"freeze": ("text",), "layer_decay": 0.9}])
def test_resume_with_other_groups_is_refused(other, tmp_path):
    fit(("text",), tmp_path)
    with pytest.raises(InputError, match=r"'freeze': \['text'\].*init_from"):
        fit(other.pop("freeze"), tmp_path, 3, ckpt=tmp_path / "end.ckpt", **other)


def test_resume_with_frozen_and_decayed_layers_goes_on(tmp_path):
    for steps, start in ((2, None), (3, tmp_path / "end.ckpt")):
        task, _ = fit(("text",), tmp_path, steps, ckpt=start, layer_decay=0.9)
        assert task.global_step == steps


def test_resume_takes_this_runs_rates_and_decay(tmp_path):
    fit((), tmp_path, weight_decay=0.5)
    given = Optim(lr=1e-3, min_lr=1e-3, warmup_steps=0, weight_decay=0.1, betas=(0.5, 0.9))
    task, trainer = training.task({"dropout": 0.3}, optim=given), training.trainer(max_steps=3)
    data = training.Given([training.batch()])
    with pytest.warns(UserWarning, match=r"lr is 0.001, where 0.01 was, weight_decay is 0.1"):
        trainer.fit(task, data, ckpt_path=tmp_path / "end.ckpt")
    groups = {group["name"]: group for group in task.optimizers().param_groups}
    assert {group["lr"] for group in groups.values()} == {1e-3}
    assert groups["matrices"]["weight_decay"] == 0.1
    assert groups["vectors"]["weight_decay"] == 0.0
    assert {group["betas"] for group in groups.values()} == {(0.5, 0.9)}
    assert all(state["step"] == 3 for state in task.optimizers().state.values())


def test_flags_and_logs_of_frozen_and_decayed_layers(corpus, tmp_path):
    flags = "--model.init_args.optim.freeze [image] --model.init_args.optim.layer_decay 0.5"
    ended = program.here([*program.arguments("fit", corpus, tmp_path), *flags.split()])
    assert ended.code == 0, ended.err
    rates = {k: v for k, v in program.scalars(tmp_path / "run").items() if k.startswith("lr")}
    # A text layer and four of fusion lie above the words.
    for kind in ("matrices", "vectors"):
        top = rates[f"lr/{kind}"]
        for depth in range(1, 6):
            low = rates[f"lr/{kind}-{depth:02d}"]
            assert {k: v / top[k] for k, v in low.items()} == pytest.approx(
                dict.fromkeys(top, 0.5**depth), rel=1e-5
            )
    assert len(rates) == 2 * 6 + 1
