"""VQA's tasks: they learn, they answer from the list, they score as the challenge does."""

import json

import asking
import pytest
import torch
import training
from corpora import ANSWERS

from softmask.errors import InputError
from softmask.metrics import vqa_accuracy
from softmask.optim import Optim
from softmask.tasks import Distillation, VqaClassTask, VqaTask


@pytest.fixture(params=asking.KINDS)
def kind(request):
    return asking.KINDS[request.param]


def batches(count=4, *, evaluation=False):
    data = asking.data()
    maker = data.make_evaluation() if evaluation else data.make_train()
    return maker(asking.samples(count), 0)


def evaluate(task, samples, verb="test", size=3):
    """In batches; the last is filled up with samples that were there before, as ranks do."""
    training.alone(task).eval()
    task.trainer.state.fn = verb
    maker = asking.data().make_evaluation()
    filled = [*samples, *samples[: -len(samples) % size]]
    begin, end = (getattr(task, f"on_{verb}_epoch_{x}") for x in ("start", "end"))
    begin()
    for place in range(0, len(filled), size):
        getattr(task, f"{verb}_step")(maker(filled[place : place + size], 0), 0)
    end()
    return task.report


def test_every_parameter_gets_a_gradient_but_those_of_contrast(kind, tmp_path):
    task = training.alone(asking.task(kind, tmp_path))
    loss = task.training_step(batches(), 0)
    loss.backward()
    assert 0 < loss.item() < 60
    for name, parameter in task.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name
        else:
            assert name.startswith(("momentum.", "backbone.image_proj", "backbone.text_proj")) or (
                name == "backbone.temperature"
            )


def test_twins_follow_and_teach(kind, tmp_path):
    task = training.alone(asking.task(kind, tmp_path))
    name = "decoder" if kind is VqaTask else "head"
    twin = next(task.momentum.twin[name].parameters())
    before, own = twin.clone(), next(getattr(task, name).parameters()).clone()
    taught = task.training_step(batches(), 0)
    torch.testing.assert_close(twin, 0.9 * before + 0.1 * own)
    task.distillation = Distillation(alpha=0.0)
    assert not torch.isclose(task.training_step(batches(), 0), taught)


@pytest.mark.parametrize("step", [0, 5])
def test_the_twins_share_rises_over_alpha_steps(kind, monkeypatch, step, tmp_path):
    monkeypatch.setattr(kind, "global_step", step)
    shares = Distillation(alpha=0.4, alpha_steps=10), Distillation(alpha=0.4 * step / 10)
    rising, constant = (
        training.alone(asking.task(kind, tmp_path, distillation=share)).training_step(batches(), 0)
        for share in shares
    )
    torch.testing.assert_close(rising, constant)


def test_learns_a_few_questions_by_heart(kind, tmp_path):
    colours = [json.loads(s.columns["json"])["answers"][0] for s in asking.samples()]
    assert len(set(colours)) == 4
    samples = [asking.noted(s, answers=[c]) for s, c in zip(asking.samples(), colours, strict=True)]
    optim = Optim(lr=3e-3, min_lr=3e-4, warmup_steps=0, weight_decay=0.0)
    backbone = training.backbone(width=32, fusion_layers=2)
    task = kind(backbone, asking.listed(tmp_path), optim, Distillation(alpha=0.0))
    batch = asking.data().make_train()(samples, 0)
    training.trainer(max_steps=60, gradient_clip_val=1.0).fit(task, training.Given([batch]))
    report = evaluate(task, samples)
    assert (report["accuracy"], report["majority"]) == (1, 0.25)
    assert [row["answer"] for row in task.submission] == colours


