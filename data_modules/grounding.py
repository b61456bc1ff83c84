"""Pictures with expressions: trained without boxes, evaluated with the box of what is meant."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, cast

import numpy as np
import torch

from data_modules.batches import Maker
from data_modules.boxes import Boxes, Marked, marked
from data_modules.captioned import MakePairs, pair_text
from data_modules.collate import PairItem, pair_batch
from data_modules.contents import contents
from data_modules.decode import MAX_PIXELS
from data_modules.image import Distort, Distortion
from data_modules.mixture import Source
from data_modules.phrases import head_phrase
from data_modules.pictured import PicturedData, Reader
from data_modules.shards import Sample
from data_modules.sheet import Sheet
from data_modules.store import StoreOptions
from data_modules.text import Encoded, Ids, TextOptions
from softmask.batch import GroundingBatch, WordBatch
from softmask.errors import InputError

WHOLE = Distortion(crop_scale=(1.0, 1.0), jitter_prob=0, gray_prob=0, blur_prob=0)
"""ALBEF's augmentation of grounding: the whole picture, flip, RandAugment(2, 7)."""

SIDES = re.compile(r"\b(left|right)(most)?\b", re.IGNORECASE)

MapWords = Literal["all", "words", "content", "head"]
NAMING = ("content", "head")
"""For which words must be told that name something."""


class GroundingData(PicturedData):
    """Pictures with an expression each, and for evaluation boxes.

    A sample's json holds `box`, [x, y, width, height] in pixels of the original picture; `size`,
    its [width, height]; maybe `detections`, boxes to choose from; and maybe `split`, such as testA,
    under whose name it is reported too. Training reads none of these. Several texts of one sample
    are drawn from in training; evaluation reads the first, so each needs a sample of its own there.

    Args:
        train: shards to fit: a folder, an index.json, a .tar, or a pattern, here or at an address
            such as s3://bucket/train; or sources with weights, [{path: ..., weight: ...}, ...].
        val: shards to validate.
        test: shards to test.
        predict: shards to predict; boxes may be missing.
        image_size: side of the square pictures in pixels.
        batch_size: training samples a step on each device.
        eval_batch_size: evaluation samples a step on each device; None takes batch_size.
        workers: processes that make batches, on each device; 0 makes them in the main process.
        seed: of the order and of the augmentation.
        window: samples shuffled together; less keeps reading near fewer shards.
        text: how texts are tokenised, and which words become soft masks; nothing is masked.
        distortion: how training pictures are distorted.
        flip_sides: let pictures be mirrored whose text says left or right, as ALBEF does: RefCOCO+
            was collected without such words. False goes with no distortion.pipeline, which alone
            decides what it mirrors.
        map_words: whose maps together are the expression's: "all" tokens, as ALBEF, "words"
            without [CLS], "content" words without stop words (all words if there is no other), or
            of these the "head", what is named first: of "the red cat under the tree" the words red
            and cat, for the tree is not meant. Ours, and English; see `phrases.head_phrase`.
        val_limit: validate the first samples only.
        max_pixels: larger pictures are not decoded but dropped.
        store: how shards of addresses are fetched and kept.
        max_drop_rate: share of bad training samples that others replace before the run stops.

    Raises:
        InputError: if flip_sides is false beside a pipeline.
    """

    def __init__(
        self,
        train: str | list[Source] | None = None,
        val: str | None = None,
        test: str | None = None,
        predict: str | None = None,
        image_size: int = 384,
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        workers: int = 4,
        seed: int = 0,
        window: int = 10_000,
        text: TextOptions = TextOptions(),  # noqa: B008 (frozen)
        distortion: Distortion = WHOLE,
        flip_sides: bool = True,
        map_words: MapWords = "all",
        val_limit: int | None = None,
        max_pixels: int = MAX_PIXELS,
        store: StoreOptions = StoreOptions(),  # noqa: B008 (frozen)
        max_drop_rate: float = 0.01,
    ) -> None:
        super().__init__(
            train,
            val,
            test,
            predict,
            image_size=image_size,
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            workers=workers,
            seed=seed,
            window=window,
            text=text,
            distortion=distortion,
            val_limit=val_limit,
            max_pixels=max_pixels,
            store=store,
            max_drop_rate=max_drop_rate,
        )
        if distortion.pipeline and not flip_sides:
            raise InputError(
                f"flip_sides is false, and distortion.pipeline {distortion.pipeline!r} may mirror "
                "pictures all the same: take flips out of the pipeline and set flip_sides to true, "
                "or leave the pipeline out."
            )
        self.flip_sides, self.map_words = flip_sides, map_words

    @property
    def plain_text(self) -> TextOptions:
        """Texts of evaluation tell content words apart where the maps are theirs."""
        return replace(self.text, soft_words="content" if self.map_words in NAMING else "any")

    def make_train(self) -> "MakeExpressions":
        """Give the maker of training batches."""
        reader = self.distorted()
        if self.flip_sides:
            return MakeExpressions(MakePairs(reader))
        distort = Distort(replace(self.distortion, flip=0), self.image_size)
        upright = Reader(reader.text, reader.size, reader.max_pixels, distort, reader.seed)
        return MakeExpressions(MakePairs(reader), upright)

    def make_evaluation(self) -> "MakeGrounding":
        """Give the maker of evaluation batches."""
        return MakeGrounding(self.plain(), self.map_words)


