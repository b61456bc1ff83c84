"""One set of questions for the model of every run: where words look, shortcut, contrast.

    python -m benchmarks.probe --run RUN --shards data/scenes/pairs --output probe.json

It reads the last checkpoint and the first captions of the test pictures; how the run trained does
not matter. B pairs, L words, N = 1 + P image tokens.
"""

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor

from benchmarks.contrasted import calibration_error, contrast_report, same_text
from benchmarks.localise import judge_map, means, named_things, spread
from benchmarks.shortcut import ask, shortcut_report
from data_modules.contents import contents
from data_modules.decode import Pixels, decode
from data_modules.shards import ShardSet
from softmask import SoftMask
from softmask.captions import Word
from softmask.explain import AROUND, Looked, look
from softmask.nn import ImageKeys
from softmask.occlusion import occlusion_maps
from softmask.pictures import resize
from softmask.saliency import merge_pieces, normalise_map
from softmask.stop_words import STOP_WORDS, phrase_to

BATCH = 64
Report = dict[str, dict[str, float]]
Objects = Sequence[Mapping[str, object]]
"""With `name` and `box`: x, y, width, height."""


class Pair(NamedTuple):
    """A picture with its first caption and, in scenes, the things it shows."""

    pixels: Pixels
    caption: str
    objects: Objects

    @property
    def size(self) -> Tensor:
        """Width and height."""
        return torch.tensor(self.pixels.shape[1::-1])


def main(args: Sequence[str] | None = None) -> None:
    """Ask and write.

    Args:
        args: of the command line; `sys.argv` unless given.
    """
    given = _parse(args)
    model = SoftMask.from_pretrained(given.run, device=given.device, checkpoint="last")
    report = probe(model, read_pairs(given.shards / "test", given.limit), given.hiding)
    given.output.write_text(json.dumps(report, indent=2) + "\n")


def read_pairs(shards: Path, limit: int) -> list[Pair]:
    """The first pairs of a data set."""
    found = ShardSet(str(shards))
    samples = (contents(found.read(place)) for place in range(min(len(found), limit)))
    return [
        Pair(decode(each.image), each.captions[0], cast(Objects, each.meta.get("objects", ())))
        for each in samples
    ]


@torch.no_grad()
def probe(model: SoftMask, pairs: Sequence[Pair], hiding: bool = False) -> Report:
    """Ask a model all there is to ask.

    Args:
        model: in eval mode.
        pairs: to ask about, two different captions at least.
        hiding: whether to map things by hiding, too: a pass for each patch.

    Returns:
        Figures by topic: `maps` of content words, `boxes` of things where boxes are known,
        `hidden` of the same by hiding, `shortcut`, `contrast`, and `matching`, whose calibration is
        that of pairs and of negatives drawn evenly.
    """
    captions = [pair.caption for pair in pairs]
    image = model.embed_images([pair.pixels for pair in pairs], BATCH)
    text = model.embed_texts(captions, BATCH)
    negatives = opposed(image @ text.T, same_text(captions))
    asked: list[dict[str, Tensor]] = []
    maps: list[dict[str, float]] = []
    boxes: list[dict[str, float]] = []
    hidden: list[dict[str, float]] = []
    for start in range(0, len(pairs), BATCH):
        part = pairs[start : start + BATCH]
        looked = _look(model, part)
        maps += [spread(each) for row in _word_maps(model, looked, part) for each in row]
        boxes += _judge_boxes(model, looked, part)
        hidden += judge_hidden(model, looked.keys, part) if hiding else []
        places = {kind: each[start : start + BATCH] for kind, each in negatives.items()}
        asked.append(_ask(model, looked, part, captions, places, start))
    joined = {name: torch.cat([each[name] for each in asked]) for name in asked[0]}
    contrast = contrast_report(image, text, float(model.backbone.temperature), captions)
    report = {"maps": means(maps), "shortcut": shortcut_report(joined), "contrast": contrast}
    report["matching"] = {"calibration_error": _matching_error(joined)}
    topics = {"boxes": boxes, "hidden": hidden}
    return report | {topic: means(found) for topic, found in topics.items() if found}


def opposed(similarity: Tensor, same: Tensor) -> dict[str, Tensor]:
    """For each picture a text of another caption: `even` the next one, `hard` the likeliest.

    Args:
        similarity: of pictures with texts, (N, N).
        same: equal captions, (N, N).

    Returns:
        Places of texts, (N,) each.
    """
    hard = similarity.cpu().masked_fill(same, float("-inf")).argmax(dim=1)
    count = len(same)
    ahead = (torch.arange(count)[:, None] + torch.arange(1, count)) % count  # nearest first
    free = ~same.gather(1, ahead)
    return {"even": ahead.gather(1, free.int().argmax(dim=1, keepdim=True))[:, 0], "hard": hard}


