"""Maps by hiding, against matching with the tokens cut out."""

import pytest
import tiny
import torch

from softmask.errors import InputError
from softmask.nn import ImageKeys, Matcher
from softmask.occlusion import attention_maps, occlusion_maps
from softmask.tasks import Pointing


@pytest.mark.parametrize("around", [0, 1])
def test_hiding_is_cutting_tokens_out(around):
    torch.manual_seed(0)
    backbone = tiny.backbone().eval()
    matcher = tiny.shake(Matcher(tiny.WIDTH), by=1.0)
    rows, columns = 3, 4
    tokens = tiny.draw(2, 1 + rows * columns, backbone.image.width).float()
    ids, mask = tiny.texts([4, 3])
    with torch.no_grad():
        keys = backbone.project(tokens)
        states, _ = backbone.encode_text(ids, mask)

        def log_odds(places):
            kept = ImageKeys(tuple(kv[:, places] for kv in keys.layers))
            return matcher(backbone.fuse(states, mask, kept)[:, 0]).log_softmax(1) @ torch.tensor(
                [-1.0, 1.0]
            )

        everywhere = list(range(1 + rows * columns))
        expected = torch.zeros(2, rows, columns)
        for row in range(rows):
            for column in range(columns):
                left = [
                    place
                    for place in everywhere
                    if place == 0
                    or abs((place - 1) // columns - row) > around
                    or abs((place - 1) % columns - column) > around
                ]
                expected[:, row, column] = log_odds(everywhere) - log_odds(left)
    found = occlusion_maps(
        *(backbone.fusion, matcher, states, mask, keys), grid=(rows, columns), around=around
    )
    assert (expected < 0).any()
    torch.testing.assert_close(found, expected.clamp_min(0))


def test_attention_is_what_the_last_layer_weighs_the_image_by():
    backbone = tiny.backbone().eval()
    tokens = tiny.draw(2, 13, backbone.image.width).float()
    ids, mask = tiny.texts([4, 3])
    with torch.no_grad():
        keys = backbone.project(tokens)
        states, _ = backbone.encode_text(ids, mask)
        last = backbone.fusion.layers[-1]
        early = backbone.fusion(states, mask, keys, stop=len(keys.layers) - 1)
        read = last.words(early, mask[:, None, None])
        heads = last.image.heads
        query = last.image.query(read).unflatten(-1, (heads, -1)).transpose(1, 2)
        key = keys.layers[-1][..., : keys.layers[-1].shape[-1] // 2]
        key = key.unflatten(-1, (heads, -1)).transpose(1, 2)
        weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(dim=-1).mean(dim=1)
    found = attention_maps(backbone.fusion, states, mask, keys)
    torch.testing.assert_close(found, weights)
    torch.testing.assert_close(found.sum(dim=-1), torch.ones(2, 4))


def test_attention_is_added_to_hiding_alone():
    with pytest.raises(InputError, match=r"attended.*hidden"):
        Pointing(attended=True)


def test_a_negative_neighbourhood_is_refused():
    with pytest.raises(InputError, match=r"hidden.*-1"):
        Pointing(hidden=-1)
