"""What must be in weights of given sizes: the modules without their values, to compare with."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from softmask.kinds import Kind
from softmask.load_report import LoadReport
from softmask.nn import (
    AnswerDecoder,
    ClassHead,
    FusionEncoder,
    ImageEncoder,
    Matcher,
    Projection,
    TextEncoder,
    WordHead,
)
from softmask.renames import TWIN
from softmask.sizes import PLAIN_VIT, Sizes, read_fusion, read_sizes
from softmask.weights import QUEUE, compare_states

PARTS = ("image", "text", "fusion")
KNOWN = ("backbone.", "matcher.", "words.")
TWINLESS = ("matcher.", "assigner.")


class Skeleton(nn.Module):
    """The parts that sizes tell of, on no device; heads change no shape and are one here.

    Args:
        sizes: of the parts.
        matcher: whether there is a matching head, and with it the shared space.
        words: whether there is a word head.
    """

    def __init__(self, sizes: Sizes, *, matcher: bool, words: bool) -> None:
        super().__init__()
        self.backbone = nn.Module()
        image, text, fusion = sizes.image, sizes.text, sizes.fusion
        with torch.device("meta"):
            if image:
                self.backbone.image = ImageEncoder(
                    PLAIN_VIT,
                    image.image_size,
                    patch_size=image.patch_size,
                    width=image.width,
                    depth=image.depth,
                    heads=1,
                )
            if text:
                self.backbone.text = TextEncoder(
                    text.layers, text.width, 1, text.hidden, text.vocab_size, text.max_positions
                )
            if fusion:
                self.backbone.fusion = FusionEncoder(
                    fusion.width, fusion.layers, 1, fusion.hidden, fusion.image_width
                )
            if text and words:
                self.words = WordHead(text.width, text.vocab_size)
            if text and image and (matcher or sizes.embed_dim):
                self.matcher = Matcher(text.width) if matcher else nn.Identity()
                self.backbone.image_projection = Projection(image.width, sizes.embed_dim or 1)
                self.backbone.text_projection = Projection(text.width, sizes.embed_dim or 1)
                self.backbone.temperature = nn.Parameter(torch.empty(()))


def check(kind: Kind, state: Mapping[str, Tensor], source: str) -> LoadReport:
    """Compare weights, and their twins, with what weights of their sizes hold.

    Heads of users' own tasks are taken as they are; their task compares them when it loads them.

    Args:
        kind: of the file.
        state: its tensors by our names.
        source: of both, for the report.
    """
    own = {k: v for k, v in state.items() if not k.startswith(TWIN)}
    sizes = read_sizes(own)
    skeleton = Skeleton(sizes, matcher="matcher.weight" in own, words="words.bias" in own)
    expected = skeleton.state_dict() | _heads(own, sizes)
    if len(own) < len(state):
        twins = {TWIN + k: v for k, v in expected.items() if not k.startswith(TWINLESS)}
        expected |= twins
    found = compare_states(expected, state, source)
    missing = found.missing
    if kind.is_whole:
        parts = zip(PARTS, sizes, strict=False)
        missing = [f"backbone.{name}" for name, part in parts if part is None] + missing
    else:  # a BERT has never seen an image
        missing = [k for k in missing if ".fusion." not in k or ".image." not in k]
    unexpected = [k for k in found.unexpected if not _is_own(k, kind)]
    heads = [k for k in found.unexpected if k not in unexpected]
    return replace(
        found, matched=found.matched + heads, missing=missing, unexpected=unexpected, note=kind.note
    )


def _heads(own: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
    """What heads of tasks hold, of those of which there is a part."""
    text, whole = sizes.text, nn.Module()
    if text is None:
        return {}
    decoder, last = read_fusion(own, "decoder.fusion.layers."), own.get("head.2.weight")
    with torch.device("meta"):
        if decoder:
            places = own.get("decoder.embeddings.position_embeddings.weight")
            whole.decoder = AnswerDecoder(
                text.vocab_size,
                text.width,
                decoder.layers,
                1,
                decoder.hidden,
                text.max_positions if places is None else len(places),
                seen_width=decoder.image_width,
            )
        if last is not None:
            whole.head = ClassHead(text.width, len(last))
        if any(name.startswith("assigner.") for name in own):
            whole.assigner = nn.Linear(text.width, 3)
    return whole.state_dict()


def _is_own(name: str, kind: Kind) -> bool:
    """Whether it is a queue's, or of a task that somebody made of ours."""
    made = kind.is_ours and not name.removeprefix(TWIN).startswith(KNOWN)
    return made or name.startswith(QUEUE)
