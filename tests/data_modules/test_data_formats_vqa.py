"""VQA's own files and ALBEF's lists of questions, through the command line; lists of answers."""

import json
from math import inf

import pytest
from schemas import write_pictures

from data_modules.annotations import read_annotations
from data_modules.commands import main
from data_modules.shards import ShardSet
from data_modules.write import Pair, write_shards
from softmask.errors import InputError


def people(question_id):
    return ["net"] * 7 + ["Mesh", "two nets", f"netting {question_id}"]


def picture_name(subset, image):
    return f"{subset}/COCO_{subset}_{image:012d}.jpg"


def write_official(folder, subset, count, *, answered=True, first=1):
    """Two questions a picture, in the layout of the release."""
    folder.mkdir(exist_ok=True)
    rows = [
        {"image_id": n // 2 + first, "question": f"What is {n}?", "question_id": 1000 * first + n}
        for n in range(count)
    ]
    told = {"info": {}, "task_type": "Open-Ended", "data_type": "mscoco", "data_subtype": subset}
    file = folder / f"v2_OpenEnded_mscoco_{subset}_questions.json"
    file.write_text(json.dumps({**told, "questions": rows}))
    if answered:
        found = [
            {
                "question_id": row["question_id"],
                "image_id": row["image_id"],
                "question_type": "what is",
                "answer_type": "other",
                "multiple_choice_answer": "net",
                "answers": [
                    {"answer": text, "answer_confidence": "yes", "answer_id": number}
                    for number, text in enumerate(people(row["question_id"]), start=1)
                ],
            }
            for row in reversed(rows)  # their order is not the questions'
        ]
        name = f"v2_mscoco_{subset}_annotations.json"
        (folder / name).write_text(json.dumps({**told, "annotations": found}))
    return rows


def convert(tmp_path, annotations, *flags):
    """Samples by split, as (picture, question, notes)."""
    output = tmp_path / "out"
    given = ["--images", tmp_path / "images", "--captions", annotations, "--output", output, *flags]
    main(["write", *map(str, given)])
    found = {}
    for split in sorted(output.iterdir()):
        shards = ShardSet(str(split))
        samples = [shards.read(position).columns for position in range(len(shards))]
        found[split.name] = [
            (json.loads(s["json"]).pop("image"), s["txt"].decode(), json.loads(s["json"]))
            for s in samples
        ]
    return found


@pytest.mark.parametrize("flags", [[], ["--format", "vqa"]], ids=["auto", "named"])
def test_vqas_own_files(tmp_path, flags):
    folder = tmp_path / "annotations"
    rows = {
        "train": write_official(folder, "train2014", 5),
        "val": write_official(folder, "val2014", 2, first=50),
        "test": write_official(folder, "test2015", 3, answered=False, first=90),
    }
    # A part of the test questions in a file of its own, and a file that holds no questions.
    write_official(folder, "test-dev2015", 2, answered=False, first=90)
    (folder / "v2_mscoco_train2014_complementary_pairs.json").write_text("[[1, 2]]")
    subsets = {"train": "train2014", "val": "val2014", "test": "test2015"}
    names = [picture_name(subsets[s], row["image_id"]) for s in rows for row in rows[s]]
    write_pictures(tmp_path / "images", sorted(set(names)))
    found = convert(tmp_path, folder, *flags)
    assert set(found) == set(rows)
    for split, asked in rows.items():
        told = {notes["question_id"]: (image, text, notes) for image, text, notes in found[split]}
        assert len(found[split]) == len(asked) == len(told)  # two questions of a picture stay two
        for row in asked:
            image, text, notes = told[row["question_id"]]
            assert image == picture_name(subsets[split], row["image_id"])
            assert text == row["question"]
            assert (notes["dataset"], notes["image_id"]) == ("vqa", image)
            known = {k: notes.get(k) for k in ("answers", "question_type", "answer_type")}
            said = people(row["question_id"])
            full = {"answers": said, "question_type": "what is", "answer_type": "other"}
            assert known == (dict.fromkeys(full) if split == "test" else full)


def test_test_dev_alone_is_read_from_the_pictures_of_the_test(tmp_path):
    rows = write_official(tmp_path / "a", "test-dev2015", 2, answered=False)
    groups = read_annotations(tmp_path / "a")
    assert [group.split for group in groups] == ["test"] * len(rows)
    assert {group.image for group in groups} == {picture_name("test2015", 1)}


@pytest.mark.parametrize("format", ["auto", "vqa"])
def test_test_dev_is_read_when_it_is_named_and_left_out_of_a_folder(tmp_path, format, capsys):
    write_official(tmp_path / "a", "test2015", 3, answered=False)
    part = write_official(tmp_path / "a", "test-dev2015", 2, answered=False)
    file = tmp_path / "a" / "v2_OpenEnded_mscoco_test-dev2015_questions.json"
    ids = [group.meta["question_id"] for group in read_annotations(file, format)]
    assert ids == [row["question_id"] for row in part]
    assert "left out" not in capsys.readouterr().out
    assert len(read_annotations(tmp_path / "a", format)) == 3
    left = f"{file} is left out: v2_OpenEnded_mscoco_test2015_questions.json holds its questions"
    assert left in capsys.readouterr().out.splitlines()


def test_albefs_lists(tmp_path):
    vqa = [
        {"question_id": 7, "question": "what is it", "answer": ["a", "a", "b"]},
        {"question_id": 8, "question": "where is it", "answer": ["c"]},
    ]
    vg = [{"question": "who is it", "answer": "a man"}, {"question": "why", "answer": "fun"}]
    test = [{"question_id": 9, "question": "how many"}]
    lists = {"vqa_train": (vqa, "vqa"), "vg_qa": (vg, "vg"), "vqa_test": (test, "vqa")}
    folder = tmp_path / "lists"
    folder.mkdir()
    for name, (rows, dataset) in lists.items():
        full = [{**row, "image": f"{name}.jpg", "dataset": dataset} for row in rows]
        (folder / f"{name}.json").write_text(json.dumps(full))
    write_pictures(tmp_path / "images", [f"{name}.jpg" for name in lists])
    found = convert(tmp_path, folder)
    told = {text: (image, notes) for split in found.values() for image, text, notes in split}
    assert {split: len(rows) for split, rows in found.items()} == {"train": 4, "test": 1}
    for name, (rows, dataset) in lists.items():
        for row in rows:
            image, notes = told[row["question"]]
            assert (image, notes["dataset"]) == (f"{name}.jpg", dataset)
            assert notes.get("question_id") == row.get("question_id")
            answer = row.get("answer")
            assert notes.get("answers") == ([answer] if isinstance(answer, str) else answer)


@pytest.mark.parametrize("subset", ["val2014", "test2015"])
def test_questions_to_evaluate_that_come_twice_are_refused_before_anything_is_written(
    tmp_path, subset
):
    asked_twice(tmp_path, subset)
    name = "question_id 1001 of vqa"
    with pytest.raises(
        InputError, match=rf"1 of 3 ids come more than once, such as {name}, .* 2 t"
    ):
        convert(tmp_path, tmp_path / "a")
    assert not (tmp_path / "out").exists()


def test_questions_to_train_on_that_come_twice_are_counted(tmp_path, capsys):
    asked_twice(tmp_path, "train2014")
    assert len(convert(tmp_path, tmp_path / "a")["train"]) == 4
    said = capsys.readouterr().out
    assert "train: 1 of 3 ids come more than once, such as question_id 1001 of vqa, which" in said


def asked_twice(tmp_path, subset):
    """Three questions, the second of them a second time in other words."""
    rows = write_official(tmp_path / "a", subset, 3)
    file = tmp_path / "a" / f"v2_OpenEnded_mscoco_{subset}_questions.json"
    rows = [*rows, {**rows[1], "question": "What else?"}]
    file.write_text(json.dumps({"data_subtype": subset, "questions": rows}))
    names = {picture_name(subset, row["image_id"]) for row in rows}
    write_pictures(tmp_path / "images", sorted(names))


def test_ids_are_compared_within_a_split(tmp_path, capsys):
    rows = [{"question_id": 7, "question": "what", "answer": ["a"], "dataset": "vqa"}]
    vg = [{"question_id": 7, "question": "why", "answer": "b", "dataset": "vg"}]
    folder = tmp_path / "lists"
    folder.mkdir()
    for name, found in (("vqa_train", rows), ("vg_qa", vg), ("vqa_test", rows)):
        full = [{**row, "image": "a.jpg"} for row in found]
        (folder / f"{name}.json").write_text(json.dumps(full))
    write_pictures(tmp_path / "images", ["a.jpg"])
    found = convert(tmp_path, folder)
    assert {split: len(samples) for split, samples in found.items()} == {"train": 2, "test": 1}
    assert "more than once" not in capsys.readouterr().out


def answered(question, image, said="yes"):
    return {"question_id": question, "image_id": image, "answers": [{"answer": said}]}


def broken(tmp_path, questions=None, annotations=None, subset="train2014"):
    rows = write_official(tmp_path / "a", "train2014", 2)
    file = tmp_path / "a" / "v2_OpenEnded_mscoco_train2014_questions.json"
    beside = tmp_path / "a" / "v2_mscoco_train2014_annotations.json"
    told = {"data_subtype": subset} if subset else {}
    file.write_text(json.dumps({**told, "questions": rows if questions is None else questions}))
    if annotations is not None:
        beside.write_text(json.dumps(annotations))
    return file


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"questions": {}}, "[^ ]*_questions.json holds no questions of VQA"),
        ({"subset": None}, "[^ ]*_questions.json lacks data_subtype"),
        ({"questions": [{"question": "x"}]}, "Question 1 of .* lacks 'question_id'"),
        *(
            (
                {"questions": [{"question_id": 1, "image_id": image, "question": "x"}]},
                f"Question 1 of .*_questions.json has the image_id {image!r}: give a whole number",
            )
            for image in ("x", inf)
        ),
        (
            {"questions": [{"question_id": 1000, "image_id": 1, "question": " "}]},
            "Question 1 of .* empty caption",
        ),
        (
            {"questions": [{"question_id": 5, "image_id": 1, "question": "x"}]},
            "Question 1 of .*, 5, has no annotation",
        ),
        ({"annotations": []}, "[^ ]*_annotations.json holds no annotations of VQA"),
        (
            {"annotations": {"annotations": [{"question_id": 1}]}},
            r"[^ ]*_annotations.json holds no annotations of VQA \(it lacks 'answers'",
        ),
        (
            {"annotations": {"annotations": [{"question_id": 1, "answers": [{"answer": 3}]}]}},
            r"The annotation of question 1 in .*_annotations.json has the answers \[3\]",
        ),
        (
            {"annotations": {"annotations": [answered(1000, 1), answered(1000, 1, "no")]}},
            "The annotations of .* have the id 1000 twice",
        ),
        *(
            (
                {"annotations": {"annotations": [answered(1000, image)]}},
                f"The annotation of question 1000 in .*json has the image_id {image!r}",
            )
            for image in ("x", inf)
        ),
        (
            {"annotations": {"annotations": [answered(1000, 2)]}},
            "Question 1 of .*, 1000, is about the image 1, but its annotation about 2",
        ),
        (
            {"questions": [{"question_id": [1], "image_id": 1, "question": "x"}]},
            r"Question 1 of .* question_id \[1\]: give a whole number",
        ),
        (
            {"questions": [{"question_id": "1", "image_id": 1, "question": "x"}]},
            "Question 1 of .* question_id '1': give a whole number",
        ),
    ],
)
def test_broken_official_files(tmp_path, given, words):
    with pytest.raises(InputError, match=f"^{words}"):
        read_annotations(broken(tmp_path, **given), "vqa")


