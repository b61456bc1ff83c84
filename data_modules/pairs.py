"""Write the user's own pictures and captions as shards."""

import random
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from data_modules.annotations import Group, read_annotations, split_groups
from data_modules.image import Pixels, on_white
from data_modules.write import EXTENSIONS, Pair, write_shards
from softmask.errors import InputError


def write_pairs(
    images: Path,
    captions: Path,
    output: Path,
    shard_size: int = 1000,
    short_side: int = 288,
    quality: int = 90,
    seed: int = 0,
    val_share: float = 0,
    test_share: float = 0,
    credit: str | None = None,
    license: str | None = None,
) -> None:
    """Write pictures with captions as shards: a folder for each split, shuffled.

    Args:
        images: folder that the table's names are relative to.
        captions: .csv or .jsonl with the columns image and caption, and maybe split (train, val,
            test); several rows may name one picture.
        output: folder of the data set.
        shard_size: pairs in a shard.
        short_side: pixels to shrink the shorter side of larger pictures to; 0 keeps all bytes.
        quality: of shrunken JPEGs, 1 to 100.
        seed: of the order and of the split by shares.
        val_share: share of the pictures for validation, when the table has no split.
        test_share: share of the pictures for the test, when the table has no split.
        credit: whom to name, kept in the index.
        license: of the pictures, kept in the index.

    Raises:
        InputError: if the table, a picture or an option cannot be used.
    """
    if not 1 <= quality <= 100 or short_side < 0:
        raise InputError(
            f"quality is {quality} and short_side {short_side}: give a quality from 1 to 100 and a "
            "side of 0 or more pixels."
        )
    groups = read_annotations(captions)
    _check_files(groups, images, captions)
    keys = {group.image: f"{number:08d}" for number, group in enumerate(groups)}
    order = random.Random(seed)
    notes = {name: value for name, value in (("credit", credit), ("license", license)) if value}
    for name, members in split_groups(groups, val_share, test_share, order).items():
        order.shuffle(members)
        stream = _pairs(members, keys, images, short_side, quality)
        write_shards(stream, output / name, shard_size=shard_size, total=len(members), notes=notes)
        texts = sum(len(member.captions) for member in members)
        print(f"{name}: {len(members)} pictures, {texts} captions")


def shrink(data: bytes, short_side: int, quality: int, name: str) -> tuple[bytes, str]:
    """Encode a picture anew as JPEG if its shorter side is larger than short_side.

    Args:
        data: the file's bytes.
        short_side: pixels; 0 keeps the bytes.
        quality: of the JPEG.
        name: of the file.

    Returns:
        The bytes and their extension.

    Raises:
        InputError: if it is no picture.
    """
    extension = Path(name).suffix.lower().lstrip(".")
    if extension in EXTENSIONS and short_side == 0:
        return data, extension
    flags = cv2.IMREAD_COLOR if extension in ("jpg", "jpeg") else cv2.IMREAD_UNCHANGED
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if pixels is None:
        raise InputError(f"The picture {name!r} cannot be decoded: replace it or remove its rows.")
    shortest = min(pixels.shape[:2])
    opaque = pixels.ndim == 2 or pixels.shape[2] == 3
    if extension in EXTENSIONS and shortest <= short_side and opaque:
        return data, extension
    small = _resize(on_white(pixels), short_side) if 0 < short_side < shortest else on_white(pixels)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes(), "jpg"


def _resize(pixels: Pixels, short_side: int) -> Pixels:
    height, width = pixels.shape[:2]
    scale = short_side / min(height, width)
    target = (max(short_side, round(width * scale)), max(short_side, round(height * scale)))
    return np.asarray(cv2.resize(pixels, target, interpolation=cv2.INTER_AREA), np.uint8)


def _pairs(
    groups: list[Group], keys: dict[str, str], images: Path, short_side: int, quality: int
) -> Iterator[Pair]:
    for group in groups:
        data = (images / group.image).read_bytes()
        data, extension = shrink(data, short_side, quality, group.image)
        meta = {**group.meta, "image": group.image, "image_id": group.image}
        yield Pair(keys[group.image], data, extension, group.captions, meta)


def _check_files(groups: list[Group], images: Path, captions: Path) -> None:
    missing = [group.image for group in groups if not (images / group.image).is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(groups)} pictures of {captions} are not in {images}, "
            f"the first is {missing[0]!r}: mend the folder or remove their rows."
        )
