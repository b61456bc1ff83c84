"""A set of annotated pictures, and its conversion by `softmask data write`."""

from pathlib import Path

from schemas import write_karpathy, write_pictures

from data_modules.pairs import write_pairs

COUNT = 40
NAMES = [f"{number:03d}.png" for number in range(COUNT)]
SPLITS = ["val" if number % 5 == 0 else "train" for number in range(COUNT)]
SHARDS = [f"train/{n:05d}.tar" for n in range(7)] + [f"val/{n:05d}.tar" for n in range(2)]


def make_source(folder: Path) -> Path:
    write_pictures(folder / "images", NAMES)
    write_karpathy(folder / "dataset.json", NAMES, SPLITS, None)
    return folder


def write(source: Path, output: Path, **options: object) -> None:
    given = {"shard_size": 5, "short_side": 24, "credit": "me", **options}
    write_pairs(source / "images", source / "dataset.json", output, **given)


def contents(output: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(output)): file.read_bytes()
        for file in sorted(output.rglob("*"))
        if file.is_file()
    }
