"""RefCOCO, RefCOCO+ and RefCOCOg as REFER lays them out.

A folder holds refs(unc).p, a pickled list of {ref_id, ann_id, image_id, split, sentences: [{sent,
raw, sent_id, tokens}], ...}; instances.json, COCO's; and maybe dets.json, {image id: [[x, y, width,
height, ...], ...]}, the boxes that ALBEF ranks.
"""

from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any, NamedTuple

from data_modules.formats.group import Group, Rows, by_id, is_text, load_json
from data_modules.formats.unpickle import load_plain_pickle
from softmask.errors import InputError

REFS = "refs(*).p"
FOLDERS = {"train": "train", "val": "val", "test": "test", "testA": "test", "testB": "test"}
"""Where the parts of the data go; each sample's json keeps the name of its part."""


class _Instances(NamedTuple):
    """What instances.json and dets.json say, by their ids."""

    images: Mapping[object, Mapping[str, Any]]
    boxes: Mapping[object, tuple[list[float], int]]  # with their images' ids
    detections: Mapping[str, list[list[float]]]


def read_refcoco(place: Path) -> Rows:
    """Read expressions with their boxes, a row apart for each sentence, as ALBEF counts them.

    Sentences that people gave twice stay: the official evaluation counts them twice.

    Args:
        place: the folder, or its refs(...).p where it has several.

    Raises:
        InputError: a file is missing, or is another's, or its ids lead nowhere.
    """
    file = _refs_file(place)
    refs = load_plain_pickle(file)
    if not isinstance(refs, list) or not refs:
        raise InputError(f"{file} holds no list of references: give REFER's refs(...).p.")
    known = _instances(file.parent)
    judged: set[str] = set()
    seen: set[object] = set()
    for number, ref in enumerate(refs, start=1):
        where = f"The reference {number} of {file}"
        try:
            if ref["ref_id"] in seen:
                raise InputError(
                    f"{where} has the ref_id {ref['ref_id']} of another one: mend the file."
                )
            seen.add(ref["ref_id"])
            yield from ((where, group) for group in _groups(ref, known, where))
            if ref["split"] != "train":
                judged.add(str(ref["image_id"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{where} is not as REFER has them ({type(error).__name__}: {error}): give a "
                f"refs(...).p and the instances.json that came with it."
            ) from error
    _tell_bare(judged, known, file.parent)


def _refs_file(place: Path) -> Path:
    if not place.is_dir():
        return place
    found = sorted(place.glob(REFS))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise InputError(
            f"{place} holds {len(found)} files {REFS} ({names}): name one of them with --captions."
        )
    return found[0]


def _instances(folder: Path) -> _Instances:
    file = folder / "instances.json"
    tree = load_json(file)
    try:
        pictures, marks = tree["images"], tree["annotations"]  # type: ignore[index]
        images = by_id(((one["id"], one) for one in pictures), f"The images of {file}")
        boxes = by_id(
            ((one["id"], (one["bbox"], one["image_id"])) for one in marks),
            f"The annotations of {file}",
        )
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{file} holds no instances of COCO (it lacks {error}): give the one that came with "
            f"the references."
        ) from error
    detected = folder / "dets.json"
    detections = load_json(detected) if detected.exists() else {}
    if not isinstance(detections, dict):
        raise InputError(f"{detected} holds no lists of boxes by image id: mend or remove it.")
    if not detections:
        print(f"{folder} has no dets.json: no box will be chosen, pointing alone is scored")
    return _Instances(images, boxes, detections)


def _groups(ref: Mapping[str, Any], known: _Instances, where: str) -> Iterator[Group]:
    part = ref["split"]
    if part not in FOLDERS:
        raise InputError(f"{where} is in the split {part!r}: use one of {', '.join(FOLDERS)}.")
    image = known.images[ref["image_id"]]
    box, seen_in = known.boxes[ref["ann_id"]]
    if seen_in != ref["image_id"]:
        raise InputError(
            f"{where} is of the image {ref['image_id']}, but its box, the annotation "
            f"{ref['ann_id']}, of the image {seen_in}: give the instances.json that came with it."
        )
    meta = {
        "ref_id": ref["ref_id"],
        "box": box,
        "size": [image["width"], image["height"]],
        "split": part,
    }
    if part != "train" and known.detections:
        # Four numbers are the box; scores and classes follow.
        found = known.detections.get(str(image["id"]), [])
        if not isinstance(found, list) or not all(isinstance(box, list) for box in found):
            raise InputError(
                f"dets.json has {found!r:.80} for the image {image['id']}: give each image a list "
                f"of boxes [x, y, width, height], as ALBEF's file has them."
            )
        meta["detections"] = [box[:4] for box in found]
    for sentence in ref["sentences"]:
        text = sentence.get("sent") or sentence["raw"]
        if not is_text(text):
            raise InputError(f"{where} has an empty sentence: fill it in or remove it.")
        said = {**meta, "sent_id": sentence["sent_id"]}
        yield Group(str(image["file_name"]), [text], FOLDERS[part], said, apart=True)


def _tell_bare(images: Set[str], known: _Instances, folder: Path) -> None:
    """Say for how many pictures to evaluate there is no box to choose."""
    bare = sorted(name for name in images if not known.detections.get(name))
    if bare and known.detections:
        print(
            f"{folder / 'dets.json'} has no boxes for {len(bare)} of {len(images)} pictures to "
            f"evaluate, the first is {bare[0]}: their expressions will count as missed"
        )
