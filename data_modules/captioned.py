"""Pictures with their captions: all of them to evaluate, one of them to train."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from data_modules.batches import Maker
from data_modules.collate import PairItem, PairText, pair_batch
from data_modules.contents import Contents, contents
from data_modules.identifiers import first_name
from data_modules.pictured import Reader
from data_modules.seeds import hash63, sample_seed
from data_modules.shards import Sample
from data_modules.sheet import Sheet
from data_modules.text import Encoded, Ids
from softmask.batch import CaptionedBatch, PairBatch


class CaptionedItem(NamedTuple):
    """A picture with its captions, as evaluation reads it."""

    image: Sheet
    input_ids: list[Ids]  # of each caption, L
    text_id: list[int]
    captions: list[str]
    image_id: int
    position: int
    key: str


class MakeCaptioned(Maker):
    """Samples to a CaptionedBatch: whole pictures, every caption.

    Args:
        reader: of evaluation samples.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def item(self, sample: Sample, epoch: int) -> CaptionedItem:
        """Read a picture and its captions, or raise BadSample."""
        found = contents(sample)
        texts = [tokenise(text, self.reader) for text in found.captions]
        return CaptionedItem(
            self.reader.picture(found.image, sample, epoch),
            [encoded.ids for _, encoded in texts],
            [hash63(text) for text, _ in texts],
            [text for text, _ in texts],
            image_id(found, sample),
            sample.position,
            sample.key,
        )

    def batch(self, items: Sequence[CaptionedItem], epoch: int) -> CaptionedBatch:  # noqa: ARG002
        """Stack pictures, and all their captions."""
        ids, mask = self.reader.pad([row for item in items for row in item.input_ids])
        counts = torch.tensor([len(item.captions) for item in items])
        return {
            "image": self.reader.images([item.image for item in items]),
            "image_id": torch.tensor([item.image_id for item in items]),
            "input_ids": ids,
            "attention_mask": mask,
            "image_row": torch.arange(len(items)).repeat_interleave(counts),
            "text_id": torch.tensor([number for item in items for number in item.text_id]),
            "caption": [text for item in items for text in item.captions],
            "position": torch.tensor([item.position for item in items]),
            "key": [item.key for item in items],
        }


class MakePairs(Maker):
    """Samples to a PairBatch: a picture with one of its captions, another one each time.

    Args:
        reader: of training samples.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def item(self, sample: Sample, epoch: int) -> PairItem:
        """Make one pair, or raise BadSample."""
        found = contents(sample)
        text, _ = self.text(sample, epoch, found)
        return PairItem(self.reader.picture(found.image, sample, epoch), text)

    def batch(self, items: Sequence[PairItem], epoch: int) -> PairBatch:  # noqa: ARG002
        """Stack pairs."""
        return pair_batch(items, self.reader.images, self.reader.text.pad, self.reader.length)

    def text(self, sample: Sample, epoch: int, found: Contents) -> tuple[PairText, Encoded]:
        """Make all but the picture, with the caption whose turn it is; give its tokens too."""
        place = caption_place(self.reader.seed, epoch, sample, len(found.captions))
        return pair_text(sample, found, found.captions[place], self.reader)


def pair_text(
    sample: Sample, found: Contents, caption: str, reader: Reader
) -> tuple[PairText, Encoded]:
    """Make all but the picture of a sample with one of its captions, and its tokens.

    Raises:
        BadSample: if nothing of the caption is left.
    """
    caption, encoded = tokenise(caption, reader)
    ids = image_id(found, sample), hash63(caption)
    return PairText(encoded.ids, *ids, sample.position, sample.key, caption), encoded


def caption_place(seed: int, epoch: int, sample: Sample, count: int) -> int:
    """Give the caption of one coming of a sample: the turns of an epoch take all in turn.

    A source of weight 5 lets a sample come five times an epoch: of five captions, each once, in an
    order of its own each epoch.

    Args:
        seed: of the run.
        epoch: counted from 0.
        sample: whose `turn` counts its comings in the epoch.
        count: captions it has.
    """
    if count == 1:
        return 0
    left, place = list(range(count)), 0
    for turn in range(sample.turn % count + 1):
        # Hashed: a stream of random numbers takes longer to begin than all else here.
        place = left.pop(sample_seed(seed, epoch, f"{sample.key}/captions/{turn}") % len(left))
    return place


def tokenise(caption: str, reader: Reader) -> tuple[str, Encoded]:
    """Normalise a caption, and give it and its tokens.

    Raises:
        BadSample: if nothing of it is left.
    """
    text = reader.text.normalise(caption)
    return text, reader.text.encode(text)


def image_id(found: Contents, sample: Sample) -> int:
    """Number a picture: equal for pictures of one source and one "image_id".

    Without, each is another one.
    """
    # Tars of others may use a key once in every shard, and lie here or elsewhere: places tell.
    name = first_name(found.meta, "image_id") or f"{sample.position}/{sample.key}"
    # Many folders have a 00001.jpg. The first source keeps the numbers that it has alone.
    return hash63(f"{sample.source}/source/{name}" if sample.source else name)
