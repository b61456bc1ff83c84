"""VQA v2: its own questions and annotations, and ALBEF's vqa_*.json and vg_qa.json.

{"questions": [{"image_id", "question", "question_id"}], "data_subtype": "train2014"} beside
{"annotations": [{"question_id", "answers": [{"answer"}], "question_type", "answer_type"}]}; or
[{"image", "question", "answer": a text or a list, "dataset", "question_id"}].
"""

from pathlib import Path
from typing import Any

from data_modules.formats.group import Group, Rows, by_id, check_captions, is_text, load_json
from data_modules.formats.rows import Row, split_in, task_rows
from softmask.errors import InputError

ADVICE = "give v2_OpenEnded_mscoco_*_questions.json with its annotations beside it"
DEV = "test-dev"
"""A part of the test questions, of the same pictures."""

Answers = dict[object, tuple[int, Row]]
"""The image and what is known of each question, by its id."""


def read_vqa(file: Path) -> Rows:
    """Read official questions, with the answers that lie beside them.

    Test questions may lack answers.

    Raises:
        InputError: if it is another file, or answers are missing.
    """
    tree = load_json(file)
    if not isinstance(tree, dict) or not isinstance(tree.get("questions"), list):
        raise InputError(f"{file} holds no questions of VQA: {ADVICE}.")
    subset = tree.get("data_subtype")
    if not isinstance(subset, str) or not subset:
        raise InputError(f"{file} lacks data_subtype, which tells its pictures: {ADVICE}.")
    answers = _annotations(file, subset)
    for number, row in enumerate(tree["questions"], start=1):
        place = f"Question {number} of {file}"
        yield place, _official(row, place, subset, answers)


def without_dev(files: list[Path]) -> list[Path]:
    """Leave out questions of test-dev among those of the whole test, which hold them; it says so.

    Args:
        files: of a folder.
    """
    kept = []
    for file in files:
        whole = file.with_name(file.name.replace(DEV, "test"))
        if whole != file and whole in files:
            print(f"{file} is left out: {whole.name} holds its questions")
        else:
            kept.append(file)
    return kept


def read_albef_vqa(file: Path) -> Rows:
    """Read a list as ALBEF trains and tests on; the file's name tells the split.

    Raises:
        InputError: if a row has no picture, no question, or answers that are no texts.
    """
    for place, row in task_rows(file):
        if not is_text(row.get("image")):
            raise InputError(f"{place} has no image: give each row an image and a question.")
        captions = check_captions([row.get("question")], place)
        meta: Row = {name: row[name] for name in ("question_id", "dataset") if name in row}
        if "answer" in row:
            found = row["answer"]
            meta["answers"] = _texts(found if isinstance(found, list) else [found], place)
        # ALBEF's own lists of Visual Genome have no split in their names: all is to train on.
        split = split_in(file.name) or ("train" if row.get("dataset") == "vg" else None)
        yield place, Group(row["image"], captions, split, meta, apart=True)


def _official(row: Row, place: str, subset: str, answers: Answers | None) -> Group:
    try:
        number, image, captions = row["question_id"], _image(row, place), [row["question"]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{place} lacks {error}: {ADVICE}.") from error
    if type(number) is not int:
        raise InputError(f"{place} has the question_id {number!r:.80}: give a whole number.")
    folder = subset.replace(DEV, "test")
    meta = {"question_id": number, "dataset": "vqa"}
    if answers is not None:
        if number not in answers:
            raise InputError(
                f"{place}, {number}, has no annotation: give the files of one release."
            )
        seen_in, known = answers[number]
        if seen_in != image:
            raise InputError(
                f"{place}, {number}, is about the image {image}, but its annotation about "
                f"{seen_in}: give the files of one release."
            )
        meta |= known
    name = f"{folder}/COCO_{folder}_{image:012d}.jpg"
    return Group(name, check_captions(captions, place), split_in(folder), meta, apart=True)


def _annotations(file: Path, subset: str) -> Answers | None:
    """Give what is known of each question, by its id; None of a test that has no answers."""
    beside = file.with_name(
        file.name.replace("OpenEnded_", "").replace("_questions", "_annotations")
    )
    if not beside.is_file() or beside == file:
        if split_in(subset.replace(DEV, "test")) == "test":
            return None
        raise InputError(f"The answers to {file} are not in {beside.name} beside it: {ADVICE}.")
    tree = load_json(beside)
    try:
        rows = tree["annotations"]  # type: ignore[index]
        known = ((row["question_id"], _known(row, beside)) for row in rows)
        return by_id(known, f"The annotations of {beside}")
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{beside} holds no annotations of VQA (it lacks {error}): {ADVICE}."
        ) from error


def _known(row: Row, file: Path) -> tuple[int, Row]:
    place = f"The annotation of question {row['question_id']!r:.80} in {file}"
    said = _texts([one["answer"] for one in row["answers"]], place)
    types: Row = {name: row[name] for name in ("question_type", "answer_type") if name in row}
    return _image(row, place), {"answers": said, **types}


def _image(row: Row, place: str) -> int:
    try:
        return int(row["image_id"])
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{place} has the image_id {row['image_id']!r:.80}: give a whole number."
        ) from error


def _texts(answers: list[Any], place: str) -> list[str]:
    if not answers or not all(isinstance(answer, str) for answer in answers):
        raise InputError(f"{place} has the answers {answers!r}: give a text or a list of texts.")
    return answers
