"""The image encoder: pixels to tokens, positions at any size, and the names it refuses."""

import time

import huggingface_hub.constants as hub
import pytest
import timm
import tiny
import torch
from safetensors.torch import save_file

from softmask.errors import InputError
from softmask.nn import ImageEncoder
from softmask.nn.image import CLIP_MEAN, CLIP_STD, within_reach

SMALL = {"width": 12, "depth": 1, "heads": 2}
TINY = "vit_tiny_patch16_224"


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache of the hub, and no way out."""
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def encoder(**given):
    return tiny.shake(ImageEncoder(TINY, **{"image_size": 32, **SMALL, **given}))


def test_tokens_are_the_class_token_then_patches_after_the_last_norm():
    own = encoder(image_size=48)
    tokens = own(tiny.draw(2, 3, 48, 48).float())
    assert tokens.shape == (2, 1 + 9, 12)
    assert own.grid == (3, 3)
    assert own.width == 12
    plain = (tokens - own.vit.norm.bias) / own.vit.norm.weight
    torch.testing.assert_close(plain.mean(dim=-1), torch.zeros(2, 10), rtol=0, atol=1e-4)
    with torch.no_grad():
        before = own(torch.zeros(1, 3, 48, 48))
        own.vit.cls_token[..., 0] += 5  # not all units: a norm takes their mean away
        moved = (own(torch.zeros(1, 3, 48, 48)) - before).abs().amax(dim=-1)[0]
    assert moved.argmax() == 0


def test_bytes_are_normalised_as_by_hand():
    own, pixels = encoder(), tiny.pixels(2)
    by_hand = torch.empty(2, 3, 32, 32)
    for channel in range(3):
        level = pixels[:, channel].double() / 255
        by_hand[:, channel] = ((level - CLIP_MEAN[channel]) / CLIP_STD[channel]).float()
    torch.testing.assert_close(own(pixels), own(by_hand))
    assert not torch.allclose(own(pixels), own(pixels.float()))


def test_mean_and_deviation_can_be_others():
    pixels = tiny.pixels(1)
    own = encoder(mean=(0.5, 0.5, 0.5), std=(0.25, 0.5, 1.0))
    scale = torch.tensor([0.25, 0.5, 1.0]).view(3, 1, 1)
    torch.testing.assert_close(own(pixels), own((pixels / 255 - 0.5) / scale))
    assert set(own.state_dict()) == {f"vit.{name}" for name in own.vit.state_dict()}


@pytest.mark.parametrize(("size", "patch", "side"), [(32, None, 2), (64, None, 4), (64, 32, 2)])
def test_positions_have_the_size_of_the_image(size, patch, side):
    own = encoder(image_size=size, patch_size=patch)
    assert own.grid == (side, side)
    assert own.vit.pos_embed.shape == (1, 1 + side * side, 12)
    assert own(torch.zeros(1, 3, size, size)).shape == (1, 1 + side * side, 12)


@pytest.mark.parametrize(("size", "say"), [(40, "32 or 48"), (24, "16 or 32")])
def test_pictures_whose_rim_no_patch_sees_are_refused(size, say):
    own = encoder(image_size=size)  # whatever was trained so can be opened
    with pytest.raises(InputError, match=rf"image_size is {size}, .*patches of 16 .*{say}\."):
        own.check_rim()
    encoder(image_size=32).check_rim()


def test_fresh_positions_are_waves_that_tell_rows_and_columns():
    own = ImageEncoder(TINY, image_size=128, width=96, depth=1, heads=2)
    positions = own.vit.pos_embed[0]
    assert not positions[0].any()  # the class token is nowhere
    grid = positions[1:].unflatten(0, (8, 8))
    assert grid.square().mean().sqrt().item() == pytest.approx(0.5**0.5, abs=1e-4)
    rows, columns = grid.unflatten(-1, (2, 2, 24)).transpose(2, 3).flatten(3).unbind(dim=2)
    assert (rows == rows[:, :1]).all()
    assert (columns == columns[:1]).all()
    for axis in (rows[:, 0], columns[0]):
        apart = torch.cdist(axis, axis)
        assert (apart[0].diff() > 0).all()  # the farther, the less alike
        torch.testing.assert_close(apart.diagonal(1), apart[0, 1].expand(7))  # the same everywhere
    waves = rows[:, 0].square().unflatten(1, (2, 24)).sum(dim=1)
    torch.testing.assert_close(waves, torch.ones(8, 24))  # sine and cosine of one phase


def test_fresh_positions_fill_a_width_that_four_does_not_divide_but_for_the_rest():
    positions = ImageEncoder(TINY, image_size=64, width=6, depth=1, heads=2).vit.pos_embed[0, 1:]
    assert positions[:, :4].any()
    assert not positions[:, 4:].any()


def test_pretrained_positions_are_resampled(cache):
    vit = timm.create_model(TINY, num_classes=0)
    ramp = torch.arange(14.0).repeat(14)  # grows from left to right
    with torch.no_grad():
        vit.pos_embed[:, 1:] = ramp[:, None]
        vit.pos_embed[:, 0] = -7
    cfg = timm.get_pretrained_cfg(TINY)
    folder = cache / f"models--{cfg.hf_hub_id.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    save_file(vit.state_dict(), snapshot / "model.safetensors")
    own = ImageEncoder(TINY, image_size=64, pretrained=True)
    rows = own.vit.pos_embed[0, 1:, 0].view(4, 4)
    assert torch.equal(own.vit.pos_embed[0, 0], torch.full((192,), -7.0))
    assert (rows.diff(dim=1) > 2).all()
    assert rows.diff(dim=0).abs().max() < 1e-4
    assert rows.mean().item() == pytest.approx(6.5, abs=1e-3)
    assert torch.equal(own.vit.blocks[3].mlp.fc1.weight, vit.blocks[3].mlp.fc1.weight)


@pytest.mark.usefixtures("cache")
def test_weights_that_cannot_be_had_are_named_at_once():
    start = time.monotonic()
    with pytest.raises(InputError) as refusal:
        ImageEncoder(TINY, image_size=32, pretrained=True)
    assert time.monotonic() - start < 10
    for words in (f"weights of '{TINY}'", "HF_HOME", "pretrained=false"):
        assert words in str(refusal.value)


@pytest.mark.parametrize(
    "name",
    [
        "no_such_model",
        "",
        "resnet18",  # no positions to size
        "vit_base_patch16_siglip_224",  # no class token
        "flexivit_small",  # no position for it
        "deit_tiny_distilled_patch16_224",  # two of them
        "swin_tiny_patch4_window7_224",
    ],
)
def test_name_that_is_no_plain_vit_is_refused_by_name(name):
    with pytest.raises(InputError, match=f"'{name}'"):
        ImageEncoder(name, image_size=224)


def test_misspelt_name_is_answered_with_names_near_it():
    with pytest.raises(InputError, match=TINY):
        ImageEncoder("vit_tiny_patch16_225")


def test_sizes_that_make_no_vit_are_refused():
    with pytest.raises(InputError, match=TINY):
        ImageEncoder(TINY, image_size=32, width=10, heads=4)


def test_reach_is_counted_in_rows_and_columns():
    near = within_reach((3, 4), 1)
    assert near.shape == (13, 13)
    assert near[0].all()  # the class token sees all
    assert not near[1:, 0].any()  # and no patch sees it
    for one in range(12):
        for other in range(12):
            rows, columns = abs(one // 4 - other // 4), abs(one % 4 - other % 4)
            assert near[1 + one, 1 + other] == (max(rows, columns) <= 1)


@pytest.mark.parametrize(("reach", "depth"), [(0, 2), (1, 1), (1, 2)])
def test_a_patch_is_blind_beyond_its_reach_a_layer(reach, depth):
    own = encoder(image_size=16 * 5, reach=reach, depth=depth)
    pixels = tiny.draw(1, 3, 80, 80).float()
    other = pixels.clone()
    other[:, :, :16, :16] += 1  # the first patch
    moved = (own(other) - own(pixels)).abs().amax(dim=-1)[0] > 1e-6
    assert moved[0]
    far = reach * depth
    assert (
        moved[1:]
        .view(5, 5)
        .equal(torch.tensor([[max(row, column) <= far for column in range(5)] for row in range(5)]))
    )


def test_a_reach_over_all_differs_only_in_that_patches_do_not_see_the_class_token():
    plain, wide = encoder(depth=1), encoder(depth=1, reach=9)
    wide.load_state_dict(plain.state_dict())
    pixels = tiny.pixels(1)
    torch.testing.assert_close(plain(pixels)[:, 0], wide(pixels)[:, 0])
    assert not torch.allclose(plain(pixels)[:, 1:], wide(pixels)[:, 1:])


def test_a_negative_reach_is_refused():
    with pytest.raises(InputError, match=r"reach is -1.*0 at least"):
        encoder(reach=-1)


@pytest.mark.parametrize(("name", "given"), [("mean", [0.5]), ("std", [1.0] * 4), ("std", [])])
def test_other_than_three_channels_are_refused(name, given):
    with pytest.raises(InputError, match=rf"image\.{name} is \[.*three numbers"):
        encoder(**{name: given})


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("mean", [123.7, 116.3, 103.5], r"\[123.7, 116.3, 103.5\]: .*from 0 to 1.*by 255"),
        ("mean", [0.5, 0.5, -0.1], "from 0 to 1"),
        ("mean", [0.5, 0.5, float("nan")], "from 0 to 1"),
        ("std", [0.0, 0.0, 0.0], r"\[0, 0, 0\]: .*above 0"),
        ("std", [0.2, -0.2, 0.2], "above 0"),
    ],
)
def test_channels_that_no_training_should_see_are_refused_there(name, given, says):
    with pytest.raises(InputError, match=rf"image\.{name} is .*{says}"):
        encoder(**{name: given}).check_channels()
    encoder(mean=(0, 0.5, 1), std=(0.01, 1, 2)).check_channels()
