"""Bad shards, each with its fate in training and in `softmask data check`."""

import gzip
import io
import tarfile
from typing import NamedTuple

import zoo
from zoo_pictures import PICTURE, encoded

from data_modules.reasons import Reason


def special(name, kind, target="") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


class Cage(NamedTuple):
    """One shard: what check says of it; training refuses it by name if `says` is given."""

    data: bytes
    problems: dict[Reason, int]
    samples: int
    says: str | None = None


def cages() -> dict[str, Cage]:
    two = zoo.members([zoo.good(1), zoo.good(2)])
    plain = zoo.tar(two)
    unsafe, cut = "link, a device or a path", "no whole, uncompressed tar"
    txt = ("bad.txt", zoo.CAPTION.encode())
    data = ("bad.png", encoded(PICTURE, "PNG"))

    def with_(member, reason, says=unsafe):
        return Cage(zoo.tar([*two, member, txt]), {reason: 1}, 2, says)

    spoilt = special("bad.png", tarfile.REGTYPE)
    spoilt.pax_headers = {"GNU.sparse.map": "abc"}
    long = "f" * 120 + "/" + "k" * 120
    longs = [(f"{long}.png", data[1]), (f"{long}.txt", txt[1])]
    return {
        "symlink": with_(special("bad.png", tarfile.SYMTYPE, "/etc/passwd"), Reason.LINK),
        "hardlink": with_(special("bad.png", tarfile.LNKTYPE, "good-1.png"), Reason.LINK),
        "device": with_(special("bad.png", tarfile.CHRTYPE), Reason.SPECIAL_FILE),
        "fifo": with_(special("bad.png", tarfile.FIFOTYPE), Reason.SPECIAL_FILE),
        "sparse": with_(special("bad.png", tarfile.GNUTYPE_SPARSE), Reason.SPECIAL_FILE),
        "absolute": Cage(
            zoo.tar([*two, ("/etc/bad.png", data[1]), ("/etc/bad.txt", txt[1])]),
            {Reason.UNSAFE_PATH: 2},
            2,
            unsafe,
        ),
        "parent": Cage(
            zoo.tar([*two, ("../bad.png", data[1]), ("../bad.txt", txt[1])]),
            {Reason.UNSAFE_PATH: 2},
            2,
            unsafe,
        ),
        "repeated": Cage(
            zoo.tar([*two, data, ("bad.PNG", data[1]), txt]),
            {Reason.REPEATED_MEMBER: 1},
            2,
            "twice",
        ),
        "cut-in-data": Cage(plain[: _place(plain, 0) + 100], {Reason.TRUNCATED_TAR: 1}, 0, cut),
        "cut-in-last": Cage(plain[: _place(plain, -1) + 5], {Reason.TRUNCATED_TAR: 1}, 1, cut),
        "cut-in-header": Cage(plain[:300], {Reason.TRUNCATED_TAR: 1}, 0, cut),
        "no-end": Cage(plain[: _place(plain, -1) + 512], {Reason.TRUNCATED_TAR: 1}, 1, cut),
        "empty-tar": Cage(zoo.tar([]), {Reason.EMPTY_SHARD: 1}, 0, "holds no samples"),
        "empty-file": Cage(b"", {Reason.NOT_A_TAR: 1}, 0, cut),
        "gzip": Cage(gzip.compress(plain), {Reason.NOT_A_TAR: 1}, 0, cut),
        "junk": Cage(b"hello" * 1000, {Reason.NOT_A_TAR: 1}, 0, cut),
        "long-names-gnu": Cage(zoo.tar([*two, *longs], format=tarfile.GNU_FORMAT), {}, 3),
        "long-names-pax": Cage(zoo.tar([*two, *longs], format=tarfile.PAX_FORMAT), {}, 3),
        "mac": Cage(
            zoo.tar([(f"d/{dot}{name}", part) for name, part in two for dot in ("._", "")]), {}, 2
        ),
        "folders": Cage(zoo.tar([special("d", tarfile.DIRTYPE), *two]), {}, 2),
        "dot-slash": Cage(zoo.tar([(f"./{name}", part) for name, part in two]), {}, 2),
        "meta": Cage(zoo.tar([("__meta__/x.json", b"?"), *two]), {}, 2),
        "key-latin-1": Cage(
            zoo.tar([*two, ("caf\udce9.png", data[1]), ("caf\udce9.txt", txt[1])]), {}, 3
        ),
        "key-latin-1-bad": Cage(
            zoo.tar([*two, ("caf\udce9.png", b"<html>"), ("caf\udce9.txt", txt[1]), data, txt]),
            {Reason.UNKNOWN_PICTURE: 1},
            4,
        ),
        "number-in-header": Cage(
            zoo.tar([*two, spoilt, txt], format=tarfile.PAX_FORMAT),
            {Reason.TRUNCATED_TAR: 1},
            1,
            cut,
        ),
        "duplicate": Cage(zoo.tar([data, txt, *two, data, txt]), {Reason.DUPLICATE_KEY: 1}, 4),
        "interleaved": Cage(
            zoo.tar([data, *two, txt]),
            {Reason.MISSING_CAPTION: 1, Reason.MISSING_PICTURE: 1, Reason.DUPLICATE_KEY: 1},
            4,
        ),
    }


def _place(data: bytes, number: int) -> int:
    """Where a member's bytes begin."""
    with tarfile.open(fileobj=io.BytesIO(data)) as made:
        return made.getmembers()[number].offset_data