def test_answers_that_are_not_there_are_asked_for_by_name(tmp_path):
    write_official(tmp_path / "a", "val2014", 2, answered=False)
    with pytest.raises(InputError, match=r"v2_mscoco_val2014_annotations.json beside it"):
        read_annotations(tmp_path / "a")
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(InputError, match="holds no questions of VQA"):
        read_annotations(tmp_path / "b.json", "vqa")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"question": "x"}, "Row 1 of .* has no image"),
        ({"image": "a.jpg"}, "Row 1 of .* empty caption"),
        ({"image": "a.jpg", "question": "x", "answer": 3}, r"Row 1 of .* has the answers \[3\]"),
        ({"image": "a.jpg", "question": "x", "answer": []}, r"Row 1 of .* has the answers \[\]"),
    ],
)
def test_broken_lists(tmp_path, row, words):
    (tmp_path / "vqa_train.json").write_text(json.dumps([row]))
    with pytest.raises(InputError, match=words):
        read_annotations(tmp_path / "vqa_train.json", "albef_vqa")


def write_questions(folder, *answers):
    """A sample for each list of answers, None for none."""
    metas = [{} if one is None else {"answers": one} for one in answers]
    write_shards(
        [Pair(f"{n}", b"x", "jpg", ["what?"], meta) for n, meta in enumerate(metas)], folder
    )
    return str(folder)


