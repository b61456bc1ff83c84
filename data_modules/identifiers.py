"""What data sets call their samples.

Evaluation refuses a question_id or an identifier that comes twice. No task reads a sent_id, but
one that comes twice tells of rows that were written twice.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from softmask.errors import InputError


def sample_id(notes: Mapping[str, object]) -> str | None:
    """Say what a sample is called, such as "question_id 7 of vqa"; None if it has no name.

    Visual Genome's questions, which are learnt beside VQA's, have ids of their own.

    Args:
        notes: the sample's json.
    """
    if (number := _number(notes, "question_id")) is not None:
        owner = f" of {notes['dataset']}" if notes.get("dataset") else ""
        return f"question_id {number}{owner}"
    if (name := identifier_of(notes)) is not None:
        return f"identifier {name}"
    number = _number(notes, "sent_id")
    return None if number is None else f"sent_id {number}"


def identifier_of(notes: Mapping[str, object]) -> str | None:
    """Give what NLVR2 and SNLI-VE call a sample; None if its json says none.

    Args:
        notes: the sample's json.
    """
    return first_name(notes, "identifier")


def first_name(notes: Mapping[str, object], *columns: str) -> str | None:
    """Give the first of a json's names that is one: null and "" are none, 0 is.

    Args:
        notes: the sample's json.
        columns: where to look, in this order.
    """
    found = (notes.get(column) for column in columns)
    return next((str(name) for name in found if name not in (None, "")), None)


def _number(notes: Mapping[str, object], name: str) -> int | str | None:
    """Give the id of VQA or of RefCOCO, which may be written as a text."""
    said = notes.get(name)
    if isinstance(said, bool) or not isinstance(said, int | str) or said == "":
        return None
    return said


def check_ids(split: str, samples: Iterable[Mapping[str, object]]) -> None:
    """Refuse names that come twice in a split to evaluate, and count those in one to train on.

    Args:
        split: its name.
        samples: what is written as their json.

    Raises:
        InputError: names the first that comes twice.
    """
    counts = Counter(name for name in map(sample_id, samples) if name)
    twice = [name for name, count in counts.items() if count > 1]
    if not twice:
        return
    first = min(twice)
    told = (
        f"{split}: {len(twice)} of {len(counts)} ids come more than once, such as {first}, which "
        f"comes {counts[first]} times"
    )
    if split != "train":
        raise InputError(
            f"{told}. Evaluation counts each sample once: remove the copies from the annotations, "
            f"or give them other ids."
        )
    print(f"{told}: training sees these so many times an epoch")
