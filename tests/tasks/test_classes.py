"""SNLI-VE and NLVR2: their step, what learns, how they are scored, what they start from."""

import copy
import math
import warnings

import classes
import pytest
import torch
import training

from softmask.batch import IGNORE
from softmask.errors import InputError
from softmask.optim import Optim
from softmask.tasks import Distillation, EntailmentTask, Nlvr2Task

KINDS = list(classes.KINDS)
CONTRAST = ("backbone.image_projection.", "backbone.text_projection.", "backbone.temperature")
FUSION = "backbone.fusion.layers"


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def logits(backbone, head, given):
    """The whole fused pass, image by image, read at the first token."""
    mask = given["attention_mask"]
    images = [given[name] for name in ("image", "second_image") if name in given]
    tokens = torch.cat([backbone.encode_image(each)[0] for each in images])
    states, _ = backbone.encode_text(given["input_ids"], mask)
    fused = backbone.fuse(states, mask, backbone.project(tokens))[:, 0]
    first, _, last = head
    return last(first(fused).clamp_min(0))


def test_a_step_asks_the_twins_after_they_moved(kind):
    task, given = classes.task(kind), classes.batch(kind)
    twin, own = (copy.deepcopy(m).eval() for m in (task.momentum.twin, task))
    with torch.no_grad():
        for a, b in zip(
            twin.parameters(), torch.nn.ModuleDict(own.taught()).parameters(), strict=True
        ):
            a.mul_(0.9).add_(0.1 * b)
        ours = logits(own.backbone, own.head, given)
        theirs = logits(twin["backbone"], twin["head"], given)
    expected = 0.0
    for row, label in enumerate(given["label"].tolist()):
        p, q = ours[row].softmax(0).tolist(), theirs[row].softmax(0).tolist()
        soft = -sum(b * math.log(a) for a, b in zip(p, q, strict=True))
        expected += (0.6 * -math.log(p[label]) + 0.4 * soft) / len(ours)
    loss = training.alone(task.eval()).training_step(given, 0)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    logged = task.__dict__["logged"]
    assert logged["train/class"].item() == loss.item()
    right = (ours.argmax(dim=1) == given["label"]).float().mean()
    assert logged["train/accuracy"] == right
    for a, b in zip(task.momentum.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("step", [0, 5])
def test_the_twins_share_rises_over_alpha_steps(kind, monkeypatch, step):
    monkeypatch.setattr(kind, "global_step", step)
    shares = Distillation(alpha=0.4, alpha_steps=10), Distillation(alpha=0.4 * step / 10)
    rising, constant = (
        training.alone(classes.task(kind, distillation=share)).training_step(classes.batch(kind), 0)
        for share in shares
    )
    torch.testing.assert_close(rising, constant)


def test_every_parameter_learns_but_those_that_are_said_to_rest(kind):
    task = classes.task(kind)
    training.alone(task).training_step(classes.batch(kind), 0).backward()
    for name, parameter in task.named_parameters():
        if name.startswith(("momentum.", *CONTRAST)):
            assert not parameter.requires_grad, name
            assert parameter.grad is None
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name


def test_six_samples_are_learnt_by_heart(kind):
    given, rate = classes.batch(kind), Optim(lr=1e-2, warmup_steps=0, min_lr=1e-2)
    distillation = Distillation(alpha=0.4, alpha_steps=30, momentum=0.9)
    task = classes.task(kind, optim=rate, distillation=distillation)
    training.trainer(max_steps=30).fit(task, datamodule=training.Given([given] * 30))
    judged, label = task.eval().judge(given)
    assert judged.argmax(dim=1).equal(label)
    assert torch.nn.functional.cross_entropy(judged, label) < 0.3


def test_order_of_the_batch_does_not_matter(kind):
    task, given = classes.task(kind).eval(), classes.batch(kind)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    mixed = {k: v[order] if torch.is_tensor(v) else v for k, v in given.items()}
    torch.testing.assert_close(task.judge(mixed)[0], task.judge(given)[0][order])


def test_nlvr2_reads_both_images_and_their_order():
    task, given = classes.task(Nlvr2Task).eval(), classes.batch(Nlvr2Task)
    plain = task.judge(given)[0]
    swapped = {**given, "image": given["second_image"], "second_image": given["image"]}
    blind = {**given, "second_image": torch.zeros_like(given["second_image"])}
    for other in (swapped, blind):
        assert (task.judge(other)[0] - plain).abs().max() > 1e-4


class Told(training.Given):
    """The same batches in every stage."""

    def val_dataloader(self):
        return self.train_dataloader()

    test_dataloader = predict_dataloader = val_dataloader


def scored(task, *batches):
    training.trainer().validate(task, datamodule=Told(batches), verbose=False)
    return task.report


def answering(kind, answers):
    """A task that answers by the place of a sample."""
    task = classes.task(kind)
    table = torch.nn.functional.one_hot(torch.tensor(answers), len(task.classes)).float()
    task.__dict__["judge"] = lambda given: (table[given["position"]], given["label"])
    return task


def test_scores_of_entailment_leave_unknown_labels_out():
    first, second = (classes.batch(EntailmentTask, 6, skip=skip) for skip in (0, 6))
    second["label"][:] = torch.tensor([2, 2, IGNORE, 0, 1, IGNORE])
    task = answering(EntailmentTask, [0, 1, 2, 0, 1, 0, 2, 0, 0, 0, 0, 0])
    report = scored(task, first, second)
    assert report == {
        "accuracy": 7 / 10,  # 0 1 2 0 1 of 0 1 2 0 1 2; 2 and 0 of 2 2 0 1
        "majority": 4 / 10,
        "per_class": {"contradiction": 1.0, "neutral": 2 / 3, "entailment": 2 / 4},
        "count": 10,
        "unknown": 2,
    }
    table = task.summary("here")
    assert "EntailmentTask on here: 10 samples" in table
    assert "70.00 %" in table
    assert "2 samples without a known label are left out" in table


def test_scores_of_nlvr2_have_consistency():
    given = classes.batch(Nlvr2Task, 6)  # labels 1 0 1 0 1 0, two rows a sentence
    report = scored(answering(Nlvr2Task, [1, 0, 1, 1, 0, 1]), given)
    assert (report["accuracy"], report["consistency"]) == (0.5, 1 / 3)
    given["label"][3:] = IGNORE  # what is left of the second sentence is right
    report = scored(answering(Nlvr2Task, [1, 0, 1, 1, 0, 1]), given)
    assert (report["accuracy"], report["consistency"], report["count"]) == (1.0, 1.0, 3)


def test_nothing_but_unknown_labels_is_refused(kind):
    given = classes.batch(kind)
    given["label"][:] = IGNORE
    with pytest.raises(InputError, match=r"None of the 6 samples .*init_args.val.*predict"):
        scored(classes.task(kind), given)


def test_a_repeated_identifier_is_named(kind):
    first, second = (classes.batch(kind, 3, skip=skip) for skip in (0, 3))
    second["identifier"][1], second["identity"][1] = first["identifier"][2], first["identity"][2]
    name = first["identifier"][2]
    with pytest.raises(InputError, match=f"'{name}' those at the places 2, 4.*remove the copies"):
        scored(classes.task(kind), first, second)


def test_a_sample_that_fills_up_a_rank_is_no_repetition(kind):
    given = classes.batch(kind, 3)
    assert scored(classes.task(kind), given, classes.batch(kind, 1))["count"] == 3


def test_predictions_are_classes_with_probabilities(kind):
    task, given = classes.task(kind).eval(), classes.batch(kind)
    given["label"][:] = IGNORE
    said = task.predict_step(given, 0)
    expected = task.judge(given)[0].softmax(dim=1)
    for row, (label, shares) in enumerate(zip(said["label"], said["probabilities"], strict=True)):
        assert list(shares) == list(task.classes)
        assert list(shares.values()) == pytest.approx(expected[row].tolist())
        assert shares[label] == max(shares.values())
    assert said["identifier"] == given["identifier"]


def saved(task, tmp_path):
    path = tmp_path / "start.ckpt"
    torch.save({"state_dict": task.state_dict()}, path)
    return str(path)


def started(task):
    training.alone(task).setup("fit")
    return task


def pretrained():
    """A pretraining task of one image whose twins differ from it."""
    made = training.task({"fusion_layers": 2}, soft_mask={"layer": 0})
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter))
    return made


