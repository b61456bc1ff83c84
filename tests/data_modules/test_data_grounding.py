"""Grounding's samples: whole pictures in training, boxes in evaluation, what is refused."""

import cv2
import numpy as np
import pytest
import torch
from fake import COLOURS
from refer import grounded_pairs

from data_modules.boxes import marked
from data_modules.grounding import WHOLE, GroundingData
from data_modules.image import Distort, Distortion
from data_modules.reasons import BadSample
from data_modules.shards import Sample
from data_modules.text import TextOptions
from data_modules.write import Pair, columns, write_shards
from softmask.errors import InputError
from softmask.pictures import resize

SIZE = 32
OFF = Distortion(crop_scale=(1, 1), flip=0, jitter_prob=0, gray_prob=0, blur_prob=0, rand_prob=0)
FLIP = Distortion(crop_scale=(1, 1), flip=1, jitter_prob=0, gray_prob=0, blur_prob=0, rand_prob=0)


def train(distortion=OFF, flip_sides=True, **options):
    data = GroundingData(
        image_size=SIZE, distortion=distortion, flip_sides=flip_sides, text=TextOptions(**options)
    )
    return data.make_train()


def evaluation(words="all"):
    return GroundingData(image_size=SIZE, map_words=words).make_evaluation()


def samples(count=6, notes=None, texts=None):
    made = list(grounded_pairs(count, notes, SIZE))
    if texts:
        made = [pair._replace(captions=[text]) for pair, text in zip(made, texts, strict=True)]
    return [Sample(n, "fake", pair.key, columns(pair)) for n, pair in enumerate(made)]


