"""Image-caption pairs for pretraining and for zero-shot evaluation."""

import json
from collections.abc import Sequence

import numpy as np

from data_modules.base import ShardedData
from data_modules.collate import PairItem, PretrainItem, pair_batch, pretrain_batch
from data_modules.image import Distort, Distortion, Pixels, decode, evaluate
from data_modules.seeds import hash63, sample_seed
from data_modules.shards import Sample
from data_modules.text import Encoded, Text, TextOptions, normalise
from softmask.batch import PairBatch, PretrainBatch
from softmask.errors import InputError

IMAGES = ("jpg", "jpeg", "png", "webp")


class PretrainData(ShardedData):
    """Pairs of pictures and captions, augmented for training.

    Args:
        train: shards to fit: a folder, an index.json, a .tar, or a pattern.
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
    """

    def __init__(
        self,
        train: str | None = None,
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
        )
        self.image_size, self.text, self.distortion = image_size, text, distortion
        self.teacher_clean_image = teacher_clean_image

    def make_train(self) -> "MakePretrain":
        """Give the maker of training batches."""
        distort = Distort(self.distortion, self.image_size)
        pairs = self.make_evaluation()
        return MakePretrain(pairs, distort, self.seed, self.teacher_clean_image)

    def make_evaluation(self) -> "MakePairs":
        """Give the maker of evaluation batches."""
        return MakePairs(Text(self.text), self.image_size)


class MakePairs:
    """Samples to a PairBatch: plain pictures, first captions.

    Args:
        text: the tokenizer at work.
        size: side of the pictures in pixels.
    """

    def __init__(self, text: Text, size: int) -> None:
        self.text, self.size = text, size
        self.length = text.options.max_tokens if text.options.pad_to_max else None

    def __call__(self, samples: Sequence[Sample], epoch: int) -> PairBatch:  # noqa: ARG002
        """Make one batch."""
        items = []
        for sample in samples:
            pixels = evaluate(picture(sample), self.size)
            items.append(self.item(sample, pixels, captions(sample)[0])[0])
        return pair_batch(items, self.text.pad, self.length)

    def item(self, sample: Sample, pixels: Pixels, caption: str) -> tuple[PairItem, Encoded]:
        """Make one pair of a sample's picture and one of its captions, and its tokens."""
        caption = normalise(caption, self.text.options.max_words)
        encoded = self.text.encode(caption, source(sample))
        image = str(meta(sample).get("image_id", sample.key))
        ids = hash63(image), hash63(caption)
        item = PairItem(pixels, encoded.ids, *ids, sample.position, sample.key, caption)
        return item, encoded


class MakePretrain:
    """Samples to a PretrainBatch: distorted pictures, masked captions, drawn by seed, epoch, key.

    Args:
        pairs: the maker of plain pairs.
        distort: the image augmentation.
        seed: of the augmentation.
        clean_image: add undistorted pictures.
    """

    def __init__(self, pairs: MakePairs, distort: Distort, seed: int, clean_image: bool) -> None:
        self.pairs, self.distort, self.seed, self.clean_image = pairs, distort, seed, clean_image

    def __call__(self, samples: Sequence[Sample], epoch: int) -> PretrainBatch:
        """Make one batch."""
        items = [self._item(sample, epoch) for sample in samples]
        return pretrain_batch(items, self.pairs.text.pad, self.pairs.length)

    def _item(self, sample: Sample, epoch: int) -> PretrainItem:
        seed = sample_seed(self.seed, epoch, sample.key)
        rng = np.random.default_rng([seed, 1])  # not the stream of the picture
        pixels = picture(sample)
        choices = captions(sample)
        caption = choices[int(rng.integers(len(choices)))]
        pair, encoded = self.pairs.item(sample, self.distort(pixels, seed), caption)
        draw = self.pairs.text.draw(encoded, rng)
        clean = evaluate(pixels, self.pairs.size) if self.clean_image else None
        return PretrainItem(pair, draw, clean)


def picture(sample: Sample) -> Pixels:
    """Decode a sample's picture, (H, W, 3).

    Raises:
        InputError: if it has none, or it cannot be decoded.
    """
    for column in IMAGES:
        if column in sample.columns:
            return decode(sample.columns[column], source(sample))
    raise InputError(f"{source(sample)} has no picture: remove it or add one of {IMAGES}.")


def captions(sample: Sample) -> list[str]:
    """Give a sample's captions: "captions" of its json, else its txt.

    Raises:
        InputError: if it has none.
    """
    found = meta(sample).get("captions")
    if isinstance(found, list) and found and all(isinstance(caption, str) for caption in found):
        return found
    if "txt" not in sample.columns:
        raise InputError(f"{source(sample)} has no caption: remove it or add a .txt with one.")
    return [sample.columns["txt"].decode("utf-8", errors="replace")]


def meta(sample: Sample) -> dict[str, object]:
    """Give a sample's json, empty if it has none.

    Raises:
        InputError: if it is no json object.
    """
    try:
        found = json.loads(sample.columns.get("json", b"{}"))
    except ValueError as error:
        raise InputError(
            f"The json of {source(sample)} cannot be read: mend or drop it."
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"The json of {source(sample)} is no object: mend or drop it.")
    return found


def source(sample: Sample) -> str:
    """Name a sample for an error."""
    return f"sample {sample.key!r} of {sample.shard}"
