"""What data modules of pictures with texts share: settings, pictures and tokens of a sample."""

import random
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from data_modules.base import ShardedData
from data_modules.canvases import Canvases
from data_modules.collate import pad_rows
from data_modules.decode import MAX_PIXELS, Picture, open_picture
from data_modules.image import Distort, Distortion
from data_modules.mixture import Source
from data_modules.seeds import sample_seed
from data_modules.shards import Sample
from data_modules.sheet import Sheet
from data_modules.sizes import check_sizes
from data_modules.store import StoreOptions
from data_modules.text import Ids, Text, TextOptions

FINE_TUNING = Distortion(crop_scale=(0.5, 1.0), jitter_prob=0, gray_prob=0, blur_prob=0)
"""ALBEF's augmentation of all fine-tuning but grounding's: half the picture at least, flip,
RandAugment(2, 7)."""


class PicturedData(ShardedData):
    """Base of the data modules of downstream tasks.

    Args:
        train: shards to fit: a folder, an index.json, a .tar, or a pattern, here or at an address
            such as s3://bucket/train; or sources with weights, [{path: ..., weight: ...}, ...].
        val: shards to validate.
        test: shards to test.
        predict: shards to predict.
        image_size: side of the square pictures in pixels.
        batch_size: training samples a step on each device.
        eval_batch_size: evaluation samples a step on each device; None takes batch_size.
        workers: processes that make batches, on each device; 0 makes them in the main process.
        seed: of the order and of the augmentation.
        window: samples shuffled together; less keeps reading near fewer shards.
        text: how texts are tokenised; masking is pretraining's alone.
        distortion: how training pictures are distorted.
        val_limit: validate the first samples only.
        max_pixels: larger pictures are not decoded but dropped.
        store: how shards of addresses are fetched and kept.
        max_drop_rate: share of bad training samples that others replace before the run stops,
            counted over all ranks.
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
        distortion: Distortion = FINE_TUNING,
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
        check_sizes({"image_size": image_size, "max_pixels": max_pixels}, least=1)
        self.image_size, self.text, self.distortion = image_size, text, distortion
        self.max_pixels = max_pixels

    def plain(self) -> "Reader":
        """Give the reader of evaluation samples."""
        return Reader(Text(self.plain_text), self.image_size, self.max_pixels)

    @property
    def plain_text(self) -> TextOptions:
        """How texts of evaluation samples are tokenised: as those of training, unless told."""
        return self.text

    def distorted(self) -> "Reader":
        """Give the reader of training samples."""
        distort = Distort(self.distortion, self.image_size)
        return Reader(Text(self.text), self.image_size, self.max_pixels, distort, self.seed)


class Reader:
    """Pictures and tokens of samples, as a stage reads them. It pickles.

    Args:
        text: the tokenizer at work.
        size: side of the pictures in pixels.
        max_pixels: larger pictures are bad.
        distort: the augmentation of training; None shows the whole picture, resized.
        seed: of the augmentation.
    """

    def __init__(
        self,
        text: Text,
        size: int,
        max_pixels: int = MAX_PIXELS,
        distort: Distort | None = None,
        seed: int = 0,
    ) -> None:
        self.text, self.size, self.max_pixels = text, size, max_pixels
        self.distort, self.seed = distort, seed
        self._canvases = Canvases()

    def picture(self, encoded: bytes, sample: Sample, epoch: int, side: str = "") -> Sheet:
        """Decode a picture and bring it to the square, all but the last pass over its pixels.

        Args:
            encoded: its bytes.
            sample: it belongs to.
            epoch: of the augmentation's draw.
            side: names the picture among several of the sample, which draw apart.

        Raises:
            BadSample: if it cannot be decoded.
        """
        return self.show(self.open(encoded), sample, epoch, side)

    def open(self, encoded: bytes) -> Picture:
        """Read a picture's header.

        Raises:
            BadSample: if it is no picture, or too large.
        """
        return open_picture(encoded, self.max_pixels)

    def show(self, picture: Picture, sample: Sample, epoch: int, side: str = "") -> Sheet:
        """Decode an opened picture and bring it to the square, as `picture` does.

        Raises:
            BadSample: if it cannot be decoded.
        """
        if self.distort is None:
            return Sheet(picture.decode(), self.size)
        rng = self.rng(sample, epoch, side)
        sheet = self.distort.cut(picture.decode_crop(partial(self.distort.crop, rng=rng)), rng)
        self.distort.change(sheet, rng)
        return sheet

    def rng(self, sample: Sample, epoch: int, side: str = "") -> random.Random:
        """Give the random numbers of a picture's distortion; `side` as in `picture`.

        In pretraining a sample's masks and soft-mask words are drawn from them first.
        """
        return random.Random(sample_seed(self.seed, epoch, sample.draws + side))

    def word_rng(self, sample: Sample, epoch: int) -> random.Random:
        """Give those of masks and soft-mask words where they are not the picture's."""
        return random.Random(sample_seed(self.seed, epoch, sample.draws) | 1 << 63)

    def tokens(self, text: str) -> Ids:
        """Tokenise a text, L ids.

        Raises:
            BadSample: if nothing of it is left.
        """
        return self.text.encode(self.text.normalise(text)).ids

    @property
    def length(self) -> int | None:
        """Tokens that texts are padded to; None pads to the longest of a batch."""
        options = self.text.options
        return options.max_tokens if options.pad_to_max else None

    def images(self, pictures: Sequence[Sheet]) -> Tensor:
        """Lay pictures into a batch, (B, 3, H, W)."""
        return self._canvases.lay(pictures)

    def pad(self, rows: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """Stack token rows and tell tokens from padding, (B, L) twice."""
        ids = pad_rows(rows, self.text.pad, self.length)
        lengths = torch.tensor([len(row) for row in rows])
        return ids, torch.arange(ids.shape[1]) < lengths[:, None]
