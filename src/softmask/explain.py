"""What a word looks at in a picture, and what matching makes of the picture without it.

B pairs, L words, S chosen words a pair, N = 1 + P image tokens, D width.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from softmask.backbone import Backbone
from softmask.errors import InputError
from softmask.nn import ImageKeys, Matcher
from softmask.occlusion import occlusion_maps
from softmask.saliency import WordMaps, merge_pieces, normalise_map, soft_mask, word_maps

By = Literal["looking", "hiding"]
"""How maps are made: where words look in their sentence, or where matching finds what they name."""
AROUND = 1
"""Rows and columns around a patch that are hidden with it: one patch tells too little."""


class Explained(NamedTuple):
    """Maps of chosen words and the probability that each pair matches."""

    maps: Tensor  # (B, S, P) in 0..1
    plain: Tensor  # (B,) probability of the whole picture
    masked: Tensor  # (B, S) probability with what the word saw faded


class Explanation(NamedTuple):
    """Where each word of one text looks in one picture."""

    words: list[str]
    maps: Tensor  # (words, rows, columns) of patches, in 0..1
    match: float  # probability that the pair matches
    masked: Tensor  # (words,) the same with what the word saw faded

    @property
    def sentence(self) -> Tensor:
        """Where the whole text looks: the mean of its words' maps, brought to 0..1 again."""
        mean = self.maps.mean(dim=0)
        return normalise_map(mean.flatten()).view_as(mean)


def check_layer(layer: int, layers: int) -> None:
    """Refuse a layer whose maps do not reach the matching score.

    Args:
        layer: fusion layer to map, from 0.
        layers: of the fusion encoder.

    Raises:
        InputError: there is no such layer, or it is the last.
    """
    if layer not in range(layers - 1):  # nor is 0.5 a layer
        raise InputError(
            f"Fusion layer {layer} cannot be mapped: this model has {layers}, the last of which "
            f"gives words no map. Give layer=0..{max(layers - 2, 0)}."
        )


def match_maps(
    backbone: Backbone, matcher: Matcher, early: Tensor, mask: Tensor, keys: ImageKeys, layer: int
) -> WordMaps:
    """Grad-CAM of the matching logit for each word, from the mapped layer's input.

    Args:
        backbone: holds the fusion encoder.
        matcher: judges.
        early: input of fusion layer `layer`, of matched pairs, (B, L, D).
        mask: True on words, (B, L).
        keys: of the B images.
        layer: whose cross-attention is mapped.
    """
    # The map is differentiated even where all that made it is frozen.
    early, keys = early.detach().requires_grad_(), keys.detach()

    def tail() -> tuple[Tensor, Tensor]:
        first, attention = backbone.fusion.first_token_with_map(early, mask, keys, layer)
        return matcher(first)[:, 1], attention

    return word_maps(tail)


class Looked(NamedTuple):
    """What matching looks at in pairs, and what it was made of."""

    cam: Tensor  # (B, L, N), of each word
    states: Tensor  # (B, L, D), of the texts alone
    keys: ImageKeys  # of the B images


@torch.inference_mode(False)
@torch.no_grad()
def look(
    backbone: Backbone,
    matcher: Matcher,
    layer: int,
    *,
    image: Tensor,
    input_ids: Tensor,
    mask: Tensor,
) -> Looked:
    """Map every word of pairs, whether gradients are on or off.

    Args:
        backbone: encodes and fuses.
        matcher: judges.
        layer: fusion layer whose cross-attention is mapped.
        image: (B, 3, H, W), as the image encoder reads it.
        input_ids: (B, L).
        mask: True on words, (B, L).
    """
    # Cloned: tensors made in inference mode cannot enter the graph of the maps.
    image, input_ids, mask = image.clone(), input_ids.clone(), mask.clone()
    tokens, _ = backbone.encode_image(image)
    states, _ = backbone.encode_text(input_ids, mask)
    keys = backbone.project(tokens)
    early = backbone.fusion(states, mask, keys, stop=layer)
    return Looked(match_maps(backbone, matcher, early, mask, keys, layer).cam, states, keys)


@torch.inference_mode(False)
@torch.no_grad()
def explain_words(
    backbone: Backbone,
    matcher: Matcher,
    layer: int,
    *,
    image: Tensor,
    input_ids: Tensor,
    mask: Tensor,
    pieces: Tensor,
    by_max: bool = False,
) -> Explained:
    """Map chosen words and match the pictures with and without what they saw.

    Maps of a word's several tokens are averaged, then normalised.

    Args:
        backbone: encodes and fuses.
        matcher: judges.
        layer: fusion layer whose cross-attention is mapped.
        image: (B, 3, H, W), as the image encoder reads it.
        input_ids: (B, L).
        mask: True on words, (B, L).
        pieces: True on the tokens of each chosen word, one at least, (B, S, L).
        by_max: normalise maps by their largest value instead of min-max.
    """
    mask, pieces = mask.clone(), pieces.clone()
    cam, states, keys = look(backbone, matcher, layer, image=image, input_ids=input_ids, mask=mask)
    maps = normalise_map(merge_pieces(cam, pieces), by_max)
    return _faded(backbone, matcher, maps, states, mask, keys)


@torch.no_grad()
def hide_words(
    backbone: Backbone,
    matcher: Matcher,
    *,
    image: Tensor,
    text: tuple[Tensor, Tensor],
    words: tuple[Tensor, Tensor],
    around: int = AROUND,
    by_max: bool = False,
) -> Explained:
    """Map words by what each loses, asked alone, when a part of one picture is hidden from it.

    Unlike `explain_words`, which says where a word looks in its sentence, this says where the model
    finds what the word names: no other thing of the sentence can answer for it. It costs a pass of
    the fusion encoder for each word and patch; see `occlusion_maps`.

    Args:
        backbone: encodes and fuses.
        matcher: judges.
        image: (1, 3, H, W), as the image encoder reads it.
        text: ids and mask of the sentence, (1, L).
        words: those of what is asked for each of S words, a text of its own, (S, L').
        around: rows and columns around a patch that are hidden with it.
        by_max: normalise maps by their largest value instead of min-max.
    """
    keys = backbone.project(backbone.encode_image(image)[0])
    named, _ = backbone.encode_text(*words)
    falls = occlusion_maps(
        backbone.fusion,
        matcher,
        named,
        words[1],
        keys.repeat(len(named)),
        grid=backbone.image.grid,
        around=around,
    )
    states, _ = backbone.encode_text(*text)
    maps = normalise_map(falls.flatten(1), by_max)[None]
    return _faded(backbone, matcher, maps, states, text[1], keys)


def _faded(
    backbone: Backbone,
    matcher: Matcher,
    maps: Tensor,
    states: Tensor,
    mask: Tensor,
    keys: ImageKeys,
) -> Explained:
    """Match B pictures as they are, and with what each of S maps, (B, S, P), saw faded."""
    plain = _match(matcher, backbone.match_state(states, mask, keys))
    times = maps.shape[1]
    soft = backbone.fusion.soften(keys.repeat(times), soft_mask(maps).flatten(0, 1))
    first = backbone.match_state(
        states.repeat_interleave(times, dim=0), mask.repeat_interleave(times, dim=0), soft
    )
    return Explained(maps, plain, _match(matcher, first).view(-1, times))


def _match(matcher: Matcher, first: Tensor) -> Tensor:
    probability: Tensor = matcher(first).softmax(dim=1)[:, 1]
    return probability
