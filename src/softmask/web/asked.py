"""What the page asks: models, a folder of pictures, uploads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple

from softmask.ask.index import Features, Index
from softmask.errors import InputError
from softmask.model import SoftMask
from softmask.pictures import Pixels
from softmask.web.uploads import Shelf, decoded

FOLDER, UPLOAD = "f", "u"
"""First letters of a picture's name in addresses: its place in the folder, or on the shelf."""

MOST_OF_NAME = 40
"""Letters of a picture's name that are shown."""

Values = Mapping[str, str]
"""What a form or an address says, by field."""


class Library:
    """Pictures to search.

    Args:
        index: knows where they are.
        features: of them.
    """

    def __init__(self, index: Index, features: Features) -> None:
        self.index, self.features = index, features
        self.names = dict(zip(features.at, features.keys, strict=True))
        """By place."""


class Shown(NamedTuple):
    """A picture of the page."""

    ref: str  # its name in addresses
    name: str  # for people
    pixels: Pixels


def brief(name: str) -> str:
    """The end of a long name: for samples of shards it is a path of this machine."""
    if len(name) <= MOST_OF_NAME:
        return name
    end = name[-MOST_OF_NAME:]
    return "…" + end[max(end.find("/"), 0) :]


@dataclass
class Asked:
    """Models of one page, each or none.

    Args:
        matching: searches, and explains words.
        library: pictures that are searched.
        answering: answers questions.
        judging: judges statements about two pictures.
        top: hits shown.
        candidates: hits that the matching head judges again.
    """

    matching: SoftMask | None = None
    library: Library | None = None
    answering: SoftMask | None = None
    judging: SoftMask | None = None
    top: int = 12
    candidates: int = 16
    shelf: Shelf = field(default_factory=Shelf)
    lock: Lock = field(default_factory=Lock)
    """Held while a model works, since several at once would only slow each other, and while a
    picture is read, since shards are opened and closed."""

    def picture(self, ref: str) -> Shown:
        """A picture by its name in addresses.

        Raises:
            InputError: there is none of this name, or it cannot be read.
        """
        kind, key = ref[:1], ref[1:]
        if kind == UPLOAD:
            upload = self.shelf.get(key)
            return Shown(ref, upload.name, decoded(upload))
        place = int(key) if key.isascii() and key.isdigit() and len(key) < 12 else -1
        if kind != FOLDER or self.library is None or place not in self.library.names:
            raise InputError("There is no such picture: search again, or choose a file.")
        name = self.library.names[place]
        with self.lock:
            return Shown(ref, name, self.library.index.picture(name, place))
