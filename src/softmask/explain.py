"""What a word looks at in a picture, and what matching makes of the picture without it.

B pairs, L words, S chosen words a pair, N = 1 + P image tokens, D width.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from softmask.backbone import Backbone
from softmask.nn import ImageKeys, Matcher
from softmask.saliency import WordMaps, choose_words, normalise_map, soft_mask, word_maps


class Explained(NamedTuple):
    """Maps of chosen words and the probability that each pair matches."""

    maps: Tensor  # (B, S, P) in 0..1
    plain: Tensor  # (B,) probability of the whole picture
    masked: Tensor  # (B, S) probability with what the word saw faded


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
def explain(
    backbone: Backbone,
    matcher: Matcher,
    layer: int,
    *,
    image: Tensor,
    input_ids: Tensor,
    mask: Tensor,
    words: Tensor,
    by_max: bool = False,
) -> Explained:
    """Map chosen words and match the pictures with and without what they saw.

    Args:
        backbone: encodes and fuses.
        matcher: judges.
        layer: fusion layer whose cross-attention is mapped.
        image: (B, 3, H, W), as the image encoder reads it.
        input_ids: (B, L).
        mask: True on words, (B, L).
        words: token positions, (B, S).
        by_max: normalise maps by their largest value instead of min-max.
    """
    mask, words = mask.clone(), words.clone()
    cam, states, keys = look(backbone, matcher, layer, image=image, input_ids=input_ids, mask=mask)
    maps = normalise_map(choose_words(cam, words), by_max)
    plain = _match(matcher, backbone.match_state(states, mask, keys))
    times = words.shape[1]
    soft = backbone.fusion.soften(keys.repeat(times), soft_mask(maps).flatten(0, 1))
    first = backbone.match_state(
        states.repeat_interleave(times, dim=0), mask.repeat_interleave(times, dim=0), soft
    )
    return Explained(maps, plain, _match(matcher, first).view_as(words))


def _match(matcher: Matcher, first: Tensor) -> Tensor:
    probability: Tensor = matcher(first).softmax(dim=1)[:, 1]
    return probability
