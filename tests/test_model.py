"""`SoftMask` asked: its scores, features and maps are those of the task it came from."""

import numpy as np
import pytest
import torch
from fake import draw
from PIL import Image

from data_modules.pictured import Reader
from data_modules.pretrain import MakePairs
from data_modules.shards import Sample
from data_modules.text import Text, TextOptions
from softmask import SoftMask
from softmask.errors import InputError
from softmask.tasks import load_task
from softmask.tokenizer import load_tokenizer

TEXTS = ["a red square on the left of a blue ground", "two xylophones, yellow"]


@pytest.fixture(scope="module")
def model(fitted):
    return SoftMask.from_pretrained(fitted, checkpoint="last")


@pytest.fixture(scope="module")
def pictures():
    return [
        draw("red", "square", "left", "blue", 50),
        draw("yellow", "circle", "right", "black", 90),
    ]


def batch(pictures, texts, tmp_path):
    """What the data module makes of pictures and texts in files."""
    samples = []
    for number, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        path = tmp_path / f"{number}.png"
        Image.fromarray(picture).save(path)
        columns = {"png": path.read_bytes(), "txt": text.encode()}
        samples.append(Sample(number, "here", str(number), columns))
    return MakePairs(Reader(Text(TextOptions(punctuation="albef")), 32))(samples, 0)


def test_scores_and_features_are_the_tasks(model, fitted, pictures, tmp_path):
    task = load_task(fitted, "last")
    given = batch(pictures, TEXTS, tmp_path)
    with torch.no_grad():
        mask = given["attention_mask"]
        tokens, image = task.backbone.encode_image(given["image"])
        states, text = task.backbone.encode_text(given["input_ids"], mask)
        fused = task.backbone.fuse(states, mask, task.backbone.project(tokens))
        expected = task.matcher(fused[:, 0]).softmax(dim=1)[:, 1]
    torch.testing.assert_close(model.embed_images(pictures), image)
    torch.testing.assert_close(model.embed_texts(TEXTS), text)
    scores = model.score(pictures, TEXTS)
    torch.testing.assert_close(scores, expected)


def test_explain_is_the_tasks_word_by_word(model, fitted, pictures, tmp_path):
    task = load_task(fitted, "last")
    given = batch(pictures[:1], TEXTS[:1], tmp_path)  # each word one piece
    words = torch.eye(given["input_ids"].shape[1], dtype=torch.bool)[1:]
    expected = task.explain(given, words[None])
    found = model.explain(pictures[0], TEXTS[0])
    assert found.words == TEXTS[0].split()
    grid = task.backbone.image.grid
    torch.testing.assert_close(found.maps.flatten(1), expected.maps[0])
    assert found.maps.shape == (len(words), *grid)
    torch.testing.assert_close(found.masked, expected.masked[0])
    assert found.match == pytest.approx(float(expected.plain[0]))


def test_explain_averages_the_pieces_of_a_word(model, fitted, pictures, tmp_path):
    task = load_task(fitted, "last")
    pieces = load_tokenizer().tokenize(TEXTS[1])
    assert pieces[1:5] == ["x", "##yl", "##ophone", "##s"]
    found = model.explain(pictures[1], TEXTS[1])
    assert found.words == ["two", "xylophones", "yellow"]
    given = batch(pictures[1:], TEXTS[1:], tmp_path)
    backbone, layer = task.backbone, task.soft_mask.layer
    with torch.no_grad():
        keys = backbone.project(backbone.encode_image(given["image"])[0])
        states, _ = backbone.encode_text(given["input_ids"], given["attention_mask"])
        early = backbone.fusion(states, given["attention_mask"], keys, stop=layer)
    cam = task.word_maps(early, given["attention_mask"], keys).cam[0, :, 1:]
    mean = (cam[2] + cam[3] + cam[4] + cam[5]) / 4
    expected = (mean - mean.min()) / (mean.max() - mean.min())
    torch.testing.assert_close(found.maps[1].flatten(), expected)


