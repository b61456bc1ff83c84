"""Image-caption pairs for pretraining, and pictures with all captions to evaluate it."""

import random
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from data_modules.batches import Maker
from data_modules.captioned import MakeCaptioned, MakePairs
from data_modules.collate import PairText, PretrainItem, pretrain_batch
from data_modules.contents import Contents, contents
from data_modules.decode import MAX_PIXELS, Picture
from data_modules.image import Distortion
from data_modules.mixture import Source
from data_modules.pictured import PicturedData
from data_modules.replace import Steps
from data_modules.shards import Sample
from data_modules.sheet import Sheet
from data_modules.store import StoreOptions
from data_modules.text import TextDraw, TextOptions
from softmask.batch import PretrainBatch


class PretrainData(PicturedData):
    """Pairs of pictures and captions, augmented for training.

    Args:
        train: shards to fit: a folder, an index.json, a .tar, or a pattern, here or at an address
            such as s3://bucket/train; or sources with weights, [{path: ..., weight: ...}, ...].
        val: shards to validate.
        test: shards to test.
        predict: shards to predict.
        image_size: side of the square pictures in pixels.
        batch_size: training pairs a step on each device.
        eval_batch_size: evaluation pairs a step on each device; None takes batch_size.
        workers: processes that make batches, on each device; 0 makes them in the main process.
        seed: of the order and of the augmentation.
        window: pairs shuffled together; less keeps reading near fewer shards.
        text: how captions are tokenised and masked.
        distortion: how training pictures are distorted.
        teacher_clean_image: give the momentum teacher an undistorted picture.
        val_limit: validate the first pairs only.
        max_pixels: larger pictures are not decoded but dropped.
        store: how shards of addresses are fetched and kept.
        max_drop_rate: share of bad training pairs that others replace before the run stops,
            counted over all ranks.
    """

    def __init__(
        self,
        train: str | list[Source] | None = None,
        val: str | None = None,
        test: str | None = None,
        predict: str | None = None,
        image_size: int = 256,
        batch_size: int = 64,
        eval_batch_size: int | None = None,
        workers: int = 4,
        seed: int = 0,
        window: int = 10_000,
        text: TextOptions = TextOptions(),  # noqa: B008 (frozen)
        distortion: Distortion = Distortion(),  # noqa: B008 (frozen)
        teacher_clean_image: bool = False,
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
        self.teacher_clean_image = teacher_clean_image

    def make_train(self) -> "MakePretrain":
        """Give the maker of training batches."""
        return MakePretrain(MakePairs(self.distorted()), self.teacher_clean_image)

    def make_evaluation(self) -> MakeCaptioned:
        """Give the maker of evaluation batches."""
        return MakeCaptioned(self.plain())


class Opened(NamedTuple):
    """A sample whose picture is a good one, as far as its header tells."""

    sample: Sample
    found: Contents
    picture: Picture


class Begun(NamedTuple):
    """A training pair whose picture is still encoded."""

    picture: Picture
    text: PairText
    draw: TextDraw
    rng: random.Random
    """Of the picture's distortion."""


class MakePretrain(Maker):
    """Samples to a PretrainBatch: distorted pictures, masked captions, drawn by seed, epoch, key.

    Args:
        pairs: the maker of pairs, whose reader distorts.
        clean_image: add undistorted pictures.
    """

    def __init__(self, pairs: MakePairs, clean_image: bool) -> None:
        assert pairs.reader.distort is not None
        self.pairs, self.reader, self.distort = pairs, pairs.reader, pairs.reader.distort
        self.clean_image = clean_image

    @property
    def steps(self) -> Steps:
        """Open, draw words, decode."""
        return self.item, self.begin, self.cut

    def item(self, sample: Sample, epoch: int) -> Opened:  # noqa: ARG002 (steps are told)
        """Read what a sample holds, or raise BadSample."""
        found = contents(sample)
        return Opened(sample, found, self.reader.open(found.image))

    def begin(self, item: Opened, epoch: int) -> Begun:
        """Make all but the picture, or raise BadSample."""
        text, encoded = self.pairs.text(item.sample, epoch, item.found)
        # One stream for words and picture: to begin one takes as long as a hundred numbers of it.
        rng = self.reader.rng(item.sample, epoch)
        return Begun(item.picture, text, self.reader.text.draw(encoded, rng), rng)

    def cut(self, item: Begun, epoch: int) -> PretrainItem:  # noqa: ARG002 (as above)
        """Decode, or raise BadSample."""
        crop = partial(self.distort.crop, rng=item.rng)
        if not self.clean_image:
            sheet, clean = self.distort.cut(item.picture.decode_crop(crop), item.rng), None
        else:
            pixels = item.picture.decode()
            sheet = self.distort.cut(pixels[crop(*pixels.shape[:2])], item.rng)
            clean = Sheet(pixels, self.reader.size)
        return PretrainItem(sheet, clean, item.text, item.draw, item.rng)

    def batch(self, items: Sequence[PretrainItem], epoch: int) -> PretrainBatch:  # noqa: ARG002
        """Distort and stack pairs."""
        # Stage by stage: the processor keeps the code of one in its caches, but not that of all.
        for stage in self.distort.stages:
            for item in items:
                stage(item.image, item.rng)
        return pretrain_batch(items, self.reader.images, self.reader.text.pad, self.reader.length)