def test_scores_are_those_of_the_definition(kind, tmp_path):
    task = asking.task(kind, tmp_path)
    samples = [
        asking.noted(sample, answers=[] if number == 4 else [ANSWERS[number % 3]] * 9 + ["Two"])
        for number, sample in enumerate(asking.samples(11))
    ]
    samples[5] = asking.noted(samples[5], answers=["left hand sides", "two"])
    report = evaluate(task, samples)
    said = {row["question_id"]: row["answer"] for row in task.submission}
    notes = [json.loads(sample.columns["json"]) for sample in samples]
    assert list(said) == [note["question_id"] for note in notes]
    assert set(said.values()) <= set(ANSWERS)
    known = [note for note in notes if note["answers"]]
    each = [vqa_accuracy(said[n["question_id"]], n["answers"]) for n in known]
    assert report["accuracy"] == pytest.approx(sum(each) / 10)
    assert (report["questions"], report["without_answers"]) == (11, 1)
    best = max(ANSWERS[:3], key=lambda a: sum(n["answers"].count(a) for n in known))
    assert report["majority_answer"] == best
    constant = [vqa_accuracy(best, n["answers"]) for n in known]
    assert report["majority"] == pytest.approx(sum(constant) / 10)
    shares = {"question_type": report["by_type"], "answer_type": report["by_answer_type"]}
    for kind, by in shares.items():
        assert set(by) == {note[kind] for note in known}
        for name, share in by.items():
            own = [a for a, n in zip(each, known, strict=True) if n[kind] == name]
            assert share == pytest.approx(sum(own) / len(own))
    assert f"{100 * report['accuracy']:.2f} %" in task.summary("x")
    assert f"{'  yes/no':<34}{100 * report['by_answer_type']['yes/no']:7.2f} %" in task.summary("x")
    assert "1 questions without answers" in task.summary("x")


def test_a_test_without_answers_is_handed_in_all_the_same(kind, tmp_path):
    task = asking.task(kind, tmp_path)
    samples = [asking.noted(sample, answers=None) for sample in asking.samples(5)]
    report = evaluate(task, samples)
    assert report == {"questions": 5, "without_answers": 5}
    assert len(task.submission) == 5
    with pytest.raises(InputError, match=r"None of the 5 questions of data\.init_args\.val has"):
        evaluate(task, samples, "validation")


def test_questions_that_come_twice_are_refused_by_name(kind, tmp_path):
    task = asking.task(kind, tmp_path)
    samples = [
        asking.noted(s, question_id=7 if n in (1, 4) else n)
        for n, s in enumerate(asking.samples(6))
    ]
    with pytest.raises(InputError, match=r"test are there more than once: 7 at the places 1, 4\."):
        evaluate(task, samples)


def test_predictions_name_question_answer_and_probability(kind, tmp_path):
    task = training.alone(asking.task(kind, tmp_path)).eval()
    batch = batches(3, evaluation=True)
    found = task.predict_step(batch, 0)
    ranked = task.rank(batch)
    assert found["question"] == ["What color is it?"] * 3
    assert found["answer"] == [ANSWERS[place] for place in ranked.place[:, 0].tolist()]
    assert found["probability"] == ranked.probability.max(dim=1).values.tolist()
    assert found["question_id"] == [0, 1, 2]
    assert (ranked.probability.diff(dim=1) <= 0).all()


def test_targets_of_classes_are_their_accuracies(tmp_path):
    task = training.alone(asking.task(VqaClassTask, tmp_path))
    answers = [
        ["red"] * 3 + ["blue"] * 2 + ["two"] + ["2."] * 3 + ["mauve"],
        ["The left hand side"],
        ["mauve", "Mauve", "two"],
    ]
    targets = task.targets(answers)
    for row, theirs in enumerate(answers):
        expected = [vqa_accuracy(answer, theirs) for answer in ANSWERS]
        assert targets[row].tolist() == pytest.approx(expected)
    assert targets[0, ANSWERS.index("2")] == 1  # four people, however they wrote it
    assert task.unlisted == {"mauve": 3}


def test_answers_without_a_class_are_counted_and_named(tmp_path):
    task = asking.task(VqaClassTask, tmp_path)
    batch = batches()
    with pytest.warns(UserWarning, match=r"3 answers of the training data .*taught nothing.*'dark"):
        training.trainer(max_epochs=1).fit(task, training.Given([batch]))
    assert not task.unlisted


