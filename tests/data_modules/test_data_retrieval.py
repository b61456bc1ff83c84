"""Pictures with several captions: in turn within an epoch, all of them to evaluate."""

import json
from collections import Counter

import pytest
from fake import fake_pairs
from schemas import write_albef_test, write_albef_train, write_karpathy, write_pictures

from data_modules import PretrainData, RetrievalData, TextOptions
from data_modules.annotations import read_annotations
from data_modules.captioned import caption_place
from data_modules.commands import main
from data_modules.mixture import Source
from data_modules.seeds import hash63
from data_modules.shards import Sample, ShardSet
from data_modules.write import write_shards
from softmask.errors import InputError


def told(number, count=5):
    return [f"picture {number} in way {way}" for way in range(count)]


def write(folder, count=8, captions=5, shard_size=3):
    pairs = [pair._replace(captions=told(n, captions)) for n, pair in enumerate(fake_pairs(count))]
    write_shards(pairs, folder, shard_size=shard_size)
    return str(folder)


def epoch_of(folder, weight, epoch=0, *, kind=RetrievalData, **options):
    data = kind(
        train=[Source(folder, weight)],
        **{"image_size": 16, "batch_size": 4, "workers": 0, "window": 5, **options},
    )
    loader = data.train_dataloader()
    loader.load_state_dict({**loader.state_dict(), "epoch": epoch})
    return [
        (key, caption)
        for batch in loader
        for key, caption in zip(batch["key"], batch["caption"], strict=True)
    ]