def assert_twins_equal(task):
    own = torch.nn.ModuleDict(task.taught()).state_dict()
    for name, value in task.momentum.twin.state_dict().items():
        assert value.equal(own[name]), name


def test_entailment_starts_from_pretraining(tmp_path):
    given = pretrained()
    task = started(classes.task(EntailmentTask, init_from=saved(given, tmp_path)))
    for name, value in given.backbone.state_dict().items():
        assert task.backbone.state_dict()[name].equal(value), name
    assert_twins_equal(task)


def test_nlvr2_starts_from_pretraining_with_each_layer_twice(tmp_path):
    given = pretrained()
    task = started(classes.task(Nlvr2Task, init_from=saved(given, tmp_path)))
    state = task.state_dict()
    for name, value in given.state_dict().items():
        if name.startswith(FUSION):
            number, _, rest = name.removeprefix(f"{FUSION}.").partition(".")
            for side in (0, 1):
                assert state[f"{FUSION}.{2 * int(number) + side}.{rest}"].equal(value), name
        elif name.startswith("backbone."):
            assert state[name].equal(value), name
    # ALBEF copies its teacher before it loads: it then knows nothing at first.
    assert_twins_equal(task)


def test_nlvr2_starts_from_itself_as_it_is(tmp_path):
    given = classes.task(Nlvr2Task)
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in given.parameters():
            parameter.add_(torch.randn_like(parameter))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task = started(classes.task(Nlvr2Task, init_from=saved(given, tmp_path)))
    for name, value in given.state_dict().items():
        if not name.startswith("momentum."):
            assert task.state_dict()[name].equal(value), name
    assert_twins_equal(task)


def test_keys_that_a_file_has_not_tied_are_told(tmp_path):
    state = classes.task(Nlvr2Task).state_dict()
    state[f"{FUSION}.3.image.kv.weight"] = state[f"{FUSION}.3.image.kv.weight"] + 1
    torch.save({"state_dict": state}, tmp_path / "start.ckpt")
    task = classes.task(Nlvr2Task, init_from=str(tmp_path / "start.ckpt"))
    with pytest.warns(UserWarning, match=r"1 tensors, such as .*layers.3.image.kv.weight"):
        started(task)
    right = state[f"{FUSION}.3.image.kv.weight"]
    assert task.state_dict()[f"{FUSION}.2.image.kv.weight"].equal(right)
