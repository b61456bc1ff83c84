"""Data of SNLI-VE and NLVR2: what batches hold, and which samples are bad."""

import json
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from corpora import entailments, statements, write_corpus

from data_modules import EntailmentData, Nlvr2Data
from data_modules.image import Distortion
from data_modules.reasons import BadSample, Reason
from data_modules.shards import Sample
from data_modules.write import columns
from softmask.batch import IGNORE
from softmask.errors import InputError

SIZE = 32
PLAIN = {"flip": 0, "jitter_prob": 0, "gray_prob": 0, "blur_prob": 0, "rand_ops": 0}
STILL = Distortion(crop_scale=(1, 1), crop_ratio=(1, 1), **PLAIN)


def samples(pairs):
    return [Sample(n, "fake", pair.key, columns(pair)) for n, pair in enumerate(pairs)]


def noted(sample, **meta):
    """The sample with other notes; None takes one away."""
    found = json.loads(sample.columns["json"]) | meta
    kept = {name: value for name, value in found.items() if value is not None}
    return sample._replace(columns={**sample.columns, "json": json.dumps(kept).encode()})


def without(sample, *names):
    kept = {name: data for name, data in sample.columns.items() if name not in names}
    return sample._replace(columns=kept)


def decoded(data):
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return torch.from_numpy(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)).permute(2, 0, 1)


ENTAILMENTS, STATEMENTS = samples(entailments(6)), samples(statements(6))


@pytest.fixture(params=["train", "evaluation"])
def makers(request):
    """Of pictures that stay as they are."""
    made = [kind(image_size=SIZE, distortion=STILL) for kind in (EntailmentData, Nlvr2Data)]
    return [getattr(data, f"make_{request.param}")() for data in made]


def test_an_entailment_batch(makers):
    batch = makers[0](ENTAILMENTS, 0)
    assert batch["label"].tolist() == [0, 1, 2, 0, 1, 2]  # contradiction, neutral, entailment
    assert batch["identifier"] == [f"{n}.jpg#0r0" for n in range(6)]
    assert batch["position"].tolist() == list(range(6))
    assert batch["key"] == [sample.key for sample in ENTAILMENTS]
    for image, sample in zip(batch["image"], ENTAILMENTS, strict=True):
        assert image.equal(decoded(sample.columns["png"]))
    lengths = batch["attention_mask"].sum(dim=1)
    assert (batch["input_ids"] != 0).sum(dim=1).equal(lengths)
    assert len(set(batch["identity"].tolist())) == 6


def test_a_batch_of_two_images(makers):
    batch = makers[1](STATEMENTS, 0)
    assert batch["label"].tolist() == [1, 0, 1, 0, 1, 0]
    for place, (image, name) in enumerate([("image", "left.png"), ("second_image", "right.png")]):
        for seen, sample in zip(batch[image], STATEMENTS, strict=True):
            assert seen.equal(decoded(sample.columns[name])), place
    sentences = batch["sentence_id"].tolist()
    assert [a == b for a, b in pairwise(sentences)] == [True, False, True, False, True]


def test_captions_of_the_picture_are_not_the_text(makers):
    for maker, given in zip(makers, (ENTAILMENTS, STATEMENTS), strict=True):
        given = [noted(sample, sentence_id=None) for sample in given]
        captioned = [noted(sample, captions=["a street", "a road"]) for sample in given]
        plain, batch = maker(given, 0), maker(captioned, 0)
        for name in {"input_ids", "sentence_id"} & plain.keys():
            assert batch[name].equal(plain[name])


@pytest.mark.parametrize("truth", [True, "True", "true"])
def test_truth_is_told_in_any_spelling(makers, truth):
    wrong = {True: False, "True": "False", "true": "false"}[truth]
    batch = makers[1]([noted(STATEMENTS[0], label=label) for label in (truth, wrong)], 0)
    assert batch["label"].tolist() == [1, 0]


def test_equal_sentences_are_one_where_nothing_else_is_told(makers):
    given = [noted(sample, sentence_id=None, identifier=None) for sample in STATEMENTS]
    batch = makers[1](given, 0)
    sentences = batch["sentence_id"].tolist()
    assert [a == b for a, b in pairwise(sentences)] == [True, False, True, False, True]
    assert batch["identifier"] == batch["key"]
    assert len(set(batch["identity"].tolist())) == 6