class WordItem(NamedTuple):
    """A training sample."""

    pair: PairItem
    words: Ids  # S


class MakeExpressions(Maker):
    """Samples to a WordBatch: distorted pictures, plain texts, words for soft masks.

    Args:
        pairs: the maker of pairs, which distorts.
        upright: reader of pictures whose text says left or right, if there is one for them.
    """

    def __init__(self, pairs: MakePairs, upright: Reader | None = None) -> None:
        self.pairs, self.reader, self.upright = pairs, pairs.reader, upright

    def item(self, sample: Sample, epoch: int) -> WordItem:
        """Make one sample, or raise BadSample."""
        found = contents(sample)
        text, encoded = self.pairs.text(sample, epoch, found)
        reader = (SIDES.search(text.caption) and self.upright) or self.reader
        image, rng = reader.picture(found.image, sample, epoch), reader.word_rng(sample, epoch)
        words = reader.text.pick_words(encoded, encoded.ids, rng)
        return WordItem(PairItem(image, text), words)

    def batch(self, items: Sequence[WordItem], epoch: int) -> WordBatch:
        """Stack samples."""
        stacked = self.pairs.batch([item.pair for item in items], epoch)
        words = torch.tensor([item.words for item in items])
        # A checker cannot add the keys of two typed dicts.
        return cast(WordBatch, {**stacked, "words": words})


class GroundingItem(NamedTuple):
    """An evaluation sample."""

    pair: PairItem
    mapped: Ids  # positions of the words whose maps count
    marked: Marked


class MakeGrounding(Maker):
    """Samples to a GroundingBatch: whole pictures, first texts, boxes.

    Args:
        reader: of evaluation samples; for "content" words and "head" its text must know them.
        map_words: see GroundingData.
    """

    def __init__(self, reader: Reader, map_words: MapWords) -> None:
        assert map_words not in NAMING or reader.text.options.soft_words == "content"
        self.reader, self.map_words = reader, map_words

    def item(self, sample: Sample, epoch: int) -> GroundingItem:  # noqa: ARG002 (all are equal)
        """Make one sample, or raise BadSample."""
        found = contents(sample)
        pixels = self.reader.open(found.image).decode()
        said = marked(found.meta, (pixels.shape[1], pixels.shape[0]))
        text, encoded = pair_text(sample, found, found.captions[0], self.reader)
        pair = PairItem(Sheet(pixels, self.reader.size), text)
        return GroundingItem(pair, self._mapped(text.caption, encoded), said)

    def batch(self, items: Sequence[GroundingItem], epoch: int) -> GroundingBatch:  # noqa: ARG002
        """Stack samples."""
        pairs = [item.pair for item in items]
        stacked = pair_batch(pairs, self.reader.images, self.reader.text.pad, self.reader.length)
        mapped = torch.zeros_like(stacked["attention_mask"])
        for row, item in zip(mapped, items, strict=True):
            row[list(item.mapped)] = True
        fields = {
            **stacked,
            "box": torch.from_numpy(np.stack([item.marked.box for item in items])),
            "size": torch.tensor([item.marked.size for item in items]),
            "detections": torch.from_numpy(_stack([item.marked.detections for item in items])),
            "mapped": mapped,
            "split": [item.marked.split for item in items],
        }
        return cast(GroundingBatch, fields)

    def _mapped(self, caption: str, encoded: Encoded) -> Ids:
        if self.map_words == "all":
            return range(len(encoded.ids))
        if self.map_words == "head":
            # Its tokens are the first of the whole.
            encoded = self.reader.text.encode(head_phrase(caption))
        return encoded.content or encoded.ordinary


def _stack(rows: Sequence[Boxes]) -> Boxes:
    """Stack rows of boxes (K, 4) of any K, filled up with NaN, to (B, K, 4)."""
    filled = np.full((len(rows), max(map(len, rows)), 4), np.nan, np.float32)
    for row, boxes in zip(filled, rows, strict=True):
        row[: len(boxes)] = boxes
    return filled
