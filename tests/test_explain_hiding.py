"""Words mapped by hiding: each asked without the rest of its sentence."""

import pytest
import tiny
import torch
from asked import write_model
from fake import draw

from softmask import SoftMask
from softmask.captions import Tokens
from softmask.errors import InputError
from softmask.explain import hide_words
from softmask.nn import Matcher
from softmask.occlusion import occlusion_maps
from softmask.saliency import normalise_map, soft_mask
from softmask.stop_words import phrase_to

TEXT = "a cat and a small red heart"
ASKED = ["a", "a cat", "and", "a", "a small", "a small red", "a small red heart"]
"""What is asked for each word of it."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return SoftMask.from_pretrained(write_model(tmp_path_factory.mktemp("hiding") / "model"))


@pytest.fixture(scope="module")
def picture():
    return draw("red", "square", "left", "blue", 50)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (TEXT, ASKED),
        ("red", ["red"]),
        ("The dogs", ["The", "The dogs"]),
        ("two , red", ["two", ",", "red"]),
        ("of the", ["of", "the"]),
    ],
)
def test_a_word_is_asked_with_what_belongs_to_it(text, asked):
    words = text.split()
    assert [phrase_to(words, at) for at in range(len(words))] == asked


@torch.no_grad()
def test_maps_are_the_falls_of_each_phrase_and_fade_what_is_red():
    torch.manual_seed(0)
    backbone = tiny.backbone().eval()
    matcher = tiny.shake(Matcher(tiny.WIDTH), by=1.0)
    shape = [16 * n for n in backbone.image.grid]
    image = torch.randint(0, 256, (1, 3, *shape), dtype=torch.uint8)
    text, words = Tokens(*tiny.texts([4])), Tokens(*tiny.texts([2, 3, 1], seed=1))
    found = hide_words(backbone, matcher, image=image, text=text, words=words, around=0)
    tokens, _ = backbone.encode_image(image)
    keys = backbone.project(tokens)
    states, _ = backbone.encode_text(*text)
    for row, (ids, mask) in enumerate(zip(*words, strict=True)):
        alone = ids[mask][None], torch.ones(1, int(mask.sum()), dtype=torch.bool)
        named, _ = backbone.encode_text(*alone)
        falls = occlusion_maps(
            backbone.fusion, matcher, named, alone[1], keys, grid=backbone.image.grid, around=0
        )
        expected = normalise_map(falls.flatten())
        torch.testing.assert_close(found.maps[0, row], expected)
        faded = backbone.project(tokens * soft_mask(expected)[None, :, None])
        first = backbone.fuse(states, text.mask, faded)[:, 0]
        torch.testing.assert_close(found.masked[0, row], matcher(first).softmax(dim=1)[0, 1])
    first = backbone.fuse(states, text.mask, keys)[:, 0]
    torch.testing.assert_close(found.plain, matcher(first).softmax(dim=1)[:, 1])
    assert found.maps.std(dim=-1).min() > 0


def test_a_model_hides_from_the_phrases_of_a_text(model, picture):
    found = model.explain(picture, TEXT, by="hiding")
    assert found.words == TEXT.split()
    expected = hide_words(
        model.backbone,
        model.matching(),
        image=model.pixels([picture]),
        text=model.tokens([TEXT]),
        words=model.tokens(ASKED),
    )
    torch.testing.assert_close(found.maps.flatten(1), expected.maps[0])
    torch.testing.assert_close(found.masked, expected.masked[0])
    assert found.match == pytest.approx(model.explain(picture, TEXT).match)
    assert not torch.allclose(found.maps, model.explain(picture, TEXT).maps)


def test_what_is_no_way_is_refused(model, picture):
    with pytest.raises(InputError, match=r"by is 'seeing': give 'looking' or 'hiding'"):
        model.explain(picture, TEXT, by="seeing")
    with pytest.raises(InputError, match="layer is 1, but by='hiding'"):
        model.explain(picture, TEXT, layer=1, by="hiding")
