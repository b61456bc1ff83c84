"""What is drawn of an explained pair: tiles, each a map with what is said of it."""

from typing import NamedTuple

from PIL import Image
from torch import Tensor

from softmask.explain import Explanation

SENTENCE = "whole sentence"
ROWS = ("upper", "middle", "lower")
COLUMNS = ("left", "centre", "right")


class Explained(NamedTuple):
    """A pair and where its words look."""

    name: str  # of the picture
    text: str
    picture: Image.Image  # RGB
    layer: int | None  # that was mapped; None for maps by hiding
    found: Explanation

    @property
    def way(self) -> str:
        """How the maps were made."""
        return "by hiding" if self.layer is None else f"fusion layer {self.layer}"

    @property
    def heading(self) -> str:
        """What the maps show."""
        return "Where the model finds words" if self.layer is None else "Where words look"

    @property
    def red(self) -> str:
        """What is red in a map."""
        if self.layer is None:
            return "hiding the picture costs a word most, each map from 0 to 1"
        return "a word looks (Grad-CAM of the matching score, each map from 0 to 1)"

    def alternative(self, tile: "Tile") -> str:
        """A map in words, for those who cannot see it."""
        does = "is found" if self.layer is None else "looks"
        return f"“{tile.title}” {does} most at {place(tile.patches)}; {tile.note}"


class Tile(NamedTuple):
    """A map and what is said of it."""

    title: str
    note: str
    patches: Tensor  # (rows, columns) in 0..1


def tiles(explained: Explained) -> list[Tile]:
    """The sentence's map, then each word's."""
    found = explained.found
    words = zip(found.words, found.masked.tolist(), found.maps, strict=True)
    return [
        Tile(SENTENCE, "mean of its words' maps", found.sentence),
        *(Tile(word, f"masked: match {masked:.3f}", patches) for word, masked, patches in words),
    ]


def place(patches: Tensor) -> str:
    """Say in words where a map (rows, columns) is highest, for those who cannot see it."""
    if float(patches.amax()) <= 0:
        return "nowhere"
    height, width = patches.shape
    row, column = divmod(int(patches.argmax()), width)
    found = ROWS[3 * row // height], COLUMNS[3 * column // width]
    return "the middle" if found == ("middle", "centre") else "the {} {}".format(*found)
