"""Images with all their captions, brought to one caption each."""

from softmask.batch import CaptionedBatch, PairBatch
from softmask.rows import first_of_each


def first_captions(batch: CaptionedBatch) -> PairBatch:
    """Each image with the first of its captions, B pairs."""
    texts = first_of_each(batch["image_row"])
    return {
        "image": batch["image"],
        "input_ids": batch["input_ids"][texts],
        "attention_mask": batch["attention_mask"][texts],
        "image_id": batch["image_id"],
        "text_id": batch["text_id"][texts],
        "position": batch["position"],
        "key": batch["key"],
        "caption": [batch["caption"][row] for row in texts.tolist()],
    }
