"""Captioning: its loss, what learns, what it starts from, what it writes and hands in."""

import io
import tarfile

import pytest
import torch
import training
from fake import fake_pairs

from data_modules import CaptionData
from data_modules.shards import Sample
from data_modules.text import TextOptions
from data_modules.write import Pair, columns, write_shards
from softmask.errors import InputError
from softmask.generation import Search
from softmask.optim import Optim
from softmask.tasks import CaptionTask

SETTINGS = {"image_size": training.SIZE, "workers": 0}


def data(**options):
    return CaptionData(distortion=training.STILL, **SETTINGS, **options)


def samples(pairs):
    return [Sample(n, "fake", pair.key, columns(pair)) for n, pair in enumerate(pairs)]


def batch(count=4, **options):
    return data(**options).make_train()(samples(fake_pairs(count, size=training.SIZE)), 0)


def task(**options):
    return CaptionTask(training.backbone(), **options)


def test_the_loss_is_that_of_a_plain_loop():
    """Each token from those before it alone, with one image and one text at a time."""
    made, given = task().eval(), batch()
    lengths = given["attention_mask"].sum(dim=1).tolist()
    assert len(set(lengths)) == 1
    given["attention_mask"][0, 5:] = False  # a shorter one
    total, count = 0.0, 0
    with torch.no_grad():
        for row, mask in enumerate(given["attention_mask"]):
            tokens = given["input_ids"][row, mask]
            keys = made.decoder.project(made.backbone.image(given["image"][row : row + 1]))
            for place in range(1, len(tokens)):
                before = tokens[None, :place]
                states = made.decoder(before, torch.ones_like(before) > 0, keys)
                logits = made.decoder.logits(states[0, -1])
                total -= logits.log_softmax(0)[tokens[place]].item()
                count += 1
    loss = training.alone(made).training_step(given, 0)
    assert loss.item() == pytest.approx(total / count, rel=1e-5)


def test_captions_end_with_sep_and_evaluation_keeps_all_of_them():
    ends = batch(text=TextOptions(max_tokens=5))
    last = ends["attention_mask"].sum(dim=1) - 1
    assert (ends["input_ids"].gather(1, last[:, None]) == task().end).all()
    assert last.tolist() == [4] * 4
    pairs = list(fake_pairs(4, size=training.SIZE, captions=3))
    pairs[1] = pairs[1]._replace(meta={"coco_id": 391895, "image_id": "a.jpg"})
    pairs[2] = pairs[2]._replace(meta={"coco_id": None, "image_id": "b.jpg"})
    pairs[3] = pairs[3]._replace(meta={"coco_id": "", "image_id": None})
    given = samples(pairs)
    silent = {k: v for k, v in given[0].columns.items() if k not in ("txt", "json")}
    found = data().make_evaluation()([given[0]._replace(columns=silent), *given[1:]], 0)
    assert found["references"] == [[], *(pair.captions for pair in pairs[1:])]
    assert found["image_name"] == [pairs[0].key, "391895", "b.jpg", pairs[3].key]
    assert found["position"].tolist() == [0, 1, 2, 3]


def test_all_of_the_decoder_and_the_vit_learn_and_nothing_else():
    made = task().train()
    training.alone(made).training_step(batch(), 0).backward()
    learns = {name for name, p in made.named_parameters() if p.grad is not None and p.grad.any()}
    assert learns == {name for name, p in made.named_parameters() if p.requires_grad}
    assert {name.split(".")[0] for name in learns} == {"backbone", "decoder"}
    assert all(name.startswith(("decoder.", "backbone.image.")) for name in learns), (
        "text and fusion layers rest"
    )
    assert not made.backbone.fusion.training


def test_the_decoder_starts_from_a_pretrained_model(tmp_path):
    pretrained = training.task()
    path = tmp_path / "pretrained.ckpt"
    torch.save({"state_dict": pretrained.state_dict()}, path)
    made = task(init_from=str(path))
    made.trainer = training.trainer()
    made.setup("fit")
    own, theirs = made.decoder, pretrained.backbone
    for layer, source in zip(own.fusion.layers, theirs.fusion.layers, strict=True):
        for name, value in source.state_dict().items():
            assert torch.equal(layer.state_dict()[name], value), name
    embeddings = theirs.text.bert.embeddings.state_dict()
    for name, value in own.embeddings.state_dict().items():
        assert torch.equal(value, embeddings[name]), name
    for name, value in own.words.state_dict().items():
        assert torch.equal(value, pretrained.words.state_dict()[name]), name


