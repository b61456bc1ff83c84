"""Who reads which text and which picture, in each way to augment them."""

import pytest
import torch
import training

from softmask.tasks import Negatives
from softmask.tokenizer import load_tokenizer

TOKENIZER = load_tokenizer()
MASK = TOKENIZER.mask_token_id


def captions(given):
    """The captions' tokens with nothing masked, as the data module pads them."""
    rows = [
        TOKENIZER(caption, add_special_tokens=False)["input_ids"] for caption in given["caption"]
    ]
    rows = [[TOKENIZER.cls_token_id, *row] for row in rows]
    length = max(len(row) for row in rows)
    return torch.tensor([row + [TOKENIZER.pad_token_id] * (length - len(row)) for row in rows])


def unmasked(given, ids):
    """`ids` with MLM's answers filled in."""
    known = given["mlm_labels"] >= 0
    flat = ids.flatten().clone()
    flat[given["mlm_at"][known]] = given["mlm_labels"][known]
    return flat.view_as(ids)


def reading(given):
    """The texts and pictures that student and teacher encode in one step, in order.

    A pass may read several texts a pair, all pairs' first ones first.
    """
    task, pairs = training.task(), len(given["key"])
    read = {"student": [], "teacher": [], "student image": [], "teacher image": []}
    passes = {"student": 0, "teacher": 0}

    def count(who):
        passes[who] += 1

    for who, network in (("student", task.backbone), ("teacher", task.teacher)):
        for name, part in ((who, network.text), (f"{who} image", network.image)):
            part.register_forward_pre_hook(
                lambda _, args, kept=read[name]: kept.extend(args[0].split(pairs))
            )
        network.text.register_forward_pre_hook(lambda *_, who=who: count(who))
    training.step(task, given)
    assert passes == {"student": 1, "teacher": 1}  # whatever is read
    return read


def same(read, *expected):
    return len(read) == len(expected) and all(map(torch.equal, read, expected))


def test_no_text_augmentation_masks_for_mlm_alone():
    given = training.batch(4, training.text(augment="none"))
    plain, masked = captions(given), given["mlm_ids"]
    read = reading(given)
    assert same(read["student"], plain, masked)
    assert same(read["teacher"], plain, masked)
    assert (masked == MASK).any()
    assert unmasked(given, masked).equal(plain)


def test_shared_masks_are_read_by_every_loss_in_one_pass():
    given = training.batch(4, training.text(augment="shared"))
    assert "mlm_ids" not in given
    read = reading(given)
    assert same(read["student"], given["input_ids"])
    assert same(read["teacher"], given["input_ids"])
    assert (given["input_ids"] == MASK).any()
    assert unmasked(given, given["input_ids"]).equal(captions(given))


def test_separate_masks_are_two_draws():
    given = training.batch(4, training.text(augment="separate"))
    own, mlm = given["input_ids"], given["mlm_ids"]
    assert not own.equal(mlm)
    assert all((ids == MASK).any() for ids in (own, mlm))
    assert unmasked(given, mlm).equal(captions(given))
    read = reading(given)
    assert same(read["student"], own, mlm)
    assert same(read["teacher"], own, mlm)


@pytest.mark.parametrize("augment", ["shared", "separate"])
def test_a_clean_teacher_reads_captions_but_predicts_masked_words(augment):
    given = training.batch(4, training.text(augment=augment, teacher_clean=True))
    plain, mlm = captions(given), given.get("mlm_ids", given["input_ids"])
    read = reading(given)
    assert same(read["teacher"], plain, mlm)
    assert read["student"][0].equal(given["input_ids"])
    assert not read["student"][0].equal(plain)


def test_a_clean_picture_is_the_teachers_alone():
    given = training.batch(4, clean_image=True)
    still = training.batch(4)["image"]
    read = reading(given)
    assert same(read["student image"], given["image"])
    assert same(read["teacher image"], still)
    assert not given["image"].equal(still)
    given = training.batch(4)
    read = reading(given)
    assert same(read["student image"], given["image"])
    assert same(read["teacher image"], given["image"])


def test_masked_text_changes_every_loss_but_mlm_without_it_only():
    """The MLM term of both modes reads the same draw: only what others read differs."""
    none = training.batch(4, training.text(augment="none"))
    shared = {**none, "input_ids": none["mlm_ids"]}
    del shared["mlm_ids"]
    losses = []
    for given in (none, shared):
        task = training.task()
        other = torch.tensor([1, 2, 3, 0])
        task.negatives = Negatives(text=other, image=other)
        losses.append(training.step(task, given))
    assert losses[1]["mlm"] == pytest.approx(losses[0]["mlm"], rel=1e-5)
    for name in ("itc", "itm", "soft"):
        assert losses[1][name] != pytest.approx(losses[0][name], rel=1e-4), name
