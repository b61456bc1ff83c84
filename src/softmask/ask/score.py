"""`softmask score`: does a text belong to a picture?"""

import json as jsonlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm  # type: ignore[import-untyped]

from softmask.ask.opening import DType, open_model
from softmask.ask.tables import Pair, read_pairs, refuse_folder
from softmask.ask.texts import Text
from softmask.batches import batches
from softmask.captions import listed_texts
from softmask.errors import InputError
from softmask.model import SoftMask


class Scored(NamedTuple):
    """A line of the answer."""

    image: str
    text: str
    match: float  # probability
    cosine: float


def score(
    model: str,
    pairs: Path | None = None,
    image: Path | None = None,
    text: Sequence[Text] | Text = (),
    images: Path | None = None,
    json: bool = False,
    batch_size: int = 32,
    checkpoint: str = "best",
    device: str = "cpu",
    dtype: DType = "float32",
) -> None:
    """Print how well texts belong to pictures: the matching head's probability, and the cosine.

    Args:
        model: folder of a run, of `softmask weights export` or `convert`, or a name on the hub.
        pairs: table with the columns image and text: .csv, or .jsonl with an object a line.
        image: one picture, instead of a table.
        text: of the picture; several as '["a cat", "a dog"]', or --text+ "a cat" --text+ "a dog".
        images: folder that the table's pictures are relative to; the table's own unless given.
        json: print a JSON object for each pair, as soon as it is known.
        batch_size: pairs judged at once.
        checkpoint: of a run: best, last, or a file's name.
        device: cpu, cuda:0, ...
        dtype: of the model's weights.

    Raises:
        InputError: the model, a table or a picture cannot be used.
    """
    given = _given(pairs, image, text, images)
    opened = open_model(model, checkpoint, device, dtype)
    if not json:
        width = max(len("image"), *(len(pair.name) for pair in given))
        print(f"{'match':>7}  {'cosine':>7}  {'image':<{width}}  text")
    for line in _scored(opened.model, given, batch_size):
        if json:
            print(jsonlib.dumps(line._asdict(), ensure_ascii=False), flush=True)
        else:
            print(f"{line.match:7.4f}  {line.cosine:7.4f}  {line.image:<{width}}  {line.text}")


def _given(
    pairs: Path | None, image: Path | None, text: Sequence[Text] | Text, images: Path | None
) -> list[Pair]:
    if (pairs is None) == (image is None) or (image is None) == bool(text):
        raise InputError(
            "Pairs come from one place: give --pairs TABLE, or --image FILE with --text TEXT."
        )
    if pairs is not None:
        return read_pairs(pairs, images)
    refuse_folder(images)
    assert image is not None
    if isinstance(text, str) and text.startswith("[") and text.endswith("]"):
        raise InputError(
            f'--text {text} is no list of texts: quote each of them, as in \'["a cat", "7"]\', '
            f"also a single one that has brackets of its own, as in '[\"[7]\"]'."
        )
    return [Pair(str(image), image, one) for one in listed_texts(text)]


def _scored(model: SoftMask, pairs: list[Pair], batch_size: int) -> Iterator[Scored]:
    # A bar is for those who wait and do not see the lines.
    hidden = len(pairs) <= batch_size or sys.stdout.isatty()
    with tqdm(total=len(pairs), unit="pair", disable=hidden) as bar:
        for part in batches(pairs, batch_size):
            # One picture with many texts is encoded once.
            same = len({pair.path for pair in part}) == 1
            found = model.judge(
                part[0].path if same else [pair.path for pair in part],
                [pair.text for pair in part],
                batch_size,
            )
            values = zip(part, found.match.tolist(), found.cosine.tolist(), strict=True)
            for pair, match, cosine in values:
                yield Scored(pair.name, pair.text, match, cosine)
            bar.update(len(part))