def test_one_picture_for_many_texts_and_batches_change_nothing(model, pictures):
    pairs = [model.score(pictures[0], text) for text in TEXTS]
    torch.testing.assert_close(model.score(pictures[0], TEXTS), torch.cat(pairs))
    torch.testing.assert_close(model.score(pictures[0], TEXTS, batch_size=1), torch.cat(pairs))
    other = model.score(pictures, TEXTS[0])
    torch.testing.assert_close(model.score(pictures, TEXTS[:1] * 2, batch_size=1), other)
    torch.testing.assert_close(other[:1], pairs[0])
    assert not torch.equal(other[0], other[1])


def test_paths_and_pil_images_are_read_like_arrays(model, pictures, tmp_path):
    Image.fromarray(pictures[0]).save(tmp_path / "a.png")
    expected = model.embed_images(pictures[0])
    for given in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(pictures[0])):
        assert torch.equal(model.embed_images(given), expected)


def test_what_cannot_be_read_is_refused(model, pictures, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"junk")
    for call, words in (
        (lambda: model.embed_images(tmp_path / "a.jpg"), "a.jpg"),
        (lambda: model.embed_images(tmp_path / "none.jpg"), "none.jpg"),
        (lambda: model.embed_images(pictures[0].astype(float)), "float64"),
        (lambda: model.embed_images([3]), "int"),
        (lambda: model.embed_images(5), "int"),
        (lambda: model.embed_images([]), "No picture"),
        (lambda: model.embed_images(iter([])), "No picture"),
        (lambda: model.embed_images(torch.zeros(3, 4, 4)), "Tensor"),
        (lambda: model.embed_images(np.zeros((0, 4, 3), np.uint8)), "with pixels"),
        (lambda: model.embed_texts(np.array([])), "No text"),
        (lambda: model.embed_texts(5), "int"),
        (lambda: model.embed_texts([" "]), "no token"),
        (lambda: model.embed_texts([None]), "NoneType"),
        (lambda: model.score(pictures, TEXTS * 2), "2 images are given with 4 texts"),
        (lambda: model.score(pictures, TEXTS, batch_size=0), "batch_size is 0"),
        (lambda: model.score(pictures, TEXTS, batch_size=2.5), "batch_size is 2.5: give a whole"),
        (lambda: model.embed_images(pictures, batch_size="2"), "batch_size is '2'"),
        (lambda: model.embed_texts(TEXTS, batch_size=None), "batch_size is None"),
        (lambda: model.explain(pictures[0], "a", layer=3), "layer=0..2"),
        (lambda: model.explain(pictures[0], "a", layer=0.5), "layer=0..2"),
    ):
        with pytest.raises(InputError, match=words):
            call()


def test_lists_of_all_kinds_are_read(model, pictures):
    expected = model.score(pictures, TEXTS)
    assert torch.equal(model.score(iter(pictures), (text for text in TEXTS)), expected)
    assert torch.equal(model.score(tuple(pictures), np.array(TEXTS)), expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "warp"}, "device 'warp' cannot be used"),
        ({"device": "cuda:99"}, "cuda:99"),
        ({"device": None}, "None"),
        ({"dtype": "float16"}, "dtype is 'float16': give torch.float32"),
        ({"dtype": torch.int8}, "torch.int8"),
    ],
)
def test_what_no_model_can_be_put_on_is_refused(fitted, options, words):
    with pytest.raises(InputError, match=words):
        SoftMask.from_pretrained(fitted, checkpoint="last", **options)


def test_texts_that_are_read_in_part_are_said(model, pictures, recwarn):
    most = model.config.captions.max_tokens - 1
    whole, longer = " ".join(["red"] * most), " ".join(["red"] * most + ["square"])
    model.score(pictures[0], [whole, "two xylophones, yellow", "." * 90 + "red"])
    assert [str(said.message) for said in recwarn if "read in part" in str(said.message)] == []
    with pytest.warns(UserWarning, match=f"2 of 3 texts.*'red red.*{most + 1} tokens"):
        found = model.score(pictures[0], [longer, whole, "-".join(["red"] * 40)])
    assert found[0] == found[1]  # as said
