"""Fake corpora by task: `write_<task>(folder, count, seed)` for one whose samples are not pairs."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from fake import COLOURS, SHAPES, fake_pairs, write_fake_pairs
from refer import write_grounding as write_grounding

from data_modules.write import Pair, write_shards
from softmask.batch import ENTAILMENT

COUNTS = {"train": 12, "val": 6, "test": 6}


def write_corpus(task: str, folder: Path) -> Path:
    """Folders train (12 samples: three steps of four), val and test (6 each)."""
    writer: Callable[[Path, int, int], object] = getattr(
        sys.modules[__name__], f"write_{task.replace('-', '_')}", write_pairs
    )
    for seed, (name, count) in enumerate(COUNTS.items()):
        writer(folder / name, count, seed)
    return folder


def write_pairs(folder: Path, count: int, seed: int) -> None:
    """Pairs; those to train on have two captions."""
    write_fake_pairs(folder, count, seed, captions=2 if folder.name == "train" else 1)


def write_snli_ve(folder: Path, count: int, seed: int) -> None:
    """Pictures with a hypothesis each, of every class in turn."""
    write_shards(entailments(count, seed), folder, shard_size=8)


def entailments(count: int, seed: int = 0) -> Iterator[Pair]:
    for number, pair in enumerate(fake_pairs(count, seed)):
        label = ENTAILMENT[number % len(ENTAILMENT)]
        yield pair._replace(meta={"label": label, "identifier": f"{number}.jpg#0r{seed}"})


def write_nlvr2(folder: Path, count: int, seed: int) -> None:
    """Two pictures with a sentence each; two samples in a row share it, and only one is true."""
    write_shards(statements(count, seed), folder, shard_size=8)


def statements(count: int, seed: int = 0) -> Iterator[Pair]:
    pairs = list(fake_pairs(2 * count, seed))
    for number, (left, right) in enumerate(zip(pairs[::2], pairs[1::2], strict=True)):
        sentence, place = divmod(number, 2)
        text = pairs[4 * sentence].captions[0]
        meta: dict[str, object] = {
            "label": str(place == 0),
            "identifier": f"dev-{sentence}-{place}-0",
            "sentence_id": f"dev-{sentence}-0",
        }
        yield left._replace(
            captions=[text], meta=meta, second=right.image, second_extension=right.extension
        )


def write_vqa(folder: Path, count: int, seed: int) -> None:
    """Pictures with a question each, and beside the splits the list of answers."""
    write_shards(questions(count, seed), folder, shard_size=8)
    (folder.parent / "answers.json").write_text(json.dumps(ANSWERS))


write_vqa_class = write_vqa
ANSWERS = [*COLOURS, "2", "left hand side"]


def questions(count: int, seed: int = 0) -> Iterator[Pair]:
    """What colour is it? Seven of ten people agree; every third question was put to one alone."""
    for number, pair in enumerate(fake_pairs(count, seed)):
        colour = pair.captions[0].split()[1]
        meta: dict[str, object] = {
            "question_id": 1000 * seed + number,
            "answers": [colour] * 7 + ["dark " + colour, "2", "two"],
            "dataset": "vqa",
            "question_type": ("what color", "what")[number % 2],
            "answer_type": ("other", "number", "yes/no")[number % 3],
        }
        if number % 3 == 2:
            meta |= {"answers": [colour], "dataset": "vg"}
        yield pair._replace(captions=["What color is it?"], meta=meta)


def write_retrieval(folder: Path, count: int, seed: int) -> None:
    """Pictures with one to three captions, in evaluation too."""
    pairs = fake_pairs(count, seed, captions=3)
    uneven = (pair._replace(captions=pair.captions[: 1 + n % 3]) for n, pair in enumerate(pairs))
    write_shards(uneven, folder, shard_size=8)


write_retrieval_flickr30k = write_retrieval


def write_zeroshot(folder: Path, count: int, seed: int) -> None:
    """Pictures whose labels are their shapes, by name and by place."""
    pairs = [
        pair._replace(meta={"label": next(n for n in SHAPES if n in pair.captions[0])})
        for pair in fake_pairs(count, seed)
    ]
    pairs[1] = pairs[1]._replace(meta={"label": SHAPES.index(str(pairs[1].meta["label"]))})
    write_shards(pairs, folder, shard_size=8)
