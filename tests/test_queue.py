"""The feature queue: the newest pairs in order, and refusal of sizes that cannot wrap."""

import pytest
import torch
from tiny import draw

from softmask.errors import InputError
from softmask.queue import NOBODY, FeatureQueue


def pairs(first, count, dtype=torch.float32):
    """Pairs numbered from `first`: features and ids that tell which is which."""
    ids = torch.arange(first, first + count)
    features = ids[:, None].expand(-1, 3).to(dtype)
    return features, -features, ids, ids + 1000


def content(queue):
    return queue.image_id.tolist()


def test_queue_starts_with_unit_vectors_of_nobody():
    torch.manual_seed(0)
    queue = FeatureQueue(50, 8)
    for features in (queue.image, queue.text):
        torch.testing.assert_close(features.norm(dim=1), torch.ones(50))
        assert len(features.unique(dim=0)) == 50
    assert not torch.equal(queue.image, queue.text)
    assert set(content(queue)) == {NOBODY} == set(queue.text_id.tolist())


def test_push_fills_in_order_then_replaces_the_oldest():
    queue = FeatureQueue(6, 3)
    queue.push(*pairs(0, 2))
    assert content(queue) == [0, 1, NOBODY, NOBODY, NOBODY, NOBODY]
    queue.push(*pairs(2, 2))
    queue.push(*pairs(4, 2))
    assert content(queue) == [0, 1, 2, 3, 4, 5]
    queue.push(*pairs(6, 2))
    assert content(queue) == [6, 7, 2, 3, 4, 5]


@pytest.mark.parametrize(("size", "batch"), [(6, 3), (6, 6), (5, 3), (7, 2)])
def test_newest_pairs_stay_in_order_after_wrapping(size, batch):
    queue = FeatureQueue(size, 3)
    pushes = 9
    for n in range(pushes):
        queue.push(*pairs(n * batch, batch))
    total = pushes * batch
    assert queue.pointer.item() == total % size
    oldest_first = torch.roll(queue.image_id, -int(queue.pointer))
    assert oldest_first.tolist() == list(range(total - size, total))


def test_all_four_columns_move_together():
    queue = FeatureQueue(4, 3)
    for n in range(3):
        queue.push(*pairs(2 * n, 2))
    assert torch.equal(queue.image[:, 0].long(), queue.image_id)
    assert torch.equal(queue.text, -queue.image)
    assert torch.equal(queue.text_id, queue.image_id + 1000)


def test_push_stays_in_place_and_outside_the_graph():
    queue = FeatureQueue(4, 3)
    before = [b.data_ptr() for b in queue.buffers()]
    features = draw(2, 3).half().requires_grad_()
    queue.push(features, features, torch.arange(2), torch.arange(2))
    assert [b.data_ptr() for b in queue.buffers()] == before
    assert queue.image.dtype == torch.float32
    assert torch.equal(queue.image[:2], features.detach().float())
    assert not any(b.requires_grad for b in queue.buffers())


def test_resumed_queue_goes_on():
    queue, resumed = FeatureQueue(4, 3), FeatureQueue(4, 3)
    for n in range(3):
        queue.push(*pairs(2 * n, 2))
    resumed.load_state_dict(queue.state_dict())
    for q in (queue, resumed):
        q.push(*pairs(6, 2))
    for a, b in zip(queue.buffers(), resumed.buffers(), strict=True):
        assert torch.equal(a, b)
    assert content(resumed) == [4, 5, 6, 7]


def test_size_zero_holds_nothing_and_accepts_any_batch():
    queue = FeatureQueue(0, 3)
    queue.check(7)
    queue.push(*pairs(0, 2))
    assert queue.image.shape == (0, 3)
    assert queue.image_id.shape == (0,)


def test_negative_size_is_refused():
    with pytest.raises(InputError, match="queue_size=-4"):
        FeatureQueue(-4, 3)


@pytest.mark.parametrize(("size", "batch"), [(12, 4), (12, 12), (65536, 512)])
def test_batches_that_divide_pass(size, batch):
    FeatureQueue(size, 1).check(batch)


@pytest.mark.parametrize(
    ("size", "batch", "words"),
    [
        (10, 4, ("queue_size=10", "batch of 4", "queue_size to 8 or 12,")),
        (3, 4, ("queue_size=3", "batch of 4", "queue_size to 4 or 0,")),
    ],
)
def test_batches_that_do_not_divide_are_refused_with_the_sizes_that_do(size, batch, words):
    with pytest.raises(InputError) as refusal:
        FeatureQueue(size, 1).check(batch)
    assert all(word in str(refusal.value) for word in words), refusal.value