def listed(tmp_path, path, *flags):
    output = tmp_path / "lists" / "answers.json"
    main(["answers", "--path", path, "--output", str(output), *map(str, flags)])
    return json.loads(output.read_text())


def test_the_commonest_answers_are_listed_in_their_normal_form(tmp_path, capsys):
    path = write_questions(
        tmp_path / "a",
        ["Yes", "yes.", "no"],
        ["the dog", "a dog", "dogs"],
        ["no", "two", "2", "the"],  # nothing is left of the last
        None,
        ["cat"],
        [3],
    )
    assert listed(tmp_path, path, "--count", 4) == ["2", "dog", "no", "yes"]
    out = capsys.readouterr().out
    assert "4 of 6 answers; 80.0% of all that was said" in out
    assert "an answer to 75.0% of 4 questions" in out
    assert "1 bad samples are left out" in out


def test_several_data_sets_count_together_and_rare_answers_go(tmp_path):
    paths = [
        write_questions(tmp_path / "a", ["red", "red"], ["blue"]),
        write_questions(tmp_path / "b", ["blue"], ["blue", "green"]),
    ]
    assert listed(tmp_path, json.dumps(paths), "--least", 2) == ["blue", "red"]


def test_a_list_is_not_made_of_nothing_and_not_overwritten(tmp_path):
    silent = write_questions(tmp_path / "a", None, None)
    with pytest.raises(InputError, match=r"No answer in .* was given 1 times or more"):
        listed(tmp_path, silent)
    path = write_questions(tmp_path / "b", ["yes"])
    with pytest.raises(InputError, match="count is 0"):
        listed(tmp_path, path, "--count", 0)
    assert listed(tmp_path, path) == ["yes"]
    with pytest.raises(InputError, match="is there already"):
        listed(tmp_path, path)