def test_weights_whose_classes_are_other_answers_are_refused(tmp_path):
    for name, answers in (("one", ANSWERS), ("two", [*ANSWERS[:1], *ANSWERS[:0:-1]])):
        (tmp_path / f"{name}.json").write_text(json.dumps(answers))
    one, two = (
        VqaClassTask(training.backbone(), str(tmp_path / f"{name}.json")) for name in ("one", "two")
    )
    trainer = training.trainer()
    trainer.fit(one, training.Given([batches()]))
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    count = len(ANSWERS) - 1 - len(ANSWERS[1:]) % 2
    said = rf"{count} of {len(ANSWERS)} differ, .* is '{ANSWERS[1]}' there and '{ANSWERS[-1]}' here"
    with pytest.raises(InputError, match=said):
        training.trainer().fit(two, training.Given([batches()]), ckpt_path=tmp_path / "end.ckpt")


def test_weights_of_another_list_give_each_answer_the_class_that_it_had(tmp_path, capsys):
    lists = {"one": ANSWERS, "two": [*ANSWERS[:0:-1], "never heard"]}
    for name, answers in lists.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(answers))
    one = VqaClassTask(training.backbone(), str(tmp_path / "one.json"))
    trainer = training.trainer()
    trainer.fit(one, training.Given([batches()]))
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    two = VqaClassTask(
        training.backbone(), str(tmp_path / "two.json"), init_from=str(tmp_path / "end.ckpt")
    )
    fresh = two.head[2].weight[-1].clone()
    training.alone(two).setup("fit")
    assert two.head[2].weight[:-1].equal(one.head[2].weight[1:].flip(0))
    assert two.head[2].bias[:-1].equal(one.head[2].bias[1:].flip(0))
    assert two.head[2].weight[-1].equal(fresh)
    assert two.head[0].weight.equal(one.head[0].weight)
    assert two.momentum.twin["head"][2].weight.equal(two.head[2].weight)
    said = f"Of {len(ANSWERS)} answers {len(ANSWERS) - 1} have a class in {tmp_path / 'end.ckpt'}."
    assert said in capsys.readouterr().out


def test_a_decoders_list_is_no_list_of_classes(tmp_path, capsys):
    one = asking.task(VqaTask, tmp_path)
    trainer = training.trainer()
    trainer.fit(one, training.Given([batches()]))
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    listed = asking.listed(tmp_path / "two", ANSWERS[::-1])
    two = VqaClassTask(one.backbone, listed, init_from=str(tmp_path / "end.ckpt"))
    fresh = two.head[2].weight.clone()
    training.alone(two).setup("fit")
    assert two.head[2].weight.equal(fresh)
    assert "have a class" not in capsys.readouterr().out


def test_distillation_of_vqa_reads_the_list_only_to_rank(tmp_path):
    """Answers to learn need not be in the list: a decoder writes what it likes."""
    task = training.alone(asking.task(VqaTask, tmp_path))
    assert "dark" not in " ".join(ANSWERS)
    batch = batches()
    assert batch["answer_weight"].sum().item() == pytest.approx(3.5)  # three of ten people, one VG
    whole = task.training_step(batch, 0)
    batch["answer_weight"] = 2 * batch["answer_weight"]
    task.eval()
    again = task.training_step(batch, 0)
    assert again > 1.9 * whole


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "are no list of texts"),
        ("[]", "are no list of texts"),
        ('["a", " "]', "are no list of texts"),
        ('["a", "b", "a"]', "hold 'a' 2 times"),
        ("[", "cannot be read"),
        (None, "cannot be read"),
    ],
)
def test_lists_that_cannot_be_used(kind, content, message, tmp_path):
    path = tmp_path / "answers.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        kind(training.backbone(), str(path))


def test_starts_from_pretraining(tmp_path):
    pretrained = training.task({"fusion_layers": 2}, soft_mask={"layer": 0})
    path = tmp_path / "pretrained.ckpt"
    torch.save({"state_dict": pretrained.state_dict()}, path)
    task = asking.task(VqaTask, tmp_path, init_from=str(path))
    training.alone(task).setup("fit")
    for own, theirs in zip(
        task.decoder.fusion.parameters(), pretrained.backbone.fusion.parameters(), strict=True
    ):
        assert torch.equal(own, theirs)
    table = task.decoder.embeddings.word_embeddings.weight
    assert torch.equal(table, pretrained.backbone.text.table)
    assert torch.equal(task.decoder.words.bias, pretrained.words.bias)
    assert torch.equal(task.momentum.twin["decoder"].words.bias, pretrained.words.bias)
