"""`softmask search`: pictures for a text, or texts for a picture, over features of `embed`."""

import json as jsonlib
from pathlib import Path

from softmask.ask.finding import Hit, Query, find
from softmask.ask.hits import hits_page
from softmask.ask.index import check_model, load, open_index
from softmask.ask.opening import DType, open_model
from softmask.errors import InputError
from softmask.whole import write_text_whole


def search(
    index: Path,
    text: str = "",  # not None, which `--text null` would be
    image: Path | None = None,
    model: str | None = None,
    top: int = 10,
    candidates: int = 16,
    images: str | None = None,
    json: bool = False,
    html: Path | None = None,
    checkpoint: str | None = None,
    device: str = "cpu",
    dtype: DType = "float32",
) -> None:
    """Print the pictures that a text describes, or the texts that describe a picture.

    All features are compared by cosine, exactly; then the matching head reads the best candidates
    again and puts them in its own order, which takes as long as encoding that many pictures.

    Args:
        index: folder made by `softmask embed`.
        text: to find pictures for.
        image: to find texts for.
        model: where it is now; the one that the index names unless given. It must be the same.
        top: hits to print.
        candidates: hits that the matching head judges again; 0 leaves the order of the cosine.
        images: folder or shards that now hold the pictures, if they were moved.
        json: print a JSON object for each hit.
        html: page to write, with the hits to look at.
        checkpoint: of a run: best, last, or a file's name; the index's own unless given.
        device: cpu, cuda:0, ...
        dtype: of the model's weights.

    Raises:
        InputError: the index, the model, or a picture cannot be used, or they do not go together.
    """
    if (not text) == (image is None):
        raise InputError("Give one question: --text TEXT to find pictures, or --image FILE.")
    if top < 1 or candidates < 0:
        raise InputError(f"top is {top} and candidates {candidates}: give 1 or more, 0 or more.")
    query = Query(text or None, image)
    opened_index = open_index(index)
    features = load(opened_index, query.wanted)
    source = model or opened_index.model
    opened = open_model(source, checkpoint or opened_index.checkpoint, device, dtype)
    check_model(opened_index, opened.fingerprint, source)
    hits = find(opened.model, opened_index.moved(images), features, query, top, candidates)
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        write_text_whole(html, hits_page(query, hits, opened_index.moved(images)))
    _print(hits, json)


def _print(hits: list[Hit], json: bool) -> None:
    if json:
        for hit in hits:
            print(jsonlib.dumps(hit.plain(), ensure_ascii=False))
        return
    print(f"{'':>4}  {'match':>7}  {'cosine':>7}")
    for hit in hits:
        match = "" if hit.match is None else f"{hit.match:.4f}"
        print(f"{hit.rank:>4}  {match:>7}  {hit.cosine:7.4f}  {hit.key}")
