"""What a picture's first bytes say: its kind, its size, and what must be mended.

Read without decoding, so that a decompression bomb costs nothing.
"""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from data_modules.reasons import BadSample, Mend, Reason
from softmask.pictures import ORIENTATION

FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # JPEG's SOF markers
EXIF, SCAN = 0xE1, 0xDA
TOLD = FRAMES | {EXIF, SCAN}
SEQUENTIAL = (0xC0, 0xC1)
JPEG_SIDE = 65_500
"""Decoders take no larger side; a part of one they would, with gray for what is not there."""


class Header(NamedTuple):
    """A picture before decoding."""

    kind: str  # "JPEG", "PNG", "WEBP" or "GIF"
    width: int
    height: int
    mends: frozenset[Mend]
    height_at: int | None = None
    """Where a JPEG's height stands, if its rows come one after another: a decoder that is told a
    smaller height stops early."""


def read_header(data: bytes) -> Header:
    """Read a JPEG's, PNG's, WebP's or GIF's header.

    Args:
        data: the file's bytes.

    Raises:
        BadSample: if it is none of them, or cut.
    """
    if not data:
        raise BadSample(Reason.EMPTY_PICTURE, "has no bytes")
    for magic, read in _READERS.items():
        if data.startswith(magic):
            try:
                return read(data)
            except (struct.error, IndexError) as error:
                raise _corrupt("its header is cut") from error
    raise BadSample(Reason.UNKNOWN_PICTURE, f"is no JPEG, PNG, WebP or GIF: {data[:16]!r}")


def _jpeg(data: bytes) -> Header:
    mends: set[Mend] = set()
    frame = None
    height_at = None
    for marker, start, stop in _segments(data):
        if marker in FRAMES:
            _, height, width, channels = struct.unpack_from(">BHHB", data, start)
            frame = width, height
            height_at = start + 1 if marker in SEQUENTIAL and height else None
            if max(frame) > JPEG_SIDE:
                raise _corrupt(f"{width} x {height} pixels are more than a JPEG's side can have")
            if channels != 3:
                mends.add(Mend.GRAY if channels == 1 else Mend.CMYK)
        elif marker == EXIF and _orientation(data[start:stop]) > 1:
            mends.add(Mend.ROTATED)
        elif marker == SCAN and frame:
            # Decoders fill what is cut off with gray; a thumbnail's end before the scan is no end.
            if data.rfind(b"\xff\xd9", stop) < 0:
                raise _corrupt("its end is missing")
            one_scan = data[start] == channels
            return Header("JPEG", *frame, frozenset(mends), height_at if one_scan else None)
    raise _corrupt("it has no scan")


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Give marker, start and stop of those of a JPEG's segments that are read here."""
    at = 2
    while at < len(data):
        if data[at] != 0xFF:
            # Decoders pass over what lies between segments.
            at = data.find(b"\xff", at)
            if at < 0:
                raise _corrupt("it has no scan")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        size = data[at + 2] << 8 | data[at + 3]
        if marker in TOLD:
            yield marker, at + 4, at + 2 + size
        at += 2 + size


def _orientation(exif: bytes) -> int:
    """Give EXIF's orientation, 1 when there is none."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (place,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, place)
        for entry in range(place + 2, place + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == ORIENTATION:
                return int(value)
    except struct.error:
        pass  # damaged notes do not damage the picture
    return 1


def _png(data: bytes) -> Header:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    mends = {Mend.DEEP} if depth == 16 else set()
    mends |= {0: {Mend.GRAY}, 3: {Mend.PALETTE}, 4: {Mend.GRAY, Mend.ALPHA}, 6: {Mend.ALPHA}}.get(
        colour, set()
    )
    at = 8
    while at + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        if name == b"tRNS":
            mends.add(Mend.ALPHA)
        elif name == b"acTL":
            mends.add(Mend.ANIMATED)
        elif name == b"eXIf" and _orientation(data[at + 8 : at + 8 + size]) > 1:
            mends.add(Mend.ROTATED)
        elif name == b"IEND":
            return Header("PNG", width, height, frozenset(mends))
        at += 12 + size
    raise _corrupt("its end is missing")


def _webp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 4)
    if data[8:12] != b"WEBP":
        raise BadSample(Reason.UNKNOWN_PICTURE, f"is no JPEG, PNG, WebP or GIF: {data[:16]!r}")
    if len(data) < size + 8:
        raise _corrupt("its end is missing")
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Header("WEBP", width & 0x3FFF, height & 0x3FFF, frozenset())
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        alpha = {Mend.ALPHA} if bits >> 28 & 1 else set()
        return Header("WEBP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, frozenset(alpha))
    flags = data[20]
    width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    named = {0x10: Mend.ALPHA, 0x02: Mend.ANIMATED}
    mends = {mend for bit, mend in named.items() if flags & bit}
    if flags & 0x08:
        exif = data.find(b"EXIF", 30)
        if exif > 0 and _orientation(data[exif + 8 :]) > 1:
            mends.add(Mend.ROTATED)
    return Header("WEBP", width, height, frozenset(mends))


def _gif(data: bytes) -> Header:
    width, height = struct.unpack_from("<HH", data, 6)
    return Header("GIF", width, height, frozenset({Mend.PALETTE}))


def _corrupt(what: str) -> BadSample:
    return BadSample(Reason.CORRUPT_PICTURE, f"cannot be decoded: {what}")


_READERS: dict[bytes, Callable[[bytes], Header]] = {
    b"\xff\xd8\xff": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"RIFF": _webp,
    b"GIF87a": _gif,
    b"GIF89a": _gif,
}
