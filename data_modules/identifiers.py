"""What data sets call their samples: evaluation counts each name once."""

from collections import Counter
from collections.abc import Iterable, Mapping

from softmask.errors import InputError

NAMES = ("question_id", "identifier", "sent_id")
"""In the json of VQA, of NLVR2 and SNLI-VE, and of RefCOCO."""


def sample_id(notes: Mapping[str, object]) -> str | None:
    """Say what a sample is called, such as "question_id 7 of vqa"; None if it has no name.

    Visual Genome's questions, which are learnt beside VQA's, have ids of their own.

    Args:
        notes: the sample's json.
    """
    for name in NAMES:
        said = notes.get(name)
        if isinstance(said, int | str) and not isinstance(said, bool) and said != "":
            owner = f" of {notes['dataset']}" if notes.get("dataset") else ""
            return f"{name} {said}{owner}"
    return None


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
