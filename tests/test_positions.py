"""Positions of another resolution: against timm's resampler, plain interpolation and by hand."""

import pytest
import tiny
import torch
import training
from timm.layers import resample_abs_pos_embed

from softmask.backbone import Backbone
from softmask.nn import ImageEncoder
from softmask.positions import fit_positions, resample_positions
from softmask.tasks import Contrast, PretrainTask, SoftMasking
from softmask.weights import fill, load_weights


def positions(side, width=6, seed=0, dtype=torch.float32):
    return tiny.draw(1, 1 + side * side, width, seed=seed, dtype=dtype)


@pytest.mark.parametrize(("old", "new"), [(16, 24), (24, 16), (14, 16), (2, 5)])
def test_resampling_is_timms_without_antialiasing(old, new):
    given = positions(old)
    ours = resample_positions(given, new)
    theirs = resample_abs_pos_embed(given, [new, new], antialias=False)
    assert ours.shape == (1, 1 + new * new, 6)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    assert torch.equal(ours[:, 0], given[:, 0])


def cubic(distance):
    """The kernel of bicubic interpolation with a = -0.75."""
    x, a = abs(distance), -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def test_resampling_is_bicubic_by_hand():
    given = positions(4, width=1)
    grid = given[0, 1:, 0].view(4, 4).double()
    ours = resample_positions(given, 6)[0, 1:, 0].view(6, 6)
    weights = torch.zeros(6, 4, dtype=torch.float64)
    for place in range(6):
        centre = (place + 0.5) * 4 / 6 - 0.5  # corners not aligned
        for near in range(int(centre // 1) - 1, int(centre // 1) + 3):
            weights[place, min(max(near, 0), 3)] += cubic(centre - near)
    torch.testing.assert_close(ours.double(), weights @ grid @ weights.T, atol=1e-6, rtol=0)


def test_equal_size_changes_nothing_and_smooth_positions_stay_smooth():
    given = positions(5)
    assert resample_positions(given, 5) is given
    flat = torch.full((1, 17, 3), 2.5)
    torch.testing.assert_close(resample_positions(flat, 9), torch.full((1, 82, 3), 2.5))


def test_type_is_kept():
    assert resample_positions(positions(4).half(), 6).dtype == torch.float16


def test_text_positions_are_cut_or_fill_the_first_rows():
    name = "momentum.twin.backbone.text.bert.embeddings.position_embeddings.weight"
    short, long = tiny.draw(4, 3, seed=1), tiny.draw(9, 3, seed=2)
    assert torch.equal(fit_positions({name: short}, {name: long})[name], long[:4])
    grown = fit_positions({name: long}, {name: short})[name]
    assert torch.equal(grown, torch.cat([short, long[4:]]))
    assert fit_positions({name: long}, {name: long + 1}) == {}
    assert fit_positions({name: long}, {name: tiny.draw(4, 5)}) == {}  # another width


@pytest.mark.parametrize("shape", [(1, 16, 6), (1, 17, 5), (17, 6), (1, 1, 6)])
def test_what_is_no_grid_of_this_width_is_left_to_the_report(shape):
    name = "backbone.image.vit.pos_embed"
    assert fit_positions({name: positions(3)}, {name: torch.zeros(shape)}) == {}


def larger():
    """The fake task's backbone at 64 pixels instead of 32."""
    torch.manual_seed(1)
    small = training.backbone()
    image = ImageEncoder(
        "deit_tiny_patch16_224.fb_in1k", image_size=64, patch_size=8, width=16, depth=1, heads=2
    )
    return Backbone(image, small.text, small.fusion, embed_dim=8)


def test_a_task_starts_from_another_resolution_twins_included(tmp_path):
    given = training.task()
    tiny.shake(given)
    path = tmp_path / "small.ckpt"
    torch.save({"state_dict": given.state_dict()}, path)
    parts = {"contrast": Contrast(queue_size=8), "soft_mask": SoftMasking(layer=1)}
    task = PretrainTask(larger(), **parts)
    report = load_weights(task, path)
    old = given.backbone.image.vit.pos_embed
    expected = resample_positions(old, 8)
    assert torch.equal(task.backbone.image.vit.pos_embed, expected)
    twin, theirs = (t.momentum.twin["backbone"].image.vit.pos_embed for t in (task, given))
    assert torch.equal(twin, resample_positions(theirs, 8))
    assert report.resampled == [
        "backbone.image.vit.pos_embed (1, 17, 16) to (1, 65, 16)",
        "momentum.twin.backbone.image.vit.pos_embed (1, 17, 16) to (1, 65, 16)",
    ]
    assert report.misshapen == report.missing == []
    assert "2 resampled: backbone.image.vit.pos_embed (1, 17, 16) to" in report.summary()


def test_equal_resolution_resamples_nothing():
    given, task = training.task(), training.task()
    tiny.shake(given)
    report = fill(task, given.state_dict(), "x")
    assert report.resampled == []
    own = task.backbone.image.vit.pos_embed
    assert torch.equal(own, given.backbone.image.vit.pos_embed)
