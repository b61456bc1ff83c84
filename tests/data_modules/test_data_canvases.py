"""Memory of batches: used again when nobody holds it, never before."""

import pickle

import numpy as np
import pytest
from fake import write_fake_pairs

from data_modules import PretrainData
from data_modules.canvases import KEPT, Canvases
from data_modules.sheet import Sheet


def sheets(value, count=3, size=8):
    return [Sheet(np.full((size, size, 3), value, np.uint8), size) for _ in range(count)]


def test_pictures_lie_below_each_other_channels_last():
    images = Canvases().lay([*sheets(1, 1), *sheets(2, 2)])
    assert images.shape == (3, 3, 8, 8)
    assert images.stride() == (192, 1, 24, 3)
    assert images[:, 0, 0, 0].tolist() == [1, 2, 2]


def test_memory_is_used_again():
    canvases = Canvases()
    places, others = set(), []
    for value in range(6):
        images = canvases.lay(sheets(value))
        assert (images == value).all()
        places.add(images.data_ptr())
        del images
        others.append(np.empty(3 * 8 * 8 * 3, np.uint8))  # would take what went to the system
    assert len(places) == 1


HOLDS = {
    "the tensor": lambda images: images,
    "a row": lambda images: images[1],
    "its array": lambda images: images.numpy(),
    "a part of its array": lambda images: images.numpy()[0, :, 2:],
    "what shares it": lambda images: images.permute(0, 2, 3, 1).reshape(-1).detach(),
}


@pytest.mark.parametrize("hold", HOLDS.values(), ids=HOLDS.keys())
def test_memory_that_anybody_holds_is_not_written(hold):
    canvases = Canvases()
    held = hold(canvases.lay(sheets(7)))
    later = [canvases.lay(sheets(value)) for value in range(3)]
    assert (held == 7).all()
    assert [each.unique().tolist() for each in later] == [[0], [1], [2]]


def test_another_size_gets_memory_of_its_own():
    canvases = Canvases()
    first = canvases.lay(sheets(1, 3))
    del first
    assert canvases.lay(sheets(2, 2)).shape == (2, 3, 8, 8)
    assert canvases.lay(sheets(2, 2, size=9)).shape == (2, 3, 9, 9)


def test_only_a_few_wait():
    canvases = Canvases()
    held = [canvases.lay(sheets(value)) for value in range(KEPT + 3)]
    del held
    assert len(canvases._free) == KEPT
    assert not pickle.loads(pickle.dumps(canvases))._free


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_that_are_kept_stay_as_they_were(tmp_path, workers):
    folder = write_fake_pairs(tmp_path, 24)

    def batches():
        data = PretrainData(folder, image_size=16, batch_size=4, workers=workers)
        return data.train_dataloader()

    apart = [batch["image"].clone() for batch in batches()]
    kept = [batch["image"] for batch in batches()]
    assert len(apart) > 2 * KEPT
    assert all((one == other).all() for one, other in zip(apart, kept, strict=True))
