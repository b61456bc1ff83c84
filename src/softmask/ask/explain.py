"""`softmask explain`: where each word of a text looks in a picture, as PNG and as a page."""

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm  # type: ignore[import-untyped]

from softmask.ask.explained import Explained
from softmask.ask.html import fitted
from softmask.ask.opening import DType, open_model
from softmask.ask.page import SIDE, page
from softmask.ask.sheet import sheet
from softmask.ask.tables import Pair, read_pairs, refuse_folder
from softmask.errors import InputError
from softmask.explain import By, check_layer
from softmask.explaining import check_way
from softmask.model import SoftMask
from softmask.pictures import read_picture
from softmask.whole import write_text_whole, write_whole


def explain(
    model: str,
    image: Path | None = None,
    text: str = "",  # not None, which `--text null` would be
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
        output: folder for a PNG and a page of each pair; made if missing. Names end with letters
            that picture and text decide; those of a table begin with its rows, from 0, instead.
        layer: fusion layer to map, from 0; the one of the training's soft masks unless given.
        by: looking (where words look in their sentence) or hiding (where the model finds them).
        one_page: write one page of all rows, index.html, instead of one each.
        checkpoint: of a run: best, last, or a file's name.
        device: cpu, cuda:0, ...
        dtype: of the model's weights.

    Raises:
        InputError: the model, a table or the layer cannot be used; or a picture or a text, after
            all others are written.
    """
    pairs = _given(image, text, csv, images)
    stems = _stems(pairs, output, numbered=csv is not None)
    asked = open_model(model, checkpoint, device, dtype).model
    check_way(by, layer)
    if layer is not None:
        check_layer(layer, asked.config.fusion.layers)
    output.mkdir(parents=True, exist_ok=True)
    found, left_out = list[Explained](), list[str]()
    try:
        for stem, one in zip(stems, _each(asked, pairs, layer, by), strict=True):
            if isinstance(one, str):
                left_out.append(one)
                continue
            write_whole(output / f"{stem}.png", partial(sheet(one).save, format="png"))
            if one_page:
                # Pictures as cameras take them would fill the memory until the page is written.
                found.append(one._replace(picture=fitted(one.picture, SIDE)))
            else:
                write_text_whole(output / f"{stem}.html", page([one], model))
    finally:  # Ctrl-C leaves a page of what was explained so far
        if found:
            write_text_whole(output / "index.html", page(found, model, left_out))
    _end(stems, left_out, output, one_page=one_page)


def _each(
    model: SoftMask, pairs: Sequence[Pair], layer: int | None, by: By
) -> Iterator[Explained | str]:
    """Each pair, or which it is and why it cannot be explained.

    Raises:
        InputError: the only one cannot be explained.
    """
    for pair in tqdm(pairs, unit="pair", disable=len(pairs) == 1):
        try:
            yield explain_pair(model, pair, layer, by)
        except InputError as error:
            if len(pairs) == 1:
                raise
            said = f"{pair.name}, “{pair.text}”: {error}"
            tqdm.write(f"Left out: {said}", file=sys.stderr)
            yield said


def _end(stems: Sequence[str], left_out: Sequence[str], output: Path, *, one_page: bool) -> None:
    """Say what was written.

    Raises:
        InputError: some was not.
    """
    many, written = len(stems), len(stems) - len(left_out)
    pictures, pages = ("a PNG", "a page") if many > 1 else (f"{stems[0]}.png", f"{stems[0]}.html")
    what = f"index.html and {pictures}" if one_page else f"{pictures} and {pages}"
    if written:
        print(f"Written to {output}: {what}{f' of each pair ({written})' * (many > 1)}")
    if left_out:
        raise InputError(
            f"{len(left_out)} of {many} pairs could not be explained, the first is {left_out[0]}"
            f"{' All others are written.' * bool(written)}"
        )


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


def _given(image: Path | None, text: str, csv: Path | None, images: Path | None) -> list[Pair]:
    if (csv is None) == (image is None) or (image is None) == bool(text):
        raise InputError(
            "Pairs come from one place: give --csv TABLE, or --image FILE with --text TEXT."
        )
    if csv is not None:
        return read_pairs(csv, images)
    refuse_folder(images)
    assert image is not None
    return [Pair(str(image), image, text)]


def _stems(pairs: Sequence[Pair], output: Path, *, numbered: bool) -> list[str]:
    """Names of what is written, without their endings: apart for what is apart.

    Raises:
        InputError: a picture that is asked would be written over.
    """
    plain = [_plain(pair.path.stem) for pair in pairs]
    if numbered:
        stems = [f"{number:04d}-{stem}" for number, stem in enumerate(plain)]
    else:
        stems = [f"{stem}-{_mark(pair)}" for stem, pair in zip(plain, pairs, strict=True)]
    asked = {_whole(pair.path) for pair in pairs}
    for stem in stems:
        if _whole(output / f"{stem}.png") in asked:
            raise InputError(
                f"'{output / stem}.png' is a picture that is asked, and its maps would be written "
                f"over it: give another --output."
            )
    return stems


def _mark(pair: Pair) -> str:
    """Eight letters, others for a picture of the same name elsewhere, and for another text."""
    said = f"{_whole(pair.path)}\n{pair.text}".encode(errors="surrogatepass")
    return hashlib.sha256(said).hexdigest()[:8]


def _whole(path: Path) -> str:
    """A path from the root; a name that no file can have stays, and who reads it says why."""
    try:
        return os.path.realpath(path)
    except ValueError:
        return str(path)


def _plain(name: str) -> str:
    """A name that every file system takes."""
    return re.sub(r"[^\w.-]+", "_", name)[:60] or "picture"
