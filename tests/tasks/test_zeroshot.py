"""Zero-shot classification against plain loops, and what it refuses."""

import json

import pytest
import tiny
import torch
import training
from corpora import write_zeroshot
from fake import SHAPES, fake_pairs
from torch.nn import functional as F

from data_modules import ClassData, PretrainData
from data_modules.classes import read_classes
from data_modules.pictured import Reader
from data_modules.reasons import BadSample
from data_modules.shards import Sample
from data_modules.text import Text, TextOptions
from data_modules.write import write_shards
from softmask.errors import InputError
from softmask.metrics import top_k_report
from softmask.tasks import ClassRerank, ZeroShotTask
from softmask.tasks.zeroshot import Classes

TEMPLATES = ("a {}", "a photo of the {} here", "{}")
COUNT = 13


def data(folder, classes=SHAPES, **options):
    given = {"image_size": training.SIZE, "eval_batch_size": 4, "workers": 0, **options}
    return ClassData(list(classes), folder, folder, folder, TEMPLATES, **given)


def task(**rerank):
    made = ZeroShotTask(training.backbone(), ClassRerank(**rerank))
    tiny.shake(made.backbone)
    tiny.shake(made.matcher, by=0.5)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    write_zeroshot(folder, COUNT, 5)
    return str(folder)


@torch.no_grad()
def by_loops(made, k, similarity=0.0):
    """The classes of every picture, best first: contrastive, and its k best judged again."""
    reader = Reader(Text(TextOptions()), training.SIZE)

    def said(text):
        ids = torch.tensor(reader.tokens(text))[None]
        return ids, *made.backbone.encode_text(ids, ids > 0)

    features = []
    for name in SHAPES:
        mean = sum(said(template.format(name))[2][0] for template in TEMPLATES) / len(TEMPLATES)
        features.append(mean / mean.norm())
    orders = []
    for pair in fake_pairs(COUNT, 5):
        pixels = reader.images([reader.picture(pair.image, Sample(0, "", "", {}), 0)])
        tokens, image = made.backbone.encode_image(pixels)
        cosine = [float(image[0] @ feature) for feature in features]
        near = sorted(range(3), key=lambda c, by=cosine: -by[c])
        logit = {}
        for c in near[:k]:
            ids, states, _ = said(TEMPLATES[0].format(SHAPES[c]))
            fused = made.backbone.fuse(states, ids > 0, made.backbone.project(tokens))
            logit[c] = made.matcher(fused[:, 0])[0, 1].item() + similarity * cosine[c]
        judged = [*sorted(near[:k], key=lambda c, by=logit: -by[c]), *near[k:]]
        label = next(n for n, shape in enumerate(SHAPES) if shape in pair.captions[0])
        orders.append((label, near, judged))
    return orders


@pytest.mark.parametrize(("k", "batch"), [(0, 4), (2, 5), (3, 13)])
def test_report_is_that_of_plain_loops(folder, k, batch):
    made = task(k_test=k, chunk=2)
    training.trainer().test(made, datamodule=data(folder, eval_batch_size=batch), verbose=False)
    orders = by_loops(made.eval(), k)
    report = made.report
    assert (report["test_size"], report["classes"]) == (COUNT, 3)
    assert report["chance_top1"] == pytest.approx(1 / 3)
    assert ("itm" in report) == (k > 0)
    for place, name in enumerate(("itc", "itm")[: 1 + (k > 0)], start=1):
        right = [order[place][0] == order[0] for order in orders]
        assert report[name]["top1"] == pytest.approx(sum(right) / COUNT)
        assert report[name]["top5"] == 1
        low, high = report[name]["interval"]["top1"]
        assert low <= report[name]["top1"] <= high
        own = {n: [r for r, o in zip(right, orders, strict=True) if o[0] == n] for n in range(3)}
        expected = {SHAPES[n]: sum(rows) / len(rows) for n, rows in own.items() if rows}
        assert report[name]["per_class"] == pytest.approx(expected)
    assert 0 < report["itc"]["top1"] < 1
    if k:
        assert report["itm"]["per_class"] != report["itc"]["per_class"]
    table = made.summary("shapes")
    assert "13 images, 3 classes, chance top-1 33.3 %" in table
    assert f"{100 * report['itc']['top1']:.1f} [" in table


def test_cosines_are_of_float32_under_autocast():
    made, text = task().eval(), F.normalize(tiny.draw(3, 8).float(), dim=1)
    made._classes = Classes(SHAPES, text, torch.empty(3, 1, 16), torch.ones(3, 1) > 0)
    batch = {"image": tiny.pixels(4)}
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = made.scores(batch)["itc"]
        _, image = made.backbone.encode_image(batch["image"])
    torch.testing.assert_close(found, image @ text.T)


