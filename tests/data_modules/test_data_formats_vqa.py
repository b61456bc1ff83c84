"""VQA v2's own files, ALBEF's lists, and the list of answers, through the command line."""

import json

import pytest
from schemas import picture, write_pictures
from test_data_formats import convert

from data_modules.commands import main
from softmask.errors import InputError


def name(split, number):
    return f"{split}/COCO_{split}_{number:012d}.jpg"


def write_official(folder, subset, rows, *, answers=True):
    """Keys and their order as in the official files; each row is a picture and ten answers."""
    head = {"info": {}, "task_type": "Open-Ended", "data_type": "mscoco", "license": {}}
    questions = [
        {"image_id": image, "question": f"What is {image}?", "question_id": 1000 * image + n}
        for n, (image, _) in enumerate(rows)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"v2_OpenEnded_mscoco_{subset}_questions.json"
    file.write_text(json.dumps({**head, "data_subtype": subset, "questions": questions}))
    if answers:
        annotations = [
            {
                "question_type": "what is",
                "multiple_choice_answer": said[0],
                "answers": [
                    {"answer": a, "answer_confidence": "yes", "answer_id": i}
                    for i, a in enumerate(said, start=1)
                ],
                "image_id": image,
                "answer_type": "other",
                "question_id": 1000 * image + n,
            }
            for n, (image, said) in reversed(list(enumerate(rows)))
        ]
        annotated = {"info": {}, "license": {}, "data_subtype": subset, "data_type": "mscoco"}
        other = folder / f"v2_mscoco_{subset}_annotations.json"
        other.write_text(json.dumps({**annotated, "annotations": annotations}))
    return file


def meta(sample):
    return json.loads(sample.columns["json"])


@pytest.fixture
def official(tmp_path):
    folder = tmp_path / "files"
    write_official(folder, "train2014", [(9, ["red"] * 9 + ["Red"]), (9, ["two"] * 10)])
    write_official(folder, "val2014", [(4, ["no"] * 10)])
    write_official(folder, "test-dev2015", [(7, [])], answers=False)
    names = [name("train2014", 9), name("val2014", 4), name("test2015", 7)]
    return folder, write_pictures(tmp_path / "images", names)


@pytest.mark.parametrize("flags", [[], ["--format", "vqa"]], ids=["auto", "named"])
def test_official_files(official, tmp_path, capsys, flags):
    folder, images = official
    found = convert(tmp_path, images, folder, "--short_side", 0, *flags)
    assert set(found) == {"train", "val", "test"}
    out = capsys.readouterr().out
    assert "train: 2 pictures, 2 captions" in out  # two questions about one picture
    sample = found["val"][name("val2014", 4)]
    assert sample.columns["txt"] == b"What is 4?"
    assert sample.columns["jpg"] == picture(1)
    assert meta(sample) == {
        "answers": ["no"] * 10,
        "answer_type": "other",
        "dataset": "vqa",
        "image": name("val2014", 4),
        "image_id": "4",
        "question_id": 4000,
        "question_type": "what is",
    }
    assert "answers" not in meta(found["test"][name("test2015", 7)])


def test_questions_without_their_answers_are_refused(tmp_path):
    file = write_official(tmp_path / "files", "val2014", [(4, [])], answers=False)
    with pytest.raises(InputError, match=r"put v2_mscoco_val2014_annotations\.json there"):
        convert(tmp_path, tmp_path, file)


@pytest.mark.parametrize(
    "broken",
    [
        {"questions": [{"question": "x"}], "data_subtype": "test2015"},
        {"questions": 3},
        [1],
        {"data": []},
    ],
)
def test_other_files_are_no_questions(broken, tmp_path):
    file = tmp_path / "questions.json"
    file.write_text(json.dumps(broken))
    with pytest.raises(InputError, match=r"is no file of VQA v2|no JSON object|no rows"):
        convert(tmp_path, tmp_path, file, "--format", "vqa")


def test_albefs_lists(tmp_path, capsys):
    rows = [
        {"question_id": 5, "question": "What is it?", "answer": ["a"] * 10, "dataset": "vqa"},
        {"question": "Who?", "answer": "a man", "dataset": "vg"},
        {"question_id": 6, "question": "Where?", "dataset": "vqa"},
    ]
    names = [name("train2014", 1), "image/2.jpg", name("train2014", 3)]
    for row, image in zip(rows, names, strict=True):
        row["image"] = image
    file = tmp_path / "vqa_train.json"
    file.write_text(json.dumps(rows))
    found = convert(tmp_path, write_pictures(tmp_path / "images", names), file)["train"]
    assert "read as albef_vqa" in capsys.readouterr().out
    told = {image: meta(sample) for image, sample in found.items()}
    assert told[names[0]]["answers"] == ["a"] * 10
    assert told[names[0]]["question_id"] == 5
    assert told[names[1]]["answers"] == ["a man"]
    assert (told[names[1]]["answer_weight"], told[names[1]]["dataset"]) == (0.5, "vg")
    assert "answers" not in told[names[2]]
    assert "answer_weight" not in told[names[0]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "a", "answer": "b"}, "has no image"),
        ({"image": "a", "question": " ", "answer": "b"}, "has an empty caption"),
        ({"image": "a", "question": "b", "answer": [""]}, "has an empty answer"),
        ({"image": "a", "question": "b", "answer": 3}, "has an empty answer"),
    ],
)
def test_bad_rows_of_albef(row, message, tmp_path):
    file = tmp_path / "vqa_train.json"
    file.write_text(json.dumps([row]))
    with pytest.raises(InputError, match=f"Row 1 of .*{message}"):
        convert(tmp_path, tmp_path, file, "--format", "albef_vqa")


def test_list_of_answers(official, tmp_path, capsys):
    folder, images = official
    convert(tmp_path, images, folder)
    output = tmp_path / "lists" / "answers.json"
    train, val = (str(tmp_path / "out" / split) for split in ("train", "val"))

    def listed(*flags):
        main(["answers", "--output", str(output), *flags])
        return json.loads(output.read_text())

    assert listed("--path", train) == ["2", "red"]  # "Red" is "red"; as frequent, by the alphabet
    assert "2 of 2 answers, 100.0% of what people said" in capsys.readouterr().out
    assert listed("--path", json.dumps([train, val, val]), "--count", "1") == ["no"]
    assert listed("--path", json.dumps([train, val, val]), "--least", "11") == ["no"]
    with pytest.raises(InputError, match="given 11 times or more"):
        listed("--path", train, "--least", "11")
    with pytest.raises(InputError, match="count is 0"):
        listed("--path", train, "--count", "0")
