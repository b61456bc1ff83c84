"""Where each word of one text is in one picture, asked of a shared model in either way."""

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor

from softmask.captions import Word
from softmask.errors import InputError
from softmask.explain import By, Explanation, check_layer, explain_words, hide_words
from softmask.network import Network
from softmask.pictures import Picture
from softmask.stop_words import phrase_to


def explained(
    network: Network, image: Picture, text: str, layer: int | None, by: By
) -> Explanation:
    """See `SoftMask.explain`."""
    check_way(by, layer)
    backbone, matcher, by_max = network.backbone, network.matching(), network.config.by_max
    words, tokens = network.captions.words(text), network.tokens([text])
    pixels = network.pixels([image])
    if by == "hiding":
        said = [word.text for word in words]
        alone = network.tokens([phrase_to(said, at) for at in range(len(said))])
        found = hide_words(backbone, matcher, image=pixels, text=tokens, words=alone, by_max=by_max)
    else:
        layer = network.config.mask_layer if layer is None else layer
        check_layer(layer, network.config.fusion.layers)
        ids, mask = tokens
        pieces = pieces_of(words, ids.shape[1])[None].to(ids.device)
        found = explain_words(
            *(backbone, matcher, layer),
            image=pixels,
            input_ids=ids,
            mask=mask,
            pieces=pieces,
            by_max=by_max,
        )
    maps = torch.unflatten(found.maps[0], 1, backbone.image.grid)
    return Explanation([w.text for w in words], maps, float(found.plain[0]), found.masked[0])


def pieces_of(words: Sequence[Word], length: int) -> Tensor:
    """True on the tokens of each word, (S, L)."""
    places = torch.arange(length)
    return torch.stack([(places >= word.start) & (places < word.stop) for word in words])


def check_way(by: str, layer: int | None) -> None:
    """Refuse what is no way to map words, and a layer for the way that has none.

    Raises:
        InputError: as said.
    """
    if by not in get_args(By):
        raise InputError(f"by is {by!r}: give {' or '.join(map(repr, get_args(By)))}.")
    if by == "hiding" and layer is not None:
        raise InputError(
            f"layer is {layer}, but by='hiding' maps by the match itself and no layer: leave the "
            f"layer out, or give by='looking'."
        )