def test_samples_without_a_name_are_never_alike(makers):
    nameless = [noted(sample, identifier=None) for sample in ENTAILMENTS[:2]]
    twice = [sample._replace(key="same") for sample in nameless]
    assert len(set(makers[0](twice, 0)["identity"].tolist())) == 2
    named = [noted(sample, identifier="same") for sample in ENTAILMENTS[:2]]
    assert len(set(makers[0](named, 0)["identity"].tolist())) == 1


@pytest.mark.parametrize("label", [None, "-", ""])
def test_a_label_may_be_unknown_in_evaluation_alone(label):
    data = EntailmentData(image_size=SIZE)
    sample = noted(ENTAILMENTS[0], label=label)
    assert data.make_evaluation()([sample], 0)["label"].tolist() == [IGNORE]
    with pytest.raises(BadSample) as bad:
        data.make_train().item(sample, 0)
    assert bad.value.reason == Reason.BAD_LABEL


@pytest.mark.parametrize("label", ["maybe", 1, ["neutral"], {}, True])
def test_other_labels_are_bad(makers, label):
    with pytest.raises(BadSample, match="none of contradiction, neutral, entailment") as bad:
        makers[0].item(noted(ENTAILMENTS[0], label=label), 0)
    assert bad.value.reason == Reason.BAD_LABEL
    if label is not True:
        with pytest.raises(BadSample, match="none of false, true"):
            makers[1].item(noted(STATEMENTS[0], label=label), 0)


@pytest.mark.parametrize(
    ("gone", "added", "reason"),
    [
        ("right.png", {}, Reason.MISSING_PICTURE),
        ("left.png", {}, Reason.MISSING_PICTURE),
        ("", {"right.jpg": b"x"}, Reason.MANY_PICTURES),
        ("txt", {}, Reason.MISSING_CAPTION),
        ("txt", {"txt": b" "}, Reason.EMPTY_CAPTION),
        ("right.png", {"right.png": b"junk"}, Reason.UNKNOWN_PICTURE),
        ("json", {"json": b"{"}, Reason.BAD_JSON),
    ],
)
def test_a_sample_of_two_that_lacks_something_is_bad(makers, gone, added, reason):
    sample = without(STATEMENTS[0], gone)
    with pytest.raises(BadSample) as bad:
        makers[1].item(sample._replace(columns={**sample.columns, **added}), 0)
    assert bad.value.reason == reason


def test_pictures_of_another_task_are_told(makers):
    with pytest.raises(BadSample, match="two pictures, left and right, of which this task") as bad:
        makers[0].item(STATEMENTS[0], 0)
    assert bad.value.reason == Reason.MANY_PICTURES
    with pytest.raises(BadSample, match="no left picture but json, png, txt") as bad:
        makers[1].item(ENTAILMENTS[0], 0)
    assert bad.value.reason == Reason.MISSING_PICTURE


def test_both_sides_draw_apart_and_again_alike():
    sample = STATEMENTS[0]
    same = {**sample.columns, "right.png": sample.columns["left.png"]}
    maker = Nlvr2Data(image_size=SIZE).make_train()
    apart = 0
    for epoch in range(8):
        batch, again = (maker([sample._replace(columns=same)], epoch) for _ in range(2))
        assert batch["second_image"].equal(again["second_image"])
        apart += not batch["image"].equal(batch["second_image"])
    assert apart >= 7
    plain = Nlvr2Data(image_size=SIZE).make_evaluation()([sample._replace(columns=same)], 0)
    assert plain["image"].equal(plain["second_image"])


def test_training_replaces_and_evaluation_names(tmp_path):
    """A label outside the classes, through the loaders."""
    folder = write_corpus("snli_ve", tmp_path / "good")
    from data_modules.write import write_shards

    pairs = list(entailments(12))
    pairs[3] = pairs[3]._replace(meta={"label": "maybe"})
    write_shards(pairs, tmp_path / "bad")
    given = {"image_size": SIZE, "batch_size": 4, "workers": 0, "max_drop_rate": 1}
    data = EntailmentData(str(tmp_path / "bad"), str(folder / "val"), **given)
    data.setup("fit")
    batches = list(data.train_dataloader())
    assert [len(batch["key"]) for batch in batches] == [4, 4, 4]
    assert "0-00003" not in {key for batch in batches for key in batch["key"]}
    assert data.tally.state_dict() == {"read": 12, "bad_label": 1}
    data = EntailmentData(test=str(tmp_path / "bad"), **given)
    data.setup("test")
    with pytest.raises(InputError, match=r"0-00003.*'maybe'.*bad_label"):
        list(data.test_dataloader())
