"""Image-caption pairs for pretraining and for zero-shot evaluation."""

import random
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from data_modules.base import ShardedData
from data_modules.batches import Maker
from data_modules.collate import PairItem, PairText, PretrainItem, pair_batch, pretrain_batch
from data_modules.contents import Contents, contents
from data_modules.decode import MAX_PIXELS, Picture, decode, open_picture
from data_modules.image import Distort, Distortion
from data_modules.mixture import Source
from data_modules.seeds import hash63, sample_seed
from data_modules.shards import Sample
from data_modules.sheet import Sheet
from data_modules.sizes import check_sizes
from data_modules.store import StoreOptions
from data_modules.text import Encoded, Text, TextDraw, TextOptions, normalise
from softmask.batch import PairBatch, PretrainBatch


class PretrainData(ShardedData):
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
            batch_size=batch_size,
            eval_batch_size=eval_batch_size,
            workers=workers,
            seed=seed,
            window=window,
            val_limit=val_limit,
            store=store,
            max_drop_rate=max_drop_rate,
        )
        check_sizes({"max_pixels": max_pixels}, least=1)
        self.image_size, self.text, self.distortion = image_size, text, distortion
        self.teacher_clean_image, self.max_pixels = teacher_clean_image, max_pixels

    def make_train(self) -> "MakePretrain":
        """Give the maker of training batches."""
        distort = Distort(self.distortion, self.image_size)
        pairs = self.make_evaluation()
        return MakePretrain(pairs, distort, self.seed, self.teacher_clean_image)

    def make_evaluation(self) -> "MakePairs":
        """Give the maker of evaluation batches."""
        return MakePairs(Text(self.text), self.image_size, self.max_pixels)


class MakePairs(Maker):
    """Samples to a PairBatch: plain pictures, first captions.

    Args:
        text: the tokenizer at work.
        size: side of the pictures in pixels.
        max_pixels: larger pictures are bad.
    """

    def __init__(self, text: Text, size: int, max_pixels: int = MAX_PIXELS) -> None:
        self.text, self.size, self.max_pixels = text, size, max_pixels
        self.length = text.options.max_tokens if text.options.pad_to_max else None

    def item(self, sample: Sample, epoch: int) -> PairItem:  # noqa: ARG002 (all passes are equal)
        """Make one pair, or raise BadSample."""
        found = contents(sample)
        image = Sheet(decode(found.image, self.max_pixels), self.size)
        return PairItem(image, self.pair(sample, found, found.captions[0])[0])

    def batch(self, items: Sequence[PairItem], epoch: int) -> PairBatch:  # noqa: ARG002 (as above)
        """Stack pairs."""
        return pair_batch(items, self.text.pad, self.length)

    def pair(self, sample: Sample, found: Contents, caption: str) -> tuple[PairText, Encoded]:
        """Make all but the picture of a sample with one of its captions, and its tokens."""
        caption = normalise(caption, self.text.options.max_words)
        encoded = self.text.encode(caption)
        image = str(found.meta.get("image_id", sample.key))
        ids = hash63(image), hash63(caption)
        pair = PairText(encoded.ids, *ids, sample.position, sample.key, caption)
        return pair, encoded


class Begun(NamedTuple):
    """A training pair whose picture is still encoded."""

    picture: Picture
    seed: int
    text: PairText
    draw: TextDraw


class MakePretrain(Maker):
    """Samples to a PretrainBatch: distorted pictures, masked captions, drawn by seed, epoch, key.

    Args:
        pairs: the maker of plain pairs.
        distort: the image augmentation.
        seed: of the augmentation.
        clean_image: add undistorted pictures.
    """

    def __init__(self, pairs: MakePairs, distort: Distort, seed: int, clean_image: bool) -> None:
        self.pairs, self.distort, self.seed, self.clean_image = pairs, distort, seed, clean_image

    def item(self, sample: Sample, epoch: int) -> Begun:
        """Begin one augmented pair, or raise BadSample."""
        seed = sample_seed(self.seed, epoch, sample.draws)
        rng = random.Random(seed | 1 << 63)  # not the stream of the picture
        found = contents(sample)
        picture = open_picture(found.image, self.pairs.max_pixels)
        text, encoded = self.pairs.pair(sample, found, rng.choice(found.captions))
        return Begun(picture, seed, text, self.pairs.text.draw(encoded, rng))

    def finish(self, item: Begun) -> PretrainItem:
        """Decode, or raise BadSample."""
        rng = random.Random(item.seed)
        crop = partial(self.distort.crop, rng=rng)
        if not self.clean_image:
            sheet = self.distort.cut(item.picture.decode_crop(crop), rng)
            return PretrainItem(sheet, None, item.text, item.draw, rng)
        pixels = item.picture.decode()
        sheet = self.distort.cut(pixels[crop(*pixels.shape[:2])], rng)
        return PretrainItem(sheet, Sheet(pixels, self.pairs.size), item.text, item.draw, rng)

    def batch(self, items: Sequence[PretrainItem], epoch: int) -> PretrainBatch:  # noqa: ARG002
        """Distort and stack pairs."""
        for item in items:
            self.distort.change(item.image, item.rng)
        return pretrain_batch(items, self.pairs.text.pad, self.pairs.length)
