"""`softmask explain`: where each word of a text looks in a picture, as PNG and as a page."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm  # type: ignore[import-untyped]

from softmask.ask.explained import Explained
from softmask.ask.opening import DType, open_model
from softmask.ask.page import page
from softmask.ask.sheet import sheet
from softmask.ask.tables import Pair, read_pairs
from softmask.errors import InputError
from softmask.explain import By
from softmask.explaining import check_way
from softmask.model import SoftMask
from softmask.pictures import read_picture
from softmask.whole import write_text_whole, write_whole


def explain(
    model: str,
    image: Path | None = None,
    text: str | None = None,
    csv: Path | None = None,
    images: Path | None = None,
    output: Path = Path("explained"),
    layer: int | None = None,
    by: By = "looking",
    one_page: bool = False,
    checkpoint: str = "best",
    device: str = "cpu",
    dtype: DType = "float32",
) -> None:
    """Draw where each word of a text is in a picture, and what matching says without it.

    Words look by Grad-CAM of the matching score, as in training, and a word of several word pieces
    has the mean of their maps. Or places are hidden from each word without the rest of its sentence
    (of "a cat and a red heart" the heart is asked as "a red heart"), which shows best where things
    are and takes a while on a CPU. The whole sentence's map is the mean
    of its words' maps. "Masked" is the matching score with what the word saw faded.

    Args:
        model: folder of a run, of `softmask weights export` or `convert`, or a name on the hub.
        image: one picture.
        text: of the picture.
        csv: table with the columns image and text instead: .csv, or .jsonl.
        images: folder that the table's pictures are relative to; the table's own unless given.
        output: folder for a PNG and a page of each pair; made if missing.
        layer: fusion layer to map, from 0; the one of the training's soft masks unless given.
        by: looking (where words look in their sentence) or hiding (where the model finds them).
        one_page: write one page of all rows, index.html, instead of one each.
        checkpoint: of a run: best, last, or a file's name.
        device: cpu, cuda:0, ...
        dtype: of the model's weights.

    Raises:
        InputError: the model, a table, a picture or the layer cannot be used.
    """
    pairs = _given(image, text, csv, images)
    stems = _stems(pairs, output, numbered=csv is not None)
    asked = open_model(model, checkpoint, device, dtype).model
    check_way(by, layer)
    output.mkdir(parents=True, exist_ok=True)
    found = []
    for pair, stem in tqdm([*zip(pairs, stems, strict=True)], unit="pair", disable=len(pairs) == 1):
        one = explain_pair(asked, pair, layer, by)
        write_whole(output / f"{stem}.png", partial(sheet(one).save, format="png"))
        if one_page:
            found.append(one)
        else:
            write_text_whole(output / f"{stem}.html", page([one], model))
    if one_page:
        write_text_whole(output / "index.html", page(found, model))
    what = "index.html and a PNG of each pair" if one_page else "a PNG and a page of each pair"
    print(f"Written to {output}: {what} ({len(pairs)})")


@torch.no_grad()
def explain_pair(
    model: SoftMask, pair: Pair, layer: int | None = None, by: By = "looking"
) -> Explained:
    """Explain a pair.

    Raises:
        InputError: the picture, the text or the layer cannot be used.
    """
    pixels = read_picture(pair.path)
    found = model.explain(pixels, pair.text, layer, by)
    if by == "looking" and layer is None:
        layer = model.config.mask_layer
    return Explained(pair.name, pair.text, Image.fromarray(pixels), layer, found)


def _given(
    image: Path | None, text: str | None, csv: Path | None, images: Path | None
) -> list[Pair]:
    if (csv is None) == (image is None) or (image is None) != (text is None):
        raise InputError(
            "Pairs come from one place: give --csv TABLE, or --image FILE with --text TEXT."
        )
    if csv is not None:
        return read_pairs(csv, images)
    assert image is not None
    assert text is not None
    return [Pair(str(image), image, text)]


def _stems(pairs: Sequence[Pair], output: Path, *, numbered: bool) -> list[str]:
    """Names of what is written, without their endings.

    Raises:
        InputError: a picture that is asked would be written over.
    """
    plain = [_plain(pair.path.stem) for pair in pairs]
    stems = [f"{number:04d}-{stem}" for number, stem in enumerate(plain)] if numbered else plain
    asked = {pair.path.resolve() for pair in pairs}
    for stem in stems:
        if (output / f"{stem}.png").resolve() in asked:
            raise InputError(
                f"'{output / stem}.png' is a picture that is asked, and its maps would be written "
                f"over it: give another --output."
            )
    return stems


def _plain(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^\w.-]+", "_", name)[:60] or "picture"
