"""Maps of chosen words, matching without what they saw, and their drawing."""

import numpy as np
import pytest
import tiny
import torch
from torch.nn import functional

from softmask.explain import explain_words
from softmask.nn import Matcher
from softmask.panels import SIDE, Row, panel
from softmask.saliency import soft_mask

LAYER = 0


@pytest.fixture(scope="module")
def parts():
    torch.manual_seed(0)
    backbone = tiny.backbone().eval()
    matcher = Matcher(tiny.WIDTH)
    image = torch.randint(0, 256, (2, 3, *(16 * n for n in backbone.image.grid)), dtype=torch.uint8)
    ids = torch.randint(5, tiny.VOCAB, (2, 4))
    mask = torch.tensor([[True] * 4, [True, True, True, False]])
    pieces = functional.one_hot(torch.tensor([[1, 3], [2, 1]]), 4).bool()
    return backbone, matcher, {"image": image, "input_ids": ids, "mask": mask, "pieces": pieces}


def test_masked_match_is_that_of_faded_features(parts):
    backbone, matcher, given = parts
    found = explain_words(backbone, matcher, LAYER, **given)
    assert found.maps.min() >= 0
    assert found.maps.max() == 1
    with torch.no_grad():
        tokens, _ = backbone.encode_image(given["image"])
        states, _ = backbone.encode_text(given["input_ids"], given["mask"])
        for word in range(2):
            faded = tokens * soft_mask(found.maps[:, word])[..., None]
            first = backbone.fuse(states, given["mask"], backbone.project(faded))[:, 0]
            expected = matcher(first).softmax(dim=1)[:, 1]
            torch.testing.assert_close(found.masked[:, word], expected)
    assert not torch.allclose(found.masked, found.plain[:, None])


def test_maps_work_in_inference_mode(parts):
    backbone, matcher, given = parts
    plain = explain_words(backbone, matcher, LAYER, **given)
    with torch.inference_mode():
        inside = explain_words(backbone, matcher, LAYER, **{k: v.clone() for k, v in given.items()})
    for a, b in zip(plain, inside, strict=True):
        torch.testing.assert_close(a, b)


def test_panel_glows_and_fades_where_the_map_is():
    image = np.full((8, 8, 3), 200, dtype=np.uint8)
    patches = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    drawn = panel([Row(image, "a", "red", "thing", patches, 0.9, 0.4)]).astype(int)
    top, left = 34, [12 + i * (SIDE + 12) for i in range(3)]
    at = [drawn[top + 8, x + 8] for x in left]  # inside the marked patch
    away = [drawn[top + SIDE - 8, x + SIDE - 8] for x in left]
    assert (at[0] == 200).all()
    assert at[1][0] - at[1][2] > 50  # warm
    assert abs(at[2] - 128).max() < 20  # gray
    assert (away[2] == 200).all()
    assert abs(away[1][0] - away[1][2]) < 5