@pytest.fixture(scope="module")
def learnt():
    """A few pictures by heart."""
    given = batch()
    made = CaptionTask(
        training.backbone(width=32),
        Optim(lr=1e-2, warmup_steps=5, warmup_lr=1e-3, weight_decay=0.0),
        Search(beams=3, max_tokens=16),
    )
    training.trainer(max_steps=60).fit(made, training.Given([given]))
    return made.eval(), given


@pytest.mark.parametrize("beams", [1, 3])
def test_it_writes_what_it_learnt(learnt, beams):
    made, given = learnt
    made.search = Search(beams=beams, max_tokens=16)
    written = made.write(given["image"])
    assert made.read(written.ids) == given["caption"]
    assert (written.score > -0.2).all()
    # Of another picture, another caption: it does look.
    assert made.read(made.write(given["image"].flip(0)).ids) == given["caption"][::-1]


def test_a_test_reports_scores_and_hands_in_captions(learnt, tmp_path):
    made, _ = learnt
    pairs = list(fake_pairs(4, size=training.SIZE))
    pairs = [pair._replace(meta={"coco_id": 7 + n}) for n, pair in enumerate(pairs)]
    write_shards(pairs, tmp_path / "a", shard_size=3)
    training.trainer().test(
        made, datamodule=data(test=str(tmp_path / "a"), eval_batch_size=3), verbose=False
    )
    assert made.submission == [
        {"image_id": 7 + n, "caption": pair.captions[0]} for n, pair in enumerate(pairs)
    ]
    assert (made.report["images"], made.report["captioned"]) == (4, 4)
    assert made.report["bleu4"] == pytest.approx(1)
    assert ("CIDEr" in made.summary("a")) == ("cider" not in made.report)


def test_pictures_without_captions_are_captioned_but_not_scored(learnt, tmp_path):
    made, _ = learnt
    folder = tmp_path / "a"
    write_shards(fake_pairs(4, size=training.SIZE), folder)
    rewrite_without_captions(folder, range(4))
    training.trainer().test(made, datamodule=data(test=str(folder)), verbose=False)
    assert (len(made.submission), made.report) == (4, {"images": 4, "captioned": 0})
    with pytest.raises(InputError, match=r"None of the 4 pictures of data\.init_args\.val"):
        training.trainer().validate(made, datamodule=data(val=str(folder)), verbose=False)


def test_captions_are_scored_by_those_of_their_own_picture(learnt, tmp_path):
    made, _ = learnt
    pairs = list(fake_pairs(4, size=training.SIZE))
    write_shards(pairs, tmp_path)
    rewrite_without_captions(tmp_path, (0, 2))
    training.trainer().test(made, datamodule=data(test=str(tmp_path)), verbose=False)
    assert [row["caption"] for row in made.submission] == [pair.captions[0] for pair in pairs]
    assert (made.report["images"], made.report["captioned"]) == (4, 2)
    assert made.report["bleu4"] == pytest.approx(1)


def rewrite_without_captions(folder, places):
    """Leave the pictures of some pairs alone, as bare tars do."""
    (file,) = folder.glob("*.tar")
    bare = tuple(f"{pair.key}." for n, pair in enumerate(fake_pairs(4)) if n in places)
    with tarfile.open(file) as tar:
        kept = [
            (info, tar.extractfile(info).read())
            for info in tar
            if info.name.endswith(".png") or not info.name.startswith(bare)
        ]
    (folder / "index.json").unlink()
    with tarfile.open(file, "w") as tar:
        for info, content in kept:
            tar.addfile(info, io.BytesIO(content))


def test_a_picture_that_is_there_twice_is_refused(learnt, tmp_path):
    pairs = [
        Pair(f"{n}", pair.image, "png", pair.captions, {"image_id": "same.jpg"})
        for n, pair in enumerate(fake_pairs(2, size=training.SIZE))
    ]
    write_shards(pairs, tmp_path / "a")
    with pytest.raises(InputError, match=r"1 pictures .*val.*'same.jpg'"):
        training.trainer().validate(
            learnt[0], datamodule=data(val=str(tmp_path / "a")), verbose=False
        )


def test_captions_longer_than_the_positions_are_refused():
    with pytest.raises(InputError, match=r"search\.max_tokens is 33, .*max_positions is 32"):
        task(search=Search(max_tokens=33))


def test_predictions_are_captions_by_key(learnt, tmp_path):
    pairs = list(fake_pairs(4, size=training.SIZE))
    write_shards(pairs, tmp_path / "a")
    given = data(predict=str(tmp_path / "a"), eval_batch_size=4)
    (found,) = training.trainer().predict(learnt[0], datamodule=given)
    assert found["key"] == found["image_id"] == [pair.key for pair in pairs]
    assert found["caption"] == [pair.captions[0] for pair in pairs]
    assert found["position"] == [0, 1, 2, 3]
    assert all(-1 < score < 0 for score in found["score"])