def test_evaluation_batch_holds_boxes_and_candidates():
    batch = evaluation()(samples(), 0)
    assert batch["box"].shape == (6, 4)
    assert batch["box"].dtype == torch.float32
    assert batch["size"].tolist() == [[32, 32]] * 6
    assert batch["split"] == ["val", "testA", "testA"] * 2
    assert batch["position"].tolist() == list(range(6))
    assert batch["detections"].shape == (6, 3, 4)
    for number, (box, found) in enumerate(zip(batch["box"], batch["detections"], strict=True)):
        x, y, w, h = map(int, box)
        shown = batch["image"][number, :, y + h // 2, x + w // 2]
        colour = list(COLOURS.values())[number % 6]
        assert shown.tolist() == list(colour)  # the box is where the square is
        there = found.isfinite().all(dim=1)
        assert there.sum() == 3 - number % 2
        assert (found[there] == box).all(dim=1).any()


def test_without_boxes_they_are_nan_and_the_size_is_the_pictures():
    notes = dict.fromkeys(("box", "detections", "size", "split"))
    batch = evaluation()(samples(2, notes), 0)
    assert batch["box"].isnan().all()
    assert batch["detections"].shape == (2, 0, 4)
    assert batch["size"].tolist() == [[SIZE, SIZE]] * 2
    assert batch["split"] == ["", ""]


@pytest.mark.parametrize(
    ("words", "counted"),
    [
        ("all", ["[CLS]", "the", "red", "ball", "on", "una", "##ffa", "##ble", "grass"]),
        ("words", ["the", "red", "ball", "on", "una", "##ffa", "##ble", "grass"]),
        ("content", ["red", "ball", "una", "##ffa", "##ble", "grass"]),
        ("head", ["red", "ball"]),
    ],
)
def test_words_whose_maps_count(words, counted):
    maker = evaluation(words)
    batch = maker(samples(2, texts=["the red ball on unaffable grass", "on it"]), 0)
    tokens = maker.reader.text._tokenizer.convert_ids_to_tokens(batch["input_ids"][0])
    assert [t for t, m in zip(tokens, batch["mapped"][0], strict=True) if m] == counted
    # Stop words alone: all words serve. Padding never does.
    assert batch["mapped"][1].sum() == (3 if words == "all" else 2)
    assert not (batch["mapped"] & ~batch["attention_mask"]).any()


def test_training_shows_the_whole_picture_whatever_its_shape():
    wide = np.random.default_rng(0).integers(0, 255, (20, 90, 3), dtype=np.uint8)
    assert (Distort(OFF, SIZE)(wide, 3) == resize(wide, SIZE)).all()
    assert (WHOLE.crop_scale, WHOLE.flip, WHOLE.rand_ops) == ((1, 1), 0.5, 2)


def test_training_batch_holds_words_and_no_boxes():
    maker = train(masks_per_pair=3)
    batch = maker(samples(), 0)
    assert set(batch) == {
        *("image", "input_ids", "attention_mask", "position", "key"),
        *("image_id", "text_id", "caption", "words"),
    }
    assert batch["words"].shape == (6, 3)
    assert batch["words"].min() >= 1
    assert (batch["words"] < batch["attention_mask"].sum(dim=1, keepdim=True)).all()
    plain = evaluation()(samples(), 0)
    assert torch.equal(batch["image"], plain["image"])
    assert torch.equal(batch["input_ids"], plain["input_ids"])


def test_training_needs_no_box():
    bad = {"box": "nowhere", "size": None, "detections": 3}
    assert len(train()(samples(4, bad), 0)["key"]) == 4


def test_training_draws_from_the_texts_of_a_sample():
    pair = next(grounded_pairs(1))._replace(captions=["one thing", "another"])
    maker = train()
    sample = Sample(0, "fake", pair.key, columns(pair))
    drawn = {maker.item(sample, epoch).pair.text.caption for epoch in range(12)}
    assert drawn == {"one thing", "another"}


@pytest.mark.parametrize("flip_sides", [True, False])
def test_pictures_of_sides_keep_their_sides_when_told(flip_sides):
    texts = ["LEFT one", "the leftmost", "man, right", "on his right.", "bright", "alright then"]
    batch = train(FLIP, flip_sides)(samples(6, texts=texts), 0)
    plain = evaluation()(samples(), 0)["image"]
    flipped = [torch.equal(a, b.flip(-1)) for a, b in zip(batch["image"], plain, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(batch["image"], plain, strict=True)]
    assert flipped == ([True] * 6 if flip_sides else [False] * 4 + [True] * 2)
    assert [not f for f in flipped] == kept


def test_a_pipeline_beside_kept_sides_is_refused():
    own = Distortion(pipeline="own.yaml")
    with pytest.raises(
        InputError, match=r"flip_sides is false, .*'own\.yaml' may mirror .* to true"
    ):
        GroundingData(distortion=own, flip_sides=False)
    GroundingData(distortion=own)


@pytest.mark.parametrize(
    ("notes", "words"),
    [
        ({"box": [1, 2, 3]}, r"the box \[1, 2, 3\]: no \[x, y, width, height\]"),
        ({"box": [1, 2, 3, "4"]}, "the box"),
        ({"box": [1, 2, float("nan"), 4]}, "the box"),
        ({"box": [1, 2, True, 4]}, "the box"),
        ({"box": {"x": 1}}, "the box"),
        ({"box": [1, 2, 0, 4]}, "without an area"),
        ({"box": [1, 2, 3, -4]}, "without an area"),
        ({"box": [40, 2, 8, 4]}, "outside its picture of 32 x 32 pixels"),
        ({"box": [30, 2, 3.5, 4]}, "outside"),
        ({"box": [-3, 2, 8, 4]}, "outside"),
        ({"box": [2, -3, 8, 4]}, "outside"),
        ({"detections": [[1, 2, 3, 4], [1, 2, 3]]}, "detection 2"),
        ({"detections": [[1, 2, 3, 400]]}, "detection 1.*outside"),
        ({"detections": 7}, "detections that are no list"),
        ({"size": None}, r"None where the original's \[width, height\] is needed"),
        ({"size": [32]}, "is needed"),
        ({"size": [32.0, 32.0]}, "is needed"),
        ({"size": [0, 32]}, "another shape"),
        ({"size": [64, 32]}, "32 x 32 pixels whose original is said to have 64 x 32"),
    ],
)
def test_bad_boxes_are_named(notes, words):
    with pytest.raises(BadSample, match=words) as caught:
        evaluation()(samples(1, notes), 0)
    assert caught.value.reason == "bad_box"


def test_split_that_is_no_name():
    for split in (3, "x" * 33, "\u00e9"):
        with pytest.raises(BadSample, match="has the split"):
            evaluation()(samples(1, {"split": split}), 0)


def test_good_boxes_pass():
    """Scores of a detector follow a box; COCO's rounding may lead a pixel too far."""
    notes = {"box": [-0.5, 0, 33.2, 32], "size": [32, 32], "detections": [[0, 1, 2, 3, 0.9, 44]]}
    found = marked(notes, (32, 32))
    assert found.detections.tolist() == [[0, 1, 2, 3]]
    assert marked({"box": [0, 0, 600, 400], "size": [640, 427]}, (48, 32)).size == (640, 427)
    assert marked({"box": [0, 0, 600, 400], "size": [640, 427]}, (432, 288)).size == (640, 427)


@pytest.mark.parametrize("verb", ["fit", "test"])
def test_bad_box_is_refused_in_evaluation_and_passes_in_training(tmp_path, verb):
    made = list(grounded_pairs(4))
    made[2] = made[2]._replace(meta={**made[2].meta, "box": [99, 0, 5, 5]})
    write_shards(made, tmp_path / "a")
    data = GroundingData(
        **{("train" if verb == "fit" else verb): str(tmp_path / "a")},
        image_size=SIZE,
        batch_size=4,
        workers=0,
    )
    data.setup(verb)
    if verb == "fit":
        assert len(next(iter(data.train_dataloader()))["key"]) == 4
        assert data.dropped() == {"read": 4}
        return
    with pytest.raises(InputError, match=r"g-00002.*bad_box.*outside its picture"):
        list(data.test_dataloader())


def test_picture_of_another_shape_than_its_original_is_squared_like_the_boxes():
    """A box of the original covers the same share of the square that the model sees."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[10:30, 40:60] = 255
    stored = cv2.imencode(".png", pixels)[1].tobytes()
    meta = {"box": [120, 30, 60, 60], "size": [240, 120]}
    pair = Pair("a", stored, "png", ["white"], meta)
    batch = evaluation()([Sample(0, "fake", "a", columns(pair))], 0)
    (x, y, w, h), (wide, high) = batch["box"][0].tolist(), batch["size"][0].tolist()
    inside = batch["image"][0, 0] > 127
    rows, columns_ = inside.any(dim=1).nonzero(), inside.any(dim=0).nonzero()
    assert rows.min().item() == pytest.approx(y / high * SIZE, abs=1)
    assert rows.max().item() + 1 == pytest.approx((y + h) / high * SIZE, abs=1)
    assert columns_.min().item() == pytest.approx(x / wide * SIZE, abs=1)
    assert columns_.max().item() + 1 == pytest.approx((x + w) / wide * SIZE, abs=1)
