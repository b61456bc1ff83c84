"""Text assignment: what is shown, what learns, how it is scored, what comes of it."""

import pytest
import torch
import training

from softmask.batch import IGNORE
from softmask.errors import InputError
from softmask.tasks import Distillation, Nlvr2PretrainTask, Nlvr2Task

CONTRAST = ("backbone.image_projection.", "backbone.text_projection.", "backbone.temperature")
UNMASKED = training.text(augment="none")


def task(**options):
    made = Nlvr2PretrainTask(training.backbone(fusion_layers=2), **options)
    return training.alone(made)


def batch(count=6, **options):
    given = training.batch(count, UNMASKED, **options)
    return {
        **given,
        "image_row": torch.arange(count),
    }  # evaluation's has all captions; here one each


def likeness(made, given):
    """Of images with each other, over ALBEF's temperature."""
    features = made.backbone.encode_image(given["image"])[1].detach()
    return features @ features.T / 0.07


def by_hand(made, given, kind, noise):
    """Each text alone with its two images; distractors are the likest others but for noise."""
    backbone, mask = made.backbone, given["attention_mask"]
    tokens, _ = backbone.encode_image(given["image"])
    alike = likeness(made, given) + noise
    rows = []
    for row, where in enumerate(kind.tolist()):
        others = [n for n in alike[row].argsort(descending=True).tolist() if n != row]
        shown = {0: (row, others[0]), 1: (others[0], row), 2: others[:2]}[where]
        length = int(mask[row].sum())
        states, everything = (
            given["input_ids"][row : row + 1, :length],
            mask[row : row + 1, :length],
        )
        keys = backbone.project(torch.stack([tokens[n] for n in shown]))
        fused = backbone.fuse(backbone.text(states, everything), everything, keys)
        rows.append(made.assigner(fused[0, 0]))
    return torch.stack(rows)


@pytest.mark.parametrize("share", [0.0, 0.9, 1.1])
def test_each_text_sees_its_own_image_where_it_is_said_to_be(share):
    """Noise that takes nine tenths of the likeness leaves its order; a little more turns it."""
    made, given = task().eval(), batch()
    noise = -share * likeness(made, given)
    for kind in (torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([2, 2, 2, 1, 1, 0])):
        logits = made.assign(given, kind, noise)
        torch.testing.assert_close(logits, by_hand(made, given, kind, noise))


def test_a_step_draws_every_kind_alike_often():
    made, given = task(), batch()
    drawn = []
    made.assign = lambda _, kind: drawn.append(kind) or torch.zeros(len(kind), 3)
    torch.manual_seed(0)
    for _ in range(200):
        loss = made.training_step(given, 0)
        assert loss.item() == pytest.approx(1.0986, abs=1e-4)  # log 3: nothing is known
    counts = torch.cat(drawn).bincount(minlength=3)
    assert ((counts / 1200 - 1 / 3).abs() < 0.05).all(), counts


def test_every_parameter_learns_but_those_that_are_said_to_rest():
    made = task()
    made.training_step(batch(), 0).backward()
    assert not hasattr(made, "momentum")
    for name, parameter in made.named_parameters():
        if name.startswith(CONTRAST):
            assert not parameter.requires_grad
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_assignment_is_learnt():
    """Who knows nothing cannot come below log 3, 1.10, whatever is drawn."""
    made, given, losses = training.alone(one_pair()), batch(4), []
    optimizer = torch.optim.AdamW([p for p in made.parameters() if p.requires_grad], lr=1e-2)
    torch.manual_seed(0)
    for _ in range(40):
        loss = made.training_step(given, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) / 10 < 0.8


def one_pair():
    return Nlvr2PretrainTask(training.backbone(fusion_layers=1))


class Told(training.Given):
    def val_dataloader(self):
        return self.train_dataloader()


def scored(made, *batches):
    training.trainer().validate(made, datamodule=Told(batches), verbose=False)
    return made.report


def test_evaluation_takes_turns_and_leaves_small_batches_out():
    made = Nlvr2PretrainTask(training.backbone(fusion_layers=2))
    first, last = batch(6), batch(2, skip=6)
    report = scored(made, first, last)
    assert (report["count"], report["unknown"]) == (6, 2)
    kind = torch.tensor([0, 1, 2, 0, 1, 2])
    made.eval()
    right = made.assign(first, kind, torch.zeros(6, 6)).argmax(dim=1) == kind
    assert report["accuracy"] == pytest.approx(right.float().mean().item())
    assert made.judge(last)[1].tolist() == [IGNORE, IGNORE]
    assert scored(made, first, last) == report
    said = made.predict_step(last, 0)
    assert said["shown"] == [None, None]
    assert set(said["label"]) <= {"left", "right", "neither"}


def test_batches_without_two_others_are_refused_by_name():
    made, given = task(), batch(4)
    given["image_id"][:] = torch.tensor([1, 1, 1, 2])
    trainer = training.trainer()
    with pytest.raises(InputError, match=r"batch of 4 pairs .*0-00000, 0-00001.*batch_size to 3"):
        trainer.fit(made, datamodule=training.Given([given]))
    with pytest.raises(InputError, match=r"init_args.val holds three .*eval_batch_size to 3"):
        scored(made, batch(2))


def test_it_starts_from_pretraining_and_nlvr2_from_it(tmp_path):
    given = training.task({"fusion_layers": 2}, soft_mask={"layer": 0})
    torch.save({"state_dict": given.state_dict()}, tmp_path / "one.ckpt")
    made = task(init_from=str(tmp_path / "one.ckpt"))
    made.setup("fit")
    fusion = made.backbone.fusion.layers
    for number, layer in enumerate(given.backbone.fusion.layers):
        for side in (0, 1):
            state = fusion[2 * number + side].state_dict()
            assert all(value.equal(state[name]) for name, value in layer.state_dict().items())
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter))
    torch.save({"state_dict": made.state_dict()}, tmp_path / "two.ckpt")
    options = {"distillation": Distillation(), "init_from": str(tmp_path / "two.ckpt")}
    nlvr2 = training.alone(Nlvr2Task(training.backbone(fusion_layers=2), **options))
    nlvr2.setup("fit")
    for name, value in made.backbone.state_dict().items():
        assert nlvr2.backbone.state_dict()[name].equal(value), name
        assert nlvr2.teacher.state_dict()[name].equal(value), name
