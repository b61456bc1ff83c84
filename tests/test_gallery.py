"""What a retrieval evaluation keeps, and how much memory that takes."""

import gc

import cv2
import numpy as np
import pytest
import torch
from fake import draw
from torch import Tensor

from softmask.errors import InputError
from softmask.gallery import Gallery

WIDTH = 37  # of no other tensor
TEXTS = [3, 2, 4]  # of each batch of two images
LENGTHS = [5, 7, 6]


def filled() -> Gallery:
    gallery = Gallery()
    for number, (count, length) in enumerate(zip(TEXTS, LENGTHS, strict=True)):
        places = torch.tensor([2 * number, 2 * number + 1])
        batch = {
            "image": torch.zeros(2, 3, 16, 16, dtype=torch.uint8),
            "position": places,
            "image_id": places,
            "image_row": torch.tensor([0] + [1] * (count - 1)),
            "text_id": torch.arange(count) + 10 * number,
            "attention_mask": torch.ones(count, length, dtype=torch.bool),
        }
        states = torch.full((count, length, WIDTH), number + 1.0)
        gallery.add(batch, torch.zeros(2, 4, 8), torch.eye(2, 8), states, torch.ones(count, 8))
    return gallery


def alive() -> int:
    """Bytes of all states that somebody holds, each memory once."""
    held = {}
    for found in gc.get_objects():
        if type(found) is Tensor and found.ndim == 3 and found.shape[-1] == WIDTH:
            memory = found.untyped_storage()
            held[memory.data_ptr()] = memory.nbytes()
    return sum(held.values())


def test_states_of_texts_are_there_once_when_ranks_join():
    gallery, seen = filled(), []

    def gather(rows: Tensor) -> Tensor:
        if rows.ndim == 3:
            gc.collect()
            seen.append((alive(), rows.untyped_storage().nbytes()))
        return rows

    gallery.gather(gather)
    assert seen
    assert all(held == whole == sum(TEXTS) * max(LENGTHS) * WIDTH * 4 for held, whole in seen)


def test_texts_are_padded_with_zeros_to_the_longest():
    found = filled().gather(lambda rows: rows)
    assert found.mask.sum(dim=1).tolist() == [5] * 3 + [7] * 2 + [6] * 4
    wanted = torch.tensor([1.0] * 3 + [2.0] * 2 + [3.0] * 4)[:, None] * found.mask
    assert torch.equal(found.states, wanted[..., None].expand(-1, -1, WIDTH))
    assert found.text_place.tolist() == [
        *([0, 0], [1, 0], [1, 1], [2, 0], [3, 0], [4, 0], [5, 0], [5, 1], [5, 2])
    ]


def test_a_rank_with_fewer_texts_repeats_its_first_which_counts_once():
    def gather(rows: Tensor) -> Tensor:
        """Another rank has four texts, four tokens and four captions a picture more."""
        return torch.cat([rows, rows + 4]) if rows.shape == (1, 3) else rows

    found = filled().gather(gather)
    assert found.text_id.tolist() == [0, 1, 2, 10, 11, 20, 21, 22, 23]
    assert found.states.shape == (9, max(LENGTHS) + 4, WIDTH)


def two_of_one_id(first: np.ndarray, second: np.ndarray, features: Tensor) -> None:
    """Join an evaluation of two pictures (H, W, 3) that have one image_id."""
    gallery, count = Gallery(), 2
    batch = {
        "image": torch.from_numpy(np.stack([first, second])).permute(0, 3, 1, 2),
        "position": torch.arange(count),
        "image_id": torch.zeros(count, dtype=torch.int64),
        "image_row": torch.arange(count),
        "text_id": torch.arange(count),
        "attention_mask": torch.ones(count, 3, dtype=torch.bool),
    }
    texts = torch.zeros(count, 3, WIDTH), torch.zeros(count, 8)
    gallery.add(batch, torch.zeros(count, 4, 8), features, *texts)
    assert len(gallery.gather(lambda rows: rows).image) == 1


ALIKE, UNLIKE = torch.ones(2, 8), torch.tensor([[1.0] * 8, [-1.0] * 8])
"""Features of a model that cannot tell pictures apart, and of one that finds none like itself."""


@pytest.mark.parametrize("features", [ALIKE, UNLIKE], ids=["alike", "unlike"])
@pytest.mark.parametrize("size", [64, 96])
def test_whether_pictures_are_one_is_seen_from_their_pixels_alone(size, features):
    red = draw("red", "circle", "left", "white", size)
    small = [cv2.IMWRITE_JPEG_QUALITY, 50]
    again = cv2.imdecode(cv2.imencode(".jpg", red, small)[1], cv2.IMREAD_COLOR)
    assert (again != red).any()
    two_of_one_id(red, again, features)
    for other in (
        draw("green", "circle", "left", "white", size),
        draw("red", "square", "left", "white", size),
        draw("red", "circle", "right", "white", size),
    ):
        with pytest.raises(InputError, match="sample 1 of the data, which has that of sample 0"):
            two_of_one_id(red, other, features)
