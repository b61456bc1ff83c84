"""Features on disk, in chunks that are whole or not there.

E width of a feature.
"""

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from softmask.errors import InputError, first_line
from softmask.whole import write_whole

Format = Literal["npy", "parquet"]
Floats = NDArray[np.float16] | NDArray[np.float32]


class Chunk(NamedTuple):
    """Features in their order."""

    keys: list[str]  # names of pictures, or texts
    at: list[int]  # their places in the source
    features: Floats  # (rows, E)


def names(stem: str, format: Format) -> list[str]:
    """The files of a chunk; the last of them is written last."""
    return [f"{stem}.parquet"] if format == "parquet" else [f"{stem}.jsonl", f"{stem}.npy"]


def is_whole(folder: Path, stem: str, format: Format) -> bool:
    """Whether a chunk is there."""
    return all((folder / name).is_file() for name in names(stem, format))


def write_chunk(folder: Path, stem: str, format: Format, chunk: Chunk) -> None:
    """Write a chunk: the same chunk gives the same bytes."""
    if format == "parquet":
        table = _table(chunk)
        write_whole(
            folder / f"{stem}.parquet", lambda file: _pyarrow().parquet.write_table(table, file)
        )
        return
    lines = [
        json.dumps({"at": at, "key": key}, ensure_ascii=False) + "\n"
        for at, key in zip(chunk.at, chunk.keys, strict=True)
    ]
    text = "".join(lines).encode("utf-8", errors="surrogatepass")
    write_whole(folder / f"{stem}.jsonl", lambda file: file.write(text))
    write_whole(folder / f"{stem}.npy", lambda file: np.save(file, chunk.features))


def read_chunk(folder: Path, stem: str, format: Format) -> Chunk:
    """The inverse of `write_chunk`.

    Raises:
        InputError: a file is gone or cannot be read.
    """
    try:
        if format == "parquet":
            return _of_table(_pyarrow().parquet.read_table(folder / f"{stem}.parquet"))
        text = (folder / f"{stem}.jsonl").read_bytes().decode("utf-8", errors="surrogatepass")
        rows = [json.loads(line) for line in text.split("\n")[:-1]]
        features = np.load(folder / f"{stem}.npy", allow_pickle=False)
        chunk = Chunk([row["key"] for row in rows], [row["at"] for row in rows], features)
        if features.ndim != 2 or len(features) != len(rows):
            raise ValueError(f"{len(rows)} keys with features of shape {features.shape}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"The features {folder / stem} cannot be read ({first_line(error)}): delete "
            f"{folder} and embed again."
        ) from error
    return chunk


def check_format(format: Format) -> None:
    """Refuse Parquet without its package.

    Raises:
        InputError: pyarrow is not installed.
    """
    if format == "parquet":
        _pyarrow()


def _pyarrow() -> Any:  # noqa: ANN401 (a package without types)
    try:
        import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]
        import pyarrow.parquet  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError as error:
        raise InputError(
            "Features as Parquet need pyarrow: pip install 'softmask[parquet]', or take --format "
            "npy."
        ) from error
    return pyarrow


def _table(chunk: Chunk) -> Any:  # noqa: ANN401 (pyarrow's)
    arrow = _pyarrow()
    flat = arrow.array(np.ascontiguousarray(chunk.features).reshape(-1))
    odd = [key for key in chunk.keys if key != key.encode(errors="replace").decode()]
    if odd:
        raise InputError(
            f"Parquet holds UTF-8 alone, and {odd[0]!a} is none: rename it, or take --format npy."
        )
    columns = {
        "key": arrow.array(chunk.keys, arrow.string()),
        "at": arrow.array(chunk.at, arrow.int64()),
        "feature": arrow.FixedSizeListArray.from_arrays(flat, chunk.features.shape[1]),
    }
    return arrow.table(columns)


def _of_table(table: Any) -> Chunk:  # noqa: ANN401 (pyarrow's)
    column = table.column("feature")
    width = column.type.list_size
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    keys, at = table.column("key").to_pylist(), table.column("at").to_pylist()
    return Chunk(keys, at, flat.reshape(-1, width))
