"""VQA v2: its own questions and annotations, and ALBEF's vqa_*.json and vg_qa.json.

v2_OpenEnded_mscoco_train2014_questions.json with v2_mscoco_train2014_annotations.json beside it, or
[{"question": ..., "answer": ..., "image": ..., "dataset": "vqa" or "vg"}].
"""

from pathlib import Path
from typing import Any

from data_modules.answered import VG_WEIGHT
from data_modules.formats.group import Group, Rows, check_captions, is_text, load_json
from data_modules.formats.rows import Row, split_in, task_rows
from softmask.errors import InputError

SPLITS = {"train": "train", "val": "val", "test": "test"}


def read_vqa(file: Path) -> Rows:
    """Read questions, each a sample of its own; an annotations file comes with its questions.

    Raises:
        InputError: if it is another file, or its answers are missing.
    """
    tree = load_json(file)
    if isinstance(tree, dict) and "annotations" in tree and "questions" not in tree:
        return
    if not isinstance(tree, dict) or not isinstance(tree.get("questions"), list):
        raise _other(file, "it lacks questions")
    subset = str(tree.get("data_subtype") or "")
    answers = _answers(file, subset)
    for number, row in enumerate(tree["questions"], start=1):
        place = f"Question {number} of {file}"
        try:
            yield place, _official(row, subset, answers, place)
        except (KeyError, TypeError) as error:
            raise _other(file, f"question {number} lacks {error}") from error


def read_albef_vqa(file: Path) -> Rows:
    """Read questions of VQA and Visual Genome as ALBEF lists them; the name tells VQA's split.

    Raises:
        InputError: if a row has no image, no question, or answers that are no texts.
    """
    for place, row in task_rows(file):
        yield place, _listed(row, place, split_in(file.stem))


def _official(row: Row, subset: str, answers: dict[int, Row], place: str) -> Group:
    number, picture = int(row["question_id"]), int(row["image_id"])
    # test-dev is a part of test, with the same pictures.
    folder = "test2015" if subset.startswith("test") else subset
    meta: dict[str, object] = {"question_id": number, "dataset": "vqa"}
    if answers:
        said = answers[number]
        meta["answers"] = [answer["answer"] for answer in said["answers"]]
        meta |= {key: said[key] for key in ("question_type", "answer_type")}
    return Group(
        f"{folder}/COCO_{folder}_{picture:012d}.jpg",
        check_captions([row["question"]], place),
        next((split for word, split in SPLITS.items() if subset.startswith(word)), None),
        meta,
        str(picture),
        apart=True,
    )


def _answers(file: Path, subset: str) -> dict[int, Row]:
    """Annotations by question; there are none of the test questions."""
    beside = file.with_name(file.name.replace("OpenEnded_", "").replace("questions", "annotations"))
    if beside == file or not beside.is_file():
        if subset.startswith("test"):
            return {}
        raise InputError(
            f"{file} has its answers in another file, which is not beside it: put {beside.name} "
            f"there."
        )
    tree: Any = load_json(beside)
    try:
        return {int(row["question_id"]): row for row in tree["annotations"]}
    except (KeyError, TypeError) as error:
        raise _other(beside, f"it lacks {error}") from error


def _listed(row: Row, place: str, split: str | None) -> Group:
    image, dataset = row.get("image"), row.get("dataset", "vqa")
    if not is_text(image):
        raise InputError(f"{place} has no image: give each row an image and a question.")
    meta: dict[str, object] = {"dataset": dataset}
    if row.get("question_id") is not None:
        meta["question_id"] = row["question_id"]
    if row.get("answer") is not None:
        answers = row["answer"] if isinstance(row["answer"], list) else [row["answer"]]
        if not answers or not all(map(is_text, answers)):
            raise InputError(f"{place} has an empty answer: fill it in or remove the row.")
        meta["answers"] = answers
    if dataset == "vg":
        meta["answer_weight"] = VG_WEIGHT
    return Group(str(image), check_captions([row.get("question")], place), split, meta, apart=True)


def _other(file: Path, reason: str) -> InputError:
    return InputError(
        f"{file} is no file of VQA v2 ({reason}): give v2_OpenEnded_mscoco_*_questions.json or the "
        f"folder that holds it, or another --format."
    )
