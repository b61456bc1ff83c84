"""Pictures of classes, and the classes as texts: zero-shot classification.

C classes, P prompts a class, L tokens of the longest prompt.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from data_modules.base import STAGES
from data_modules.batches import Maker
from data_modules.contents import encoded, meta
from data_modules.decode import MAX_PIXELS
from data_modules.formats.group import is_text, load_json
from data_modules.pictured import PicturedData, Reader
from data_modules.reasons import BadSample, Reason
from data_modules.shards import Sample
from data_modules.sheet import Sheet
from data_modules.store import StoreOptions
from data_modules.text import TextOptions
from softmask.batch import IGNORE, ImageBatch, Prompts
from softmask.errors import InputError

PLACE = "{}"


class ClassData(PicturedData):
    """Pictures with a "label" each, to be found among classes that are given as words.

    `softmask data write --format folders` makes such shards of a folder of a folder a class; a
    table with a column `label` beside image and caption does too.

    Args:
        classes: the names; or a file of them: a text with one on each line, or JSON, a list of them
            or an object of names by label, as {"n01440764": "tench"}. A sample's label is a label,
            else a name's place in the list, from 0, unless labels are numbers themselves.
        val: shards to validate.
        test: shards to test.
        predict: shards to predict; they need no labels.
        templates: texts with {} where the name goes; the features of all are averaged.
        image_size: side of the square pictures in pixels.
        eval_batch_size: samples a step on each device.
        workers: processes that make batches, on each device; 0 makes them in the main process.
        text: how prompts are tokenised.
        val_limit: validate the first samples only.
        max_pixels: larger pictures are not decoded but refused.
        store: how shards of addresses are fetched and kept.

    Raises:
        InputError: if the classes or templates cannot be used.
    """

    def __init__(
        self,
        classes: str | list[str],
        val: str | None = None,
        test: str | None = None,
        predict: str | None = None,
        templates: Sequence[str] = ("a photo of a {}.",),
        image_size: int = 384,
        eval_batch_size: int = 64,
        workers: int = 4,
        text: TextOptions = TextOptions(),  # noqa: B008 (frozen)
        val_limit: int | None = None,
        max_pixels: int = MAX_PIXELS,
        store: StoreOptions = StoreOptions(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__(
            None,
            val,
            test,
            predict,
            image_size=image_size,
            eval_batch_size=eval_batch_size,
            workers=workers,
            text=text,
            val_limit=val_limit,
            max_pixels=max_pixels,
            store=store,
        )
        self.names = read_classes(classes)
        wrong = [text for text in templates if text.count(PLACE) != 1]
        if wrong or not templates:
            raise InputError(
                f"data.init_args.templates holds {wrong[0] if wrong else 'nothing'!r}: give texts "
                f"with one {PLACE} each, where the class goes."
            )
        self.templates = tuple(templates)

    def setup(self, stage: str) -> None:
        """Open the shards of a stage; there are none to fit, which the task says."""
        if STAGES[stage] != "train":
            super().setup(stage)

    def prompts(self) -> Prompts:
        """Give every class in every template, tokenised."""
        reader, names = self.plain(), list(self.names.values())
        texts = [text.replace(PLACE, name) for name in names for text in self.templates]
        try:
            ids, mask = reader.pad([reader.tokens(text) for text in texts])
        except BadSample as bad:
            raise InputError(f"A prompt of data.init_args.classes {bad.detail}: name it.") from bad
        shape = (len(names), len(self.templates), -1)
        return {
            "names": names,
            "input_ids": ids.view(shape),
            "attention_mask": mask.view(shape),
        }

    def make_train(self) -> Maker:
        """There is none: nothing is learnt.

        Raises:
            InputError: always.
        """
        raise InputError("Zero-shot classification has no training data: use softmask test.")

    def make_evaluation(self) -> "MakeClassified":
        """Give the maker of evaluation batches."""
        return MakeClassified(self.plain(), list(self.names))


class ImageItem(NamedTuple):
    """A picture and its class."""

    image: Sheet
    label: int
    position: int
    key: str


class MakeClassified(Maker):
    """Samples to an ImageBatch.

    Args:
        reader: of evaluation samples.
        labels: of the classes, in their order.
    """

    def __init__(self, reader: Reader, labels: Sequence[str]) -> None:
        self.reader = reader
        self.places = {label: place for place, label in enumerate(labels)}
        # "0" beside the labels 1 to 10 is a mistake, not the first of them.
        self.numbered = any(label.isdecimal() for label in labels)

    def item(self, sample: Sample, epoch: int) -> ImageItem:
        """Read a picture and its label, or raise BadSample."""
        label = self.place(meta(sample).get("label"))
        image = self.reader.picture(encoded(sample), sample, epoch)
        return ImageItem(image, label, sample.position, sample.key)

    def batch(self, items: Sequence[ImageItem], epoch: int) -> ImageBatch:  # noqa: ARG002
        """Stack pictures and labels."""
        return {
            "image": self.reader.images([item.image for item in items]),
            "label": torch.tensor([item.label for item in items]),
            "position": torch.tensor([item.position for item in items]),
            "key": [item.key for item in items],
        }

    def place(self, label: object) -> int:
        """Number a label; IGNORE where there is none.

        Raises:
            BadSample: if it is none of the classes.
        """
        if label is None:
            return IGNORE
        text = str(label)
        if text in self.places:
            return self.places[text]
        # Tables hold numbers as texts.
        number = not self.numbered and not isinstance(label, bool) and text.isdecimal()
        if number and int(text) < len(self.places):
            return int(text)
        raise BadSample(
            Reason.BAD_LABEL,
            f"has the label {text[:80]!r}, which is none of the {len(self.places)} classes",
        )


def read_classes(classes: str | Sequence[str]) -> Mapping[str, str]:
    """Give the names of classes by their labels, in order.

    Args:
        classes: names, or a file as `ClassData` takes it.

    Raises:
        InputError: if there are none, one is empty, or a label comes twice.
    """
    found: object = classes
    if isinstance(classes, str):
        file = Path(classes)
        found = load_json(file) if file.suffix == ".json" else _lines(file)
    named = found if isinstance(found, dict) else None
    names = list(named.values()) if named is not None else found
    if not isinstance(names, list) or not names or not all(map(is_text, names)):
        raise InputError(
            f"data.init_args.classes {classes!r} holds no names, or an empty one: give a text with "
            f"one on each line, or JSON, a list of names or an object of names by label."
        )
    if named is not None:
        return {str(label): name.strip() for label, name in named.items()}
    names = [name.strip() for name in names]
    labelled = {name: name for name in names}
    if len(labelled) < len(names):
        twice = next(name for name in labelled if names.count(name) > 1)
        raise InputError(
            f"The class {twice!r} of data.init_args.classes comes twice: give labels too, as JSON "
            f"of names by label."
        )
    return labelled


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"data.init_args.classes {str(file)!r} cannot be read ({error}): give a file of names."
        ) from error
    return [line for line in lines if line.strip()]
