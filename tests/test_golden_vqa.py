"""Parity with the official VQA code, at tiny size with random weights, and its key names."""

import json

import golden_albef as golden
import pytest
import torch

from softmask.batch import AnsweredBatch
from softmask.renames import from_albef
from softmask.tasks import Distillation, Ranking, VqaTask


@pytest.fixture(scope="module")
def values():
    return golden.tensors("albef_vqa")


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    path = tmp_path_factory.mktemp("answers") / "answers.json"
    path.write_text(json.dumps(["yes", "no"]))  # the official tokens take their place
    return str(path)


@pytest.fixture
def task(values, answers):
    k = values["out"]["topk_ids"].shape[1]
    task = VqaTask(
        golden.backbone(golden.manifest()),
        answers,
        distillation=Distillation(alpha=0.4, momentum=0.995),  # fixed there
        ranking=Ranking(k_test=k, double_first=True, chunk=2 * k),
    )
    golden.load_whole(task, values["model"])
    given = values["in"]
    task.answer_ids = given["answer_list_ids"]
    task.answer_mask = given["answer_list_mask"].bool()
    return golden.alone(task)


@pytest.fixture
def batch(values):
    given = values["in"]
    count = len(given["image"])
    rows = torch.arange(count)
    return AnsweredBatch(
        image=given["image"],
        input_ids=given["input_ids"],
        attention_mask=given["attention_mask"].bool(),
        answer_ids=given["answer_ids"],
        answer_mask=given["answer_mask"].bool(),
        answer_weight=given["answer_weights"],
        question_row=rows.repeat_interleave(given["answers_per_question"]),
        question=[""] * count,
        question_id=rows,
        question_type=[""] * count,
        answer_type=[""] * count,
        answers=[[]] * count,
        position=rows,
        key=[str(row) for row in rows.tolist()],
    )


def test_golden_ranked_answers(task, batch, values):
    ranked = task.rank(batch)
    assert torch.equal(ranked.place, values["out"]["topk_ids"])
    golden.assert_close(ranked.probability, values["out"]["topk_probs"], "topk_probs")
    relative = ranked.probability / values["out"]["topk_probs"] - 1
    assert relative.abs().max() < 1e-4  # of the smallest, too


def test_golden_loss(task, batch, values):
    loss = task.training_step(batch, 0)
    golden.assert_close(loss, values["out"]["loss"], "loss")


def test_golden_full_size_keys_map_completely(answers):
    def whole(backbone):
        return VqaTask(backbone, answers)

    golden.assert_maps_whole(whole, "vqa", image_size=384)


def test_golden_decoder_starts_from_the_pretrained_model(task):
    """The official rule: fusion layers, embeddings and word head."""
    pretrained = golden.tensors("albef_pretrain")["model"]
    layers = golden.manifest()["bert"]["fusion_layer"]
    renamed = from_albef(pretrained, layers)
    started = task.adapt({k: v for k, v in renamed.items() if not k.startswith("momentum.")})
    expected = from_albef(official_rule(pretrained, layers), layers)
    own = {k for k in task.state_dict() if k.startswith("decoder.")}
    assert own == {k for k in started if k.startswith("decoder.")}
    assert all(torch.equal(started[k], expected[k]) for k in own)
    assert not any(k.startswith(("words.", "matcher.")) for k in started)
    assert task.adapt(started) == started


def official_rule(pretrained, layers):
    decoder = {}
    for name, tensor in pretrained.items():
        if not name.startswith("text_encoder."):
            continue
        parts = name.split(".")
        if "layer" in parts:
            place = parts.index("layer") + 1
            if int(parts[place]) < layers:
                continue
            parts[place] = str(int(parts[place]) - layers)
        decoder[".".join(["text_decoder", *parts[1:]])] = tensor
    return decoder
