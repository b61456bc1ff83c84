"""Data of VQA: what batches hold, how answers weigh, and which samples are bad."""

import asking
import pytest
import torch

from data_modules.answered import answer_weights
from data_modules.reasons import BadSample, Reason
from data_modules.text import TextOptions
from softmask.errors import InputError
from softmask.ranking import tokenise
from softmask.tokenizer import load_tokenizer

SAMPLES = asking.samples(4)
LONG = " ".join(f"word{n}" for n in range(60))


def test_a_training_batch():
    batch = asking.data().make_train()(SAMPLES, 0)
    tokenizer = load_tokenizer()
    spelled = [
        tokenizer.decode(ids[real].tolist())
        for ids, real in zip(batch["answer_ids"], batch["answer_mask"], strict=True)
    ]
    assert len(spelled) == 13
    colour = batch["answers"][0][0]
    assert spelled[:4] == [f"[CLS] {text} [SEP]" for text in (colour, f"dark {colour}", "2", "two")]
    assert batch["answer_weight"].tolist() == pytest.approx(
        [0.7, 0.1, 0.1, 0.1] * 2 + [0.5] + [0.7, 0.1, 0.1, 0.1]
    )
    assert batch["question_row"].tolist() == [0] * 4 + [1] * 4 + [2] + [3] * 4
    assert batch["question_id"].tolist() == [0, 1, 2, 3]
    assert (batch["answer_ids"][~batch["answer_mask"]] == tokenizer.pad_token_id).all()


@pytest.mark.parametrize("punctuation", ["kept", "albef", "lavis", "lavis_questions"])
def test_answers_are_tokenised_as_those_of_the_list(punctuation):
    said = ["Left hand side", "x-ray", "3.5", "café", "5:30", "don't know", "yes/no", "?"]
    said += ["\ufb01re", "\uff15", "\u00bd", "x\u00b2", "a\u200bb", "\u2460 red"]  # for NFKC
    sample = asking.noted(SAMPLES[0], answers=said)
    data = asking.data(text=TextOptions(punctuation=punctuation))
    batch = data.make_train()([sample], 0)
    listed = tokenise([text.lower() for text in said], load_tokenizer())
    assert torch.equal(batch["answer_ids"], listed.ids)
    assert torch.equal(batch["answer_mask"], listed.mask)


def test_an_evaluation_batch():
    batch = asking.data().make_evaluation()([*SAMPLES, asking.noted(SAMPLES[0], answers=None)], 0)
    assert batch["question"] == ["What color is it?"] * 5
    assert batch["question_type"] == ["what color", "what", "what color", "what", "what color"]
    assert batch["answer_type"] == ["other", "number", "yes/no", "other", "other"]
    assert [len(answers) for answers in batch["answers"]] == [10, 10, 1, 10, 0]
    assert batch["position"].tolist() == [0, 1, 2, 3, 0]
    assert batch["key"] == [*(sample.key for sample in SAMPLES), SAMPLES[0].key]
    assert "answer_ids" not in batch


def test_questions_are_cut_in_training_more_than_in_evaluation():
    sample = SAMPLES[0]._replace(columns={**SAMPLES[0].columns, "txt": LONG.encode()})
    pieces = load_tokenizer()(" ".join(LONG.split()[:50]), add_special_tokens=False)["input_ids"]
    assert len(pieces) == 100
    data = asking.data(text=TextOptions(max_words=30, max_tokens=25), eval_tokens=512)
    assert data.make_train()([sample], 0)["input_ids"].shape == (1, 25)
    assert data.make_evaluation()([sample], 0)["input_ids"][0, 1:].tolist() == pieces
    assert asking.data(eval_tokens=40).make_evaluation()([sample], 0)["input_ids"].shape == (1, 40)
    assert asking.data(eval_words=3).make_evaluation()([sample], 0)["input_ids"].shape == (1, 7)


@pytest.mark.parametrize(
    ("notes", "weights"),
    [
        ({"answers": ["a", "b", "a", "a"]}, {"a": 0.75, "b": 0.25}),
        ({"answers": ["a"], "dataset": "vg"}, {"a": 0.5}),
        ({"answers": ["a"], "dataset": "vg", "answer_weight": 2}, {"a": 2}),
        (
            {"answers": ["a", "b"], "dataset": "scenes", "answer_weight": 0.5},
            {"a": 0.25, "b": 0.25},
        ),
    ],
)
def test_weights_of_answers(notes, weights):
    assert answer_weights(notes) == weights


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"answers": None}, Reason.BAD_ANSWERS, "no answers"),
        ({"answers": []}, Reason.BAD_ANSWERS, "no answers"),
        ({"answers": ["a", " "]}, Reason.BAD_ANSWERS, "an empty answer"),
        ({"answers": ["a", "\u200b"]}, Reason.BAD_ANSWERS, "an empty answer"),
        ({"answers": "yes"}, Reason.BAD_ANSWERS, "no list of texts"),
        ({"answers": [1]}, Reason.BAD_ANSWERS, "no list of texts"),
        ({"answer_weight": 0}, Reason.BAD_ANSWERS, "answer_weight 0"),
        ({"answer_weight": "much"}, Reason.BAD_ANSWERS, "answer_weight 'much'"),
        ({"question_id": "12"}, Reason.BAD_JSON, "question_id '12'"),
    ],
)
def test_bad_samples_of_training(change, reason, detail):
    maker = asking.data().make_train()
    with pytest.raises(BadSample, match=detail) as found:
        maker.item(asking.noted(SAMPLES[0], **change), 0)
    assert found.value.reason == reason


def test_captions_of_the_picture_are_no_question():
    captioned = [asking.noted(sample, captions=["a street", "a road"]) for sample in SAMPLES]
    made = asking.data().make_evaluation()
    assert made(captioned, 0)["question"] == made(SAMPLES, 0)["question"]
    (only, *_) = captioned
    del (without := dict(only.columns))["txt"]
    assert made([only._replace(columns=without)], 0)["question"] == ["a street"]
    empty = only._replace(columns={**only.columns, "txt": b" "})
    with pytest.raises(BadSample, match="empty caption"):
        made.item(empty, 0)


def test_a_question_without_id_is_known_by_its_place():
    batch = asking.data().make_evaluation()([asking.noted(s, question_id=None) for s in SAMPLES], 0)
    assert batch["question_id"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("option", ["eval_words", "eval_tokens", "answer_tokens"])
def test_sizes_that_cannot_work_are_refused(option):
    with pytest.raises(InputError, match=rf"data\.init_args\.{option} is 0"):
        asking.data(**{option: 0})