def _look(model: SoftMask, part: Sequence[Pair]) -> Looked:
    device = model.backbone.temperature.device
    size = model.config.image.image_size
    pixels = torch.stack([torch.from_numpy(resize(pair.pixels, size)) for pair in part])
    tokens = model.captions.encode([pair.caption for pair in part])
    return look(
        model.backbone,
        model.matching(),
        model.config.mask_layer,
        image=pixels.permute(0, 3, 1, 2).to(device),
        input_ids=tokens.input_ids.to(device),
        mask=tokens.mask.to(device),
    )


def _word_maps(model: SoftMask, looked: Looked, part: Sequence[Pair]) -> list[list[Tensor]]:
    """Maps (P,) of the words of each caption that name something."""
    return [
        [_map(cam, word.start, word.stop) for word in _content(model.captions.words(pair.caption))]
        for cam, pair in zip(looked.cam.cpu(), part, strict=True)
    ]


def _map(cam: Tensor, start: int, stop: int) -> Tensor:
    """The patch map of some tokens: of (L, N) to (P,)."""
    pieces = torch.zeros(1, 1, len(cam), dtype=torch.bool)
    pieces[..., start:stop] = True
    return merge_pieces(cam[None], pieces)[0, 0]


def _content(words: Sequence[Word]) -> list[Word]:
    return [
        word for word in words if word.text.lower() not in STOP_WORDS and word.text[0].isalnum()
    ]


def _judge_boxes(model: SoftMask, looked: Looked, part: Sequence[Pair]) -> list[dict[str, float]]:
    grid = model.backbone.image.grid
    return [
        judge_map(_map(cam, *thing.words).view(*grid), thing.boxes, pair.size)
        for cam, pair in zip(looked.cam.cpu(), part, strict=True)
        for thing in named_things(model.captions.words(pair.caption), pair.objects)
    ]


def judge_hidden(model: SoftMask, keys: ImageKeys, part: Sequence[Pair]) -> list[dict[str, float]]:
    """Judge maps by hiding of the things that captions name, as `SoftMask.explain` asks for them.

    Args:
        model: in eval mode.
        keys: of the B pictures.
        part: the B pairs.
    """
    asked: list[tuple[int, str, Tensor]] = []  # row, phrase to the thing's last word, its boxes
    for row, pair in enumerate(part):
        words = model.captions.words(pair.caption)
        said, ends = [word.text for word in words], [word.stop for word in words]
        asked += [
            (row, phrase_to(said, ends.index(thing.words[1])), thing.boxes)
            for thing in named_things(words, pair.objects)
        ]
    if not asked:
        return []
    rows, phrases, boxes = zip(*asked, strict=True)
    ids, mask = model.tokens(phrases)
    maps = occlusion_maps(
        model.backbone.fusion,
        model.matching(),
        model.backbone.encode_text(ids, mask)[0],
        mask,
        keys.pick(torch.tensor(rows, device=ids.device)),
        grid=model.backbone.image.grid,
        around=AROUND,
    )
    judged = zip(maps.cpu(), boxes, rows, strict=True)
    return [judge_map(patches, box, part[row].size) for patches, box, row in judged]


def _ask(
    model: SoftMask,
    looked: Looked,
    part: Sequence[Pair],
    captions: Sequence[str],
    negatives: Mapping[str, Tensor],
    start: int,
) -> dict[str, Tensor]:
    """Match each picture with its text and with others, under the mask of a word drawn by lot."""
    device = looked.cam.device
    maps = []
    for row, pair in enumerate(part):
        word = random.Random(start + row).choice(model.captions.words(pair.caption))
        maps.append(_map(looked.cam[row].cpu(), word.start, word.stop))

    def match(places: Tensor, keep: Tensor) -> Tensor:
        ids, mask = model.captions.encode([captions[place] for place in places.tolist()])
        states, _ = model.backbone.encode_text(ids.to(device), mask.to(device))
        keys = model.backbone.fusion.soften(looked.keys, keep)
        logits: Tensor = model.matching()(model.backbone.match_state(states, mask.to(device), keys))
        return logits.softmax(dim=1)[:, 1].cpu()

    own = torch.arange(start, start + len(part))
    faded = normalise_map(torch.stack(maps)).to(device)
    return ask(match, faded, {"pairs": own, **negatives})


def _matching_error(asked: Mapping[str, Tensor]) -> float:
    pairs, even = asked["plain/pairs"], asked["plain/even"]
    probability = torch.cat([pairs, even])
    truth = torch.cat([torch.ones_like(pairs), torch.zeros_like(even)])
    said = probability > 1 / 2
    confidence = torch.where(said, probability, 1 - probability)
    return calibration_error(confidence, (said == truth.bool()).double())


def _parse(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probe", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--shards", type=Path, required=True, help="folder with test in it")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--hiding", action="store_true", help="map things by hiding too: slower")
    parser.add_argument("--limit", type=int, default=1000, help="pictures at most")
    return parser.parse_args(args)


if __name__ == "__main__":
    main()
