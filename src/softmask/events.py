"""What a run wrote for TensorBoard, read back."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

MOST_POINTS = 10_000
"""Of a curve; of a longer one some are drawn evenly, the last always among them."""


class Drawn(NamedTuple):
    """A picture of a run."""

    step: int
    data: bytes  # of a PNG


class Events(NamedTuple):
    """By tag."""

    scalars: Mapping[str, Mapping[int, float]]
    pictures: Mapping[str, list[Drawn]]  # first to last
    texts: Mapping[str, Mapping[int, str]]


def read_events(folder: Path) -> Events:
    """Read all event files of a folder; a run that went on has several."""
    sizes = {"scalars": MOST_POINTS, "images": 0, "tensors": 0}
    events = EventAccumulator(str(folder), size_guidance=sizes)
    events.Reload()
    tags = events.Tags()
    return Events(
        {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in tags["scalars"]},
        {
            tag: [Drawn(e.step, e.encoded_image_string) for e in events.Images(tag)]
            for tag in tags["images"]
        },
        {
            tag.removesuffix(TEXT): {
                e.step: e.tensor_proto.string_val[0].decode() for e in events.Tensors(tag)
            }
            for tag in tags["tensors"]
            if tag.endswith(TEXT)
        },
    )


TEXT = "/text_summary"
"""What torch's writer adds to the tags of texts."""
