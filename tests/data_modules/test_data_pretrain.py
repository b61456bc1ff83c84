import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from fake import fake_pairs, write_fake_pairs

from data_modules import WEAK, Distortion, PretrainData, TextOptions
from data_modules.collate import MLM_MULTIPLE
from data_modules.contents import captions, meta, picture
from data_modules.image import Distort
from data_modules.reasons import BadSample, Reason
from data_modules.seeds import hash63, sample_seed
from data_modules.shards import Sample
from data_modules.text import Text
from data_modules.write import write_shards
from softmask.batch import IGNORE

TEXT = TextOptions(augment="separate", mask_ratio=0.5, teacher_clean=True, masks_per_pair=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_fake_pairs(tmp_path_factory.mktemp("data"), 24, size=40)


def loader(folder, epoch=0, **options):
    options = {"image_size": 32, "batch_size": 8, "workers": 0, "text": TEXT, **options}
    made = PretrainData(folder, folder, teacher_clean_image=True, **options).train_dataloader()
    made.load_state_dict({**made.state_dict(), "epoch": epoch})
    return made


def by_key(batches):
    found = {}
    for batch in batches:
        for row, key in enumerate(batch["key"]):
            found[key] = batch["image"][row].numpy().tobytes(), batch["input_ids"][row].tolist()
    return found


def test_training_batch_keeps_the_contract(folder):
    batch = next(iter(loader(folder)))
    width = batch["input_ids"].shape[1]
    (most,) = batch["mlm_at"].shape
    expected = {
        "image": ((8, 3, 32, 32), torch.uint8),
        "clean_image": ((8, 3, 32, 32), torch.uint8),
        "input_ids": ((8, width), torch.int64),
        "mlm_ids": ((8, width), torch.int64),
        "clean_ids": ((8, width), torch.int64),
        "attention_mask": ((8, width), torch.bool),
        "mlm_at": ((most,), torch.int64),
        "mlm_labels": ((most,), torch.int64),
        "words": ((8, 2), torch.int64),
        "image_id": ((8,), torch.int64),
        "text_id": ((8,), torch.int64),
        "position": ((8,), torch.int64),
    }
    assert set(batch) == {*expected, "key", "caption"}
    for name, (shape, kind) in expected.items():
        assert (tuple(batch[name].shape), batch[name].dtype) == (shape, kind), name
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)
    assert (batch["attention_mask"].sum(1) == (batch["clean_ids"] != 0).sum(1)).all()
    assert batch["attention_mask"].all(0).sum() < width or batch["attention_mask"].all()
    assert not batch["clean_ids"][~batch["attention_mask"]].any()
    real = batch["mlm_labels"] != IGNORE
    at, labels = batch["mlm_at"][real], batch["mlm_labels"][real]
    assert (batch["clean_ids"].flatten()[at] == labels).all()
    assert batch["attention_mask"].flatten()[at].all()
    assert len(set(at.tolist())) == len(at)
    changed = (batch["mlm_ids"] != batch["clean_ids"]).flatten().nonzero().flatten()
    assert set(changed.tolist()) <= set(at.tolist())
    assert not batch["mlm_at"][~real].any()
    assert real[: len(at)].all()
    assert most == -(-len(at) // MLM_MULTIPLE) * MLM_MULTIPLE
    assert batch["attention_mask"].gather(1, batch["words"]).all()
    assert (batch["words"] > 0).all()


def test_evaluation_batch_keeps_the_contract(folder):
    data = PretrainData(None, folder, image_size=40, eval_batch_size=10, workers=0)
    batches = list(data.val_dataloader())
    assert [len(batch["key"]) for batch in batches] == [10, 10, 4]
    pairs = list(fake_pairs(24, size=40))
    batch = batches[1]
    assert set(batch) == {
        *("image", "input_ids", "attention_mask", "image_id", "text_id", "position"),
        *("key", "caption", "image_row"),
    }
    assert batch["key"] == [pair.key for pair in pairs[10:20]]
    assert batch["caption"] == [pair.captions[0] for pair in pairs[10:20]]
    assert batch["position"].tolist() == list(range(10, 20))
    first = picture(Sample(10, "x", "k", {"png": pairs[10].image}))
    assert np.array_equal(batch["image"][0].permute(1, 2, 0).numpy(), first)
    assert len(set(batch["image_id"].tolist())) == 10
    assert batch["text_id"][0] == hash63(pairs[10].captions[0])
    assert batch["image_row"].tolist() == list(range(10))


def test_optional_keys_are_left_out(folder):
    data = PretrainData(folder, image_size=16, batch_size=4, workers=0)
    batch = next(iter(data.train_dataloader()))
    assert not {"mlm_ids", "clean_ids", "clean_image"} & set(batch)
    text = TextOptions(mask_ratio=0.0)
    data = PretrainData(folder, image_size=16, batch_size=4, workers=0, text=text)
    batch = next(iter(data.train_dataloader()))
    assert batch["mlm_labels"].tolist() == [IGNORE] * MLM_MULTIPLE
    assert batch["mlm_at"].tolist() == [0] * MLM_MULTIPLE


def test_pad_to_max(folder):
    text = replace(TEXT, pad_to_max=True)
    for batch in loader(folder, text=text):
        for name in ("input_ids", "mlm_ids", "clean_ids", "attention_mask"):
            assert batch[name].shape == (8, 25)


def test_augmentation_repeats_between_runs_and_differs_between_epochs(folder):
    first = by_key(loader(folder))
    assert len(first) == 24
    assert first == by_key(loader(folder, workers=2))
    assert first == by_key(loader(folder, batch_size=4, workers=1))
    second = by_key(loader(folder, epoch=1))
    assert second == by_key(loader(folder, epoch=1, workers=2))
    assert sum(first[key][0] == second[key][0] for key in first) == 0
    assert sum(first[key][1] == second[key][1] for key in first) < 6
    assert len({image for image, _ in first.values()}) == 24
    other = by_key(loader(folder, seed=1))
    assert sum(first[key][0] == other[key][0] for key in first) == 0


def test_words_then_picture_are_drawn_from_one_stream_of_the_sample(folder):
    """One sample by itself, from end to end, is what the steps of a batch make of it."""
    text, distort = Text(TEXT), Distort(Distortion(), 32)
    pictures = {
        pair.key: picture(Sample(0, "x", pair.key, {"png": pair.image}))
        for pair in fake_pairs(24, size=40)
    }
    for batch in loader(folder, epoch=2):
        for row, key in enumerate(batch["key"]):
            rng, whole = random.Random(sample_seed(0, 2, key)), pictures[key]
            draw = text.draw(text.encode(batch["caption"][row]), rng)
            assert batch["words"][row].tolist() == list(draw.words)
            assert batch["input_ids"][row].tolist()[: len(draw.input_ids)] == list(draw.input_ids)
            sheet = distort.cut(whole[distort.crop(*whole.shape[:2], rng)], rng)
            distort.change(sheet, rng)
            assert np.array_equal(batch["image"][row].permute(1, 2, 0).numpy(), sheet.lay())


def test_the_same_picture_is_distorted_differently_by_each_worker(tmp_path):
    pair = next(fake_pairs(1))
    same = [pair._replace(key=f"k{number}") for number in range(16)]
    write_shards(same, tmp_path)
    found = by_key(loader(str(tmp_path), workers=2, batch_size=4))
    assert len({image for image, _ in found.values()}) == 16


def test_training_draws_among_captions_and_evaluation_takes_all(tmp_path):
    folder = write_fake_pairs(tmp_path, 16, captions=3)
    captions_of = {pair.key: pair.captions for pair in fake_pairs(16, captions=3)}
    kinds = set()
    for epoch in range(4):
        for batch in loader(folder, epoch):
            for key, caption in zip(batch["key"], batch["caption"], strict=True):
                kinds.add(captions_of[key].index(caption))
    assert kinds == {0, 1, 2}
    data = PretrainData(None, folder, image_size=16, workers=0)
    for batch in data.val_dataloader():
        assert batch["caption"] == [text for key in batch["key"] for text in captions_of[key]]
        assert batch["image_row"].tolist() == [row for row in range(16) for _ in range(3)]


def test_equal_pictures_and_captions_have_equal_ids(tmp_path):
    pairs = [
        pair._replace(captions=["One  cat" if n < 2 else "a dog"], meta={"image_id": n % 3})
        for n, pair in enumerate(fake_pairs(6))
    ]
    write_shards(pairs, tmp_path)
    data = PretrainData(None, str(tmp_path), image_size=16, workers=0)
    batch = next(iter(data.val_dataloader()))
    assert batch["image_id"][:3].tolist() == batch["image_id"][3:].tolist()
    assert len(set(batch["image_id"].tolist())) == 3
    assert len(set(batch["text_id"].tolist())) == 2
    assert batch["caption"][0] == "One cat"
    assert (batch["image_id"] > 0).all()


def test_distortion_reaches_the_pictures(folder):
    gray = Distortion(gray_prob=1, jitter_prob=0, rand_ops=0)
    batch = next(iter(loader(folder, distortion=gray)))
    assert (batch["image"][:, 0] == batch["image"][:, 2]).all()
    assert not (batch["clean_image"][:, 0] == batch["clean_image"][:, 2]).all()
    assert WEAK.gray_prob == WEAK.blur_prob == WEAK.jitter_prob == 0


def sample(**columns):
    return Sample(0, "s.tar", "k", columns)


@pytest.mark.parametrize(
    ("read", "columns", "reason"),
    [
        (picture, {"txt": b"x"}, Reason.MISSING_PICTURE),
        (picture, {"jpg": b"x"}, Reason.UNKNOWN_PICTURE),
        (captions, {"jpg": b"x"}, Reason.MISSING_CAPTION),
        (meta, {"json": b"{"}, Reason.BAD_JSON),
        (meta, {"json": b"[]"}, Reason.BAD_JSON),
    ],
)
def test_broken_samples_have_a_reason(read, columns, reason):
    with pytest.raises(BadSample) as bad:
        read(sample(**columns))
    assert bad.value.reason == reason


def test_captions_of_json_come_first():
    assert captions(sample(txt=b"x")) == ["x"]
    both = json.dumps({"captions": ["a", "b"]}).encode()
    assert captions(sample(txt=b"x", json=both)) == ["a", "b"]
    assert captions(sample(txt=b"x", json=b'{"captions": []}')) == ["x"]
    assert captions(sample(txt=b"x", json=b'{"captions": ["", "b"]}')) == ["b"]


def test_seeds_are_63_bits_and_differ():
    seeds = {sample_seed(s, e, k) for s in range(5) for e in range(5) for k in ("a", "b", "ü")}
    assert len(seeds) == 75
    assert all(0 <= seed < 2**63 for seed in seeds)
