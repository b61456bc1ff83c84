"""A user's own albumentations pipeline in the place of ours."""

import albumentations as A
import numpy as np
import pytest
from albumentations.pytorch import ToTensorV2

from data_modules.image import Distort, Distortion
from softmask.errors import InputError

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture(params=["yaml", "json"])
def file(request, tmp_path):
    path = tmp_path / f"own.{request.param}"
    steps = [A.RandomCrop(32, 32), A.RandomBrightnessContrast(p=1.0)]
    A.save(A.Compose(steps), str(path), data_format=request.param)
    return str(path)


def test_it_distorts_by_seed_alone(file):
    first, second = (Distort(Distortion(pipeline=file), 32) for _ in range(2))
    drawn = [first(PICTURE, seed) for seed in range(6)]
    again = [second(PICTURE, seed) for seed in reversed(range(6))][::-1]
    for a, b in zip(drawn, again, strict=True):
        assert a.shape == (32, 32, 3)
        assert a.dtype == np.uint8
        np.testing.assert_array_equal(a, b)
    assert len({a.tobytes() for a in drawn}) > 1


def test_what_it_gives_is_brought_to_size(file):
    assert Distort(Distortion(pipeline=file), 24)(PICTURE, 1).shape == (24, 24, 3)


@pytest.mark.parametrize("content", ["", "a: [", "a: 1", None])
def test_a_file_without_a_pipeline_is_refused_by_name(tmp_path, content):
    path = tmp_path / "own.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"distortion\.pipeline .*own\.yaml.*albumentations\.save"):
        Distort(Distortion(pipeline=str(path)), 32)


WRONG = {
    "numbers from 0 to 1": (A.ToFloat(), r"float32 of shape \(40, 60, 3\)"),
    "normalised": (A.Normalize(), r"float32 of shape \(40, 60, 3\)"),
    "one channel": (A.ToGray(num_output_channels=1, p=1), r"uint8 of shape \(40, 60\)"),
    "a tensor": (ToTensorV2(), r"torch\.uint8 of shape \(3, 40, 60\)"),
    "larger than the picture": (A.RandomCrop(64, 64), r"60 x 40 pixels .*PadIfNeeded"),
}


@pytest.mark.parametrize(("step", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_it_gives_is_a_picture_or_refused(tmp_path, step, told):
    path = str(tmp_path / "own.yaml")
    A.save(A.Compose([step]), path, data_format="yaml")
    with pytest.raises(InputError, match=rf"distortion\.pipeline .*own\.yaml.*{told}"):
        Distort(Distortion(pipeline=path), 32)(PICTURE, 1)