@pytest.mark.parametrize("kind", [RetrievalData, PretrainData])
@pytest.mark.parametrize(("captions", "weight"), [(5, 5), (5, 10), (2, 4), (1, 3), (5, 2)])
def test_every_caption_comes_as_often_as_weight_over_captions(tmp_path, kind, captions, weight):
    folder = write(tmp_path, captions=captions)
    for epoch in (0, 3):
        seen = Counter(epoch_of(folder, weight, epoch, kind=kind))
        assert seen.total() == 8 * weight
        counts = Counter(seen.values())
        if weight % captions == 0:
            assert counts == {weight // captions: 8 * captions}
        else:
            assert counts == {1: 8 * weight}  # fewer turns than captions: none comes twice


def test_an_epoch_repeats_with_its_seed_in_any_process(tmp_path):
    folder = write(tmp_path)
    seen = epoch_of(folder, 5, 1)
    assert seen == epoch_of(folder, 5, 1, workers=1)
    assert seen != epoch_of(folder, 5, 1, seed=1)


def places(epoch, key, turns=5, count=5):
    return [caption_place(0, epoch, Sample(0, "", key, {}, turn), count) for turn in range(turns)]


def test_captions_have_an_order_of_their_own_for_every_picture_and_epoch():
    orders = [tuple(places(epoch, key)) for epoch in range(20) for key in "abcdef"]
    assert all(sorted(order) == list(range(5)) for order in orders)
    assert len(set(orders)) > 60  # of 120 draws from 120
    assert places(0, "a", turns=10) == 2 * places(0, "a")


def test_one_turn_an_epoch_draws_evenly_among_captions():
    first = Counter(places(epoch, str(key), turns=1)[0] for epoch in range(50) for key in range(40))
    assert sorted(first) == list(range(5))
    assert all(340 < count < 460 for count in first.values())  # 400 each, within 3.4 deviations


def test_evaluation_gives_every_caption_with_the_row_of_its_picture(tmp_path):
    pairs = [
        pair._replace(captions=told(n, 1 + n % 3), meta={"image_id": f"same {n // 2}"})
        for n, pair in enumerate(fake_pairs(7))
    ]
    write_shards(pairs, tmp_path, shard_size=4)
    sizes = {"image_size": 16, "eval_batch_size": 3, "workers": 0}
    batches = list(RetrievalData(val=str(tmp_path), **sizes).val_dataloader())
    assert [len(batch["image"]) for batch in batches] == [3, 3, 1]
    got = [text for batch in batches for text in batch["caption"]]
    assert got == [text for pair in pairs for text in pair.captions]
    second = batches[1]
    assert second["image_row"].tolist() == [0, 1, 1, 2, 2, 2]
    assert second["position"].tolist() == [3, 4, 5]
    assert second["text_id"].tolist() == [hash63(text) for text in second["caption"]]
    assert second["image_id"].tolist() == [hash63(f"same {n}") for n in (1, 2, 2)]
    assert second["input_ids"].shape == second["attention_mask"].shape == (6, 6)
    assert second["key"] == [pair.key for pair in pairs[3:6]]


def test_training_batch_is_distorted_pairs_alone(tmp_path):
    folder = write(tmp_path)
    sizes = {"image_size": 16, "batch_size": 8, "workers": 0}
    first, again = (
        next(iter(RetrievalData(train=folder, val=folder, **sizes).train_dataloader()))
        for _ in range(2)
    )
    assert set(first) == {
        *("image", "input_ids", "attention_mask", "image_id", "text_id", "position"),
        *("key", "caption"),
    }
    assert first["image"].equal(again["image"])
    plain = next(iter(RetrievalData(val=folder, **sizes).val_dataloader()))
    rows = [plain["key"].index(key) for key in first["key"]]
    assert not first["image"].equal(plain["image"][rows])
    masked = PretrainData(train=folder, **sizes, text=TextOptions(mask_ratio=1.0))
    assert (next(iter(masked.train_dataloader()))["input_ids"] == 103).any()
    assert not (first["input_ids"] == 103).any()


def test_keys_that_come_in_every_shard_are_different_pictures(tmp_path):
    """Tars of others number their samples anew, and give no image_id."""
    for shard in range(2):
        pairs = [pair._replace(key=f"{n}") for n, pair in enumerate(fake_pairs(3, seed=shard))]
        write_shards(pairs, tmp_path / str(shard))
        (tmp_path / str(shard) / "00000.tar").rename(tmp_path / f"{shard}.tar")
    sizes = {"image_size": 16, "eval_batch_size": 6, "workers": 0}
    (batch,) = RetrievalData(val=str(tmp_path / "{0..1}.tar"), **sizes).val_dataloader()
    assert batch["key"] == ["0", "1", "2"] * 2
    assert len(set(batch["image_id"].tolist())) == 6


@pytest.mark.parametrize("captions", [[""], [" ", "\t"], ["[PAD]", "a cat"]])
def test_a_picture_without_a_caption_to_read_is_refused_in_evaluation(tmp_path, captions):
    pairs = list(fake_pairs(4))
    pairs[2] = pairs[2]._replace(meta={"captions": captions})  # its txt does not stand in
    write_shards(pairs, tmp_path)
    data = RetrievalData(val=str(tmp_path), image_size=16, workers=0)
    with pytest.raises(InputError, match=r"sample '0-00002'.*empty_caption"):
        list(data.val_dataloader())


def test_karpathys_restval_is_trained_on_and_splits_keep_their_captions(tmp_path):
    names = [f"{n}.jpg" for n in range(8)]
    splits = ["train", "restval", "val", "test"] * 2
    write_pictures(tmp_path / "images" / "val2014", names)
    file = write_karpathy(tmp_path / "dataset_coco.json", names, splits, "val2014")
    output = tmp_path / "out"
    main(f"write --images {tmp_path / 'images'} --captions {file} --output {output}".split())
    found = {split: len(ShardSet(str(output / split))) for split in ("train", "val", "test")}
    assert found == {"train": 4, "val": 2, "test": 2}
    sizes = {"image_size": 16, "eval_batch_size": 4, "workers": 0}
    (batch,) = RetrievalData(test=str(output / "test"), **sizes).test_dataloader()
    assert sorted(batch["caption"]) == sorted(
        f"picture {n} said in way {way}" for n in (3, 7) for way in range(2)
    )


def test_albefs_lists_come_one_after_the_other_into_one_output(tmp_path):
    names = [f"{n}.jpg" for n in range(6)]
    images, output = write_pictures(tmp_path / "images", names), tmp_path / "out"
    train = write_albef_train(tmp_path / "coco_train.json", names[:4])
    test = write_albef_test(tmp_path / "coco_test.json", names[4:])
    assert [group.image_id for group in read_annotations(train)] == [
        f"coco_{5000 + n}" for n in range(4)
    ]
    for split, file in (("train", train), ("test", test)):
        flags = f"--images {images} --captions {file} --output {output} --split {split}"
        main(["write", *flags.split()])
    assert sorted(path.name for path in output.iterdir() if path.is_dir()) == ["test", "train"]
    sizes = {"image_size": 16, "batch_size": 4, "workers": 0}
    data = RetrievalData(train=str(output / "train"), test=str(output / "test"), **sizes)
    (batch,) = data.test_dataloader()
    assert (len(batch["image"]), len(batch["caption"])) == (2, 4)
    (batch,) = data.train_dataloader()
    assert sorted(batch["image_id"].tolist()) == sorted(
        hash63(f"coco_{5000 + n}") for n in range(4)
    )


def test_split_beside_splits_is_refused(tmp_path):
    write_pictures(tmp_path / "images", ["0.jpg"])
    file = write_karpathy(tmp_path / "dataset_flickr30k.json", ["0.jpg"], ["val"], None)
    flags = f"--images {tmp_path / 'images'} --captions {file} --output {tmp_path / 'out'}"
    with pytest.raises(InputError, match=r"split of their own, the first is 'val'"):
        main(["write", *flags.split(), "--split", "test"])


def test_a_folder_a_class_is_written_with_labels(tmp_path):
    write_pictures(tmp_path / "in", ["polar_bear/1.JPEG", "cat/1.png", "cat/2.jpg"])
    (tmp_path / "in" / "cat" / "notes.txt").write_text("no picture")
    flags = f"--images {tmp_path / 'in'} --output {tmp_path / 'out'} --format folders"
    main(["write", *flags.split(), "--split", "test"])
    shards = ShardSet(str(tmp_path / "out" / "test"))
    found = [shards.read(n).columns for n in range(len(shards))]
    notes = sorted((json.loads(c["json"])["label"], c["txt"].decode()) for c in found)
    assert notes == [("cat", "cat"), ("cat", "cat"), ("polar_bear", "polar bear")]
    main(["write", *flags.replace("/out", "/shared").split(), "--test_share", "0.34"])
    assert len(ShardSet(str(tmp_path / "shared" / "test"))) == 1  # classes need not stay together


@pytest.mark.parametrize("made", [[], ["1.jpg"], ["a/b/1.jpg"]])
def test_folders_without_classes_are_refused(tmp_path, made):
    write_pictures(tmp_path, made)
    flags = f"--images {tmp_path} --output {tmp_path / 'out'} --format folders"
    with pytest.raises(InputError, match="holds no folders with pictures"):
        main(["write", *flags.split()])
