"""Sizes of a model that is shared: what `config.json` holds, and the backbone they build."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin

from softmask.backbone import Backbone
from softmask.batch import ENTAILMENT, TRUTH
from softmask.captions import CaptionOptions
from softmask.errors import InputError
from softmask.nn import FusionEncoder, ImageEncoder, PairFusion, TextEncoder
from softmask.nn.image import CLIP_MEAN, CLIP_STD

Channels = tuple[float, ...]
Texts = tuple[str, ...]


@dataclass(frozen=True)
class ImageConfig:
    """As `ImageEncoder`; nothing is left to the named model.

    Args:
        name: timm's, of a plain ViT.
        image_size: side of the square input in pixels.
        patch_size: pixels of a patch.
        width: units of a token.
        depth: layers.
        heads: attention heads.
        mean: subtracted from pixels in 0..1, per channel.
        std: divides them after that.
        reach: rows and columns that a patch sees around itself; None sees all.
    """

    name: str
    image_size: int
    patch_size: int
    width: int
    depth: int
    heads: int
    mean: Channels = CLIP_MEAN
    std: Channels = CLIP_STD
    reach: int | None = None


@dataclass(frozen=True)
class TextConfig:
    """As `TextEncoder`.

    Args:
        layers: BERT layers.
        width: D.
        heads: attention heads.
        hidden: units of the feed-forward layers.
        vocab_size: word pieces.
        max_positions: longest text in tokens.
    """

    layers: int
    width: int
    heads: int
    hidden: int
    vocab_size: int
    max_positions: int


@dataclass(frozen=True)
class FusionConfig:
    """As `FusionEncoder`.

    Args:
        width: D.
        layers: of them.
        heads: attention heads.
        hidden: units of the feed-forward layers.
        image_width: units of an image token.
    """

    width: int
    layers: int
    heads: int
    hidden: int
    image_width: int


@dataclass(frozen=True)
class AnswerConfig:
    """How a model that was fine-tuned for VQA answers.

    Args:
        listed: answers that it chooses from.
        classes: whether each is a class of a head, in this order; else a decoder ranks them.
        ranked: answers that the decoder judges whole, the likeliest by their first word piece.
        double_first: whether the decoder counts the first piece twice, as ALBEF's code does.
    """

    listed: Texts
    classes: bool = False
    ranked: int = 128
    double_first: bool = False


@dataclass(frozen=True)
class ModelConfig:
    """All that `SoftMask` needs beside its weights and its tokenizer.

    Args:
        image: sizes of the ViT, and how pixels are normalised.
        text: sizes of the text encoder.
        fusion: sizes of the fusion encoder, of one image.
        embed_dim: width of the shared space.
        captions: how texts are cut.
        mask_layer: fusion layer whose maps `explain` shows.
        by_max: normalise maps by their largest value instead of min-max.
        words: whether BERT's word head is there.
        matcher: whether the matching head is there, and with it a shared space that was trained.
        answers: how questions are answered, if they are.
        truth: whether statements about two images are judged; each fusion layer is doubled then.
        entailment: whether sentences are judged by what an image tells (SNLI-VE).
    """

    image: ImageConfig
    text: TextConfig
    fusion: FusionConfig
    embed_dim: int
    captions: CaptionOptions = field(default_factory=CaptionOptions)
    mask_layer: int = 0
    by_max: bool = False
    words: bool = True
    matcher: bool = True
    answers: AnswerConfig | None = None
    truth: bool = False
    entailment: bool = False

    @property
    def classes(self) -> Texts:
        """What a head of classes chooses from; none if there is no such head."""
        if self.answers is not None and self.answers.classes:
            return self.answers.listed
        if self.entailment:
            return ENTAILMENT
        return TRUTH if self.truth else ()

    def build(self) -> Backbone:
        """The backbone of these sizes, with fresh weights."""
        image, text, fusion = self.image, self.text, self.fusion
        backbone = Backbone(
            ImageEncoder(
                image.name,
                image.image_size,
                patch_size=image.patch_size,
                width=image.width,
                depth=image.depth,
                heads=image.heads,
                reach=image.reach,
                mean=image.mean,
                std=image.std,
            ),
            TextEncoder(
                text.layers,
                text.width,
                text.heads,
                text.hidden,
                text.vocab_size,
                text.max_positions,
            ),
            FusionEncoder(
                fusion.width,
                fusion.layers,
                fusion.heads,
                fusion.hidden,
                fusion.image_width,
            ),
            self.embed_dim,
        )
        if self.truth:
            backbone.fusion = PairFusion(backbone.fusion)
        return backbone

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON; tasks that the model was not fine-tuned for are not named."""
        found = asdict(self).items()
        return {k: v for k, v in found if k not in UNTUNED or v != UNTUNED[k]}


UNTUNED = {"matcher": True, "answers": None, "truth": False, "entailment": False}
"""Defaults that `to_dict` leaves out: folder and fingerprint of a model that matches name no other
task."""


def read_config(found: object, source: str) -> ModelConfig:
    """The inverse of `to_dict`.

    Args:
        found: what JSON gave.
        source: of it, for the message.

    Raises:
        InputError: something is missing, unknown or of another type.
    """
    parts = {
        "image": ImageConfig,
        "text": TextConfig,
        "fusion": FusionConfig,
        "captions": CaptionOptions,
        "answers": AnswerConfig,
    }
    given = dict(found) if isinstance(found, Mapping) else {}
    for name, part in parts.items():
        if name in given:
            given[name] = _read(part, given[name], source, f"{name}.")
    return _read(ModelConfig, given, source)


Part = TypeVar("Part")


def _read(part: type[Part], given: object, source: str, prefix: str = "") -> Part:
    known = {f.name: f for f in fields(part)}  # type: ignore[arg-type]
    values = dict(given) if isinstance(given, Mapping) else {}
    needed = {n for n, f in known.items() if f.default is f.default_factory is MISSING}
    wrong = sorted({*needed} - {*values}) + sorted({*values} - {*known})
    if not wrong:
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        wrong = [k for k, v in values.items() if not _fits(v, known[k].type)]
    if wrong:
        raise InputError(
            f"{source} does not describe a softmask model: {prefix}{wrong[0]} is missing, unknown "
            f"or of another type. Take the file that `softmask weights export` or `convert` wrote, "
            f"or a newer softmask."
        )
    return part(**values)


def _fits(value: object, kind: object) -> bool:
    if kind is Channels:
        numbers = isinstance(value, tuple) and all(isinstance(v, int | float) for v in value)
        return numbers and len(value) == 3  # type: ignore[arg-type]
    if kind is Texts:
        return isinstance(value, tuple) and bool(value) and all(isinstance(v, str) for v in value)
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if isinstance(kind, UnionType):
        return any(_fits(value, each) for each in get_args(kind))
    # A boolean is an int to Python, not to us.
    return isinstance(kind, type) and type(value) is kind