@pytest.mark.parametrize(("k", "similarity"), [(2, 0.0), (3, 30.0)])
def test_predictions_name_the_best_classes(folder, k, similarity):
    made = task(k_test=k, similarity=similarity)
    found = training.trainer().predict(made, datamodule=data(folder))
    rows = [row for part in found for row in part["classes"]]
    orders = by_loops(made.eval(), k, similarity)
    assert rows == [[SHAPES[c] for c in judged] for _, _, judged in orders]
    assert [key for part in found for key in part["key"]] == [p.key for p in fake_pairs(COUNT, 5)]


@pytest.mark.parametrize("verb", ["fit", "validate"])
def test_what_it_cannot_do_is_said(folder, verb):
    if verb == "fit":
        with pytest.raises(InputError, match="learns nothing: use softmask test"):
            training.trainer().fit(task(), datamodule=data(folder))
        return
    pairs = PretrainData(val=folder, image_size=training.SIZE, workers=0)
    with pytest.raises(InputError, match=r"needs classes, which PretrainData"):
        training.trainer().validate(task(), datamodule=pairs)


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("fox", r"sample '0-00002'.*label 'fox', which is none of the 3 classes \(bad_label\)"),
        (3, "label '3', which is none"),
        (-1, "label '-1', which is none"),
        (True, "label 'True', which is none"),
        (None, "samples 0-00002 have no label"),
    ],
)
def test_a_label_that_is_no_class_is_refused_by_name(tmp_path, label, says):
    pairs = [pair._replace(meta={"label": "circle"}) for pair in fake_pairs(4)]
    pairs[2] = pairs[2]._replace(meta={} if label is None else {"label": label})
    write_shards(pairs, tmp_path)
    with pytest.raises(InputError, match=says):
        training.trainer().validate(task(), datamodule=data(str(tmp_path)), verbose=False)
    if label is None:
        assert training.trainer().predict(task(), datamodule=data(str(tmp_path)))


def test_a_number_beside_numbered_labels_is_no_place(tmp_path):
    """Labels from 1 and data from 0: every picture would silently count for another class."""
    (tmp_path / "c.json").write_text(json.dumps({"1": "circle", "2": "cross"}))
    maker = ClassData(str(tmp_path / "c.json")).make_evaluation()
    assert [maker.place(label) for label in (1, "2")] == [0, 1]
    with pytest.raises(BadSample, match="label '0', which is none of the 2 classes"):
        maker.place(0)
    assert ClassData(["circle", "cross"]).make_evaluation().place(0) == 0


def test_classes_are_read_from_any_list(tmp_path):
    expected = {"cat": "cat", "polar bear": "polar bear"}
    (tmp_path / "a.txt").write_text("cat\n\n polar bear \n")
    (tmp_path / "a.json").write_text(json.dumps(["cat", "polar bear"]))
    for given in (str(tmp_path / "a.txt"), str(tmp_path / "a.json"), list(expected)):
        assert list(read_classes(given).items()) == list(expected.items())
    (tmp_path / "b.json").write_text(json.dumps({"n2": "crane", "n1": "crane"}))
    labels = read_classes(str(tmp_path / "b.json"))
    assert list(labels.items()) == [("n2", "crane"), ("n1", "crane")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[]", "holds no names"),
        ('["a", " "]', "or an empty one"),
        ('["a", "b", "a"]', "'a' of data.init_args.classes comes twice"),
        ('{"a": 3}', "or an empty one"),
        ("3", "holds no names"),
        ("{", "cannot be read"),
    ],
)
def test_lists_without_classes_are_refused(tmp_path, content, says):
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(InputError, match=says):
        ClassData(str(tmp_path / "c.json"))


@pytest.mark.parametrize("templates", [[], ["a photo"], ["{} and {}"]])
def test_templates_without_one_place_are_refused(templates):
    with pytest.raises(InputError, match=r"templates.*one \{\} each"):
        ClassData(["a"], templates=templates)


def test_equal_names_are_told_apart():
    rank, label = torch.tensor([0, 3, 0]), torch.tensor([0, 1, 1])
    found = top_k_report(rank, label, ["crane", "crane", "cat"])
    assert found["per_class"] == {"crane #0": 1.0, "crane #1": 0.5}
    assert (found["top1"], found["top5"]) == (pytest.approx(2 / 3), 1.0)
