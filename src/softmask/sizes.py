"""Sizes of a model, read from the names and shapes of its weights.

How many heads share a width cannot be read from weights.
"""

from collections.abc import Iterable, Mapping
from math import isqrt
from typing import NamedTuple

from torch import Tensor

from softmask.captions import CaptionOptions
from softmask.config import FusionConfig, ImageConfig, ModelConfig, TextConfig
from softmask.errors import InputError
from softmask.nn.image import CLIP_MEAN, CLIP_STD

IMAGE = "backbone.image.vit."
TEXT = "backbone.text.bert."
FUSION = "backbone.fusion.layers."
HEAD_WIDTH = 64
"""Of BERT's and of DeiT's heads, whatever their width."""
PLAIN_VIT = "deit_base_patch16_224.fb_in1k"
"""Names the kind of ViT; its sizes are given beside it."""


class ImageSizes(NamedTuple):
    """Of a ViT."""

    width: int
    depth: int
    patch_size: int
    image_size: int


class TextSizes(NamedTuple):
    """Of a text encoder."""

    width: int
    layers: int
    hidden: int
    vocab_size: int
    max_positions: int


class FusionSizes(NamedTuple):
    """Of a fusion encoder."""

    width: int
    layers: int
    hidden: int
    image_width: int


class Sizes(NamedTuple):
    """Of the parts that are there."""

    image: ImageSizes | None
    text: TextSizes | None
    fusion: FusionSizes | None
    embed_dim: int | None
    queue: int | None


class Heads(NamedTuple):
    """Attention heads of each part."""

    image: int
    text: int
    fusion: int


class Named(NamedTuple):
    """What weights do not say of a model."""

    heads: Heads
    name: str = PLAIN_VIT
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    reach: int | None = None
    captions: CaptionOptions = CaptionOptions()
    mask_layer: int | None = None
    by_max: bool = False


def read_sizes(state: Mapping[str, Tensor]) -> Sizes:
    """Read the sizes of a state dict of our names; a part whose tensors are missing is None."""
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    return Sizes(
        _image(shapes),
        _text(shapes),
        read_fusion(state),
        shapes.get("backbone.image_projection.weight", (None,))[0],
        shapes.get("queue.image", (None,))[0],
    )


def read_fusion(state: Mapping[str, Tensor], prefix: str = FUSION) -> FusionSizes | None:
    """Read the sizes of fusion layers.

    Args:
        state: by our names.
        prefix: of the layers; an answer decoder has some, too.
    """
    up, image = (state.get(f"{prefix}0.{part}.weight") for part in ("feed.up", "image.kv"))
    if up is None:
        return None
    # A BERT fills all but the cross-attention.
    seen = up.shape[1] if image is None else image.shape[1]
    return FusionSizes(up.shape[1], _count(state, prefix), up.shape[0], seen)


def usual_heads(sizes: Sizes, image: int | None = None, text: int | None = None) -> Heads:
    """Heads of 64 units, as BERT's and DeiT's are, where they are not given.

    Args:
        sizes: of all parts.
        image: of the ViT, if known.
        text: of text encoder and fusion encoder, if known.

    Raises:
        InputError: a width that is no multiple of 64, and its heads are not known.
    """
    assert sizes.image is not None
    assert sizes.text is not None
    width, own = sizes.image.width, sizes.text.width
    return Heads(
        image or _by_width("image", width),
        text or _by_width("text", own),
        text or _by_width("text", own),
    )


def config_of(sizes: Sizes, named: Named, *, words: bool) -> ModelConfig:
    """Join what weights say with what they do not.

    Raises:
        InputError: one of the parts is not there.
    """
    image, text, fusion, embed_dim = sizes.image, sizes.text, sizes.fusion, sizes.embed_dim
    if image is None or text is None or fusion is None or embed_dim is None:
        lacking = [name for name, part in sizes._asdict().items() if part is None]
        raise InputError(
            f"These weights are no whole model: they have no {lacking[0]} of a known form."
        )
    heads = named.heads
    layer = max(0, min(2, fusion.layers - 2))  # ALBEF's block 8 of 12, where there is one
    return ModelConfig(
        ImageConfig(
            named.name,
            image.image_size,
            image.patch_size,
            image.width,
            image.depth,
            heads.image,
            named.mean,
            named.std,
            named.reach,
        ),
        TextConfig(
            text.layers, text.width, heads.text, text.hidden, text.vocab_size, text.max_positions
        ),
        FusionConfig(fusion.width, fusion.layers, heads.fusion, fusion.hidden, fusion.image_width),
        embed_dim,
        named.captions,
        layer if named.mask_layer is None else named.mask_layer,
        named.by_max,
        words,
    )


Shapes = Mapping[str, tuple[int, ...]]


def _image(shapes: Shapes) -> ImageSizes | None:
    patch, places = f"{IMAGE}patch_embed.proj.weight", f"{IMAGE}pos_embed"
    if patch not in shapes or places not in shapes:
        return None
    width, _, side, _ = shapes[patch]
    grid = isqrt(max(shapes[places][1] - 1, 0))
    return ImageSizes(width, _count(shapes, f"{IMAGE}blocks."), side, side * grid)


def _text(shapes: Shapes) -> TextSizes | None:
    embeddings = f"{TEXT}embeddings."
    table = shapes.get(f"{embeddings}word_embeddings.weight")
    places = shapes.get(f"{embeddings}position_embeddings.weight")
    hidden = shapes.get(f"{TEXT}encoder.layer.0.intermediate.dense.weight")
    if table is None or places is None or hidden is None:
        return None
    layers = _count(shapes, f"{TEXT}encoder.layer.")
    return TextSizes(table[1], layers, hidden[0], table[0], places[0])


def _count(names: Iterable[str], prefix: str) -> int:
    """Layers whose names begin so, numbered from 0."""
    found = {name.removeprefix(prefix).split(".")[0] for name in names if name.startswith(prefix)}
    return len(found)


def _by_width(part: str, width: int) -> int:
    if width % HEAD_WIDTH:
        raise InputError(
            f"The {part} encoder is {width} units wide, and weights do not say how many heads "
            f"share them: give --{part}_heads."
        )
    return width // HEAD_WIDTH
