"""ITM, and the draw of its negatives: never a false one, else as likely as its softmax says."""

import pytest
import reference
import torch
from tiny import draw

from softmask.losses import hard_negatives, itm, match_accuracy, same_item, without_negative


def test_itm_equals_its_equation():
    logits, match = draw(6, 2) * 3, torch.tensor([1, 0, 0, 1, 0, 0])
    assert itm(logits, match).item() == pytest.approx(reference.itm(logits, match), abs=1e-12)


def test_gradient_of_itm():
    match = torch.tensor([1, 0, 0])
    assert torch.autograd.gradcheck(lambda x: itm(x, match), (draw(3, 2).requires_grad_(),))


def test_match_accuracy_is_the_share_of_right_rows():
    logits = torch.tensor([[0.0, 1], [1, 0], [2, 1], [0, 3]], requires_grad=True)
    got = match_accuracy(logits, torch.tensor([1, 1, 0, 1]))
    assert got.item() == 0.75
    assert not got.requires_grad


def test_same_item_shares_image_or_caption():
    image_a, text_a = torch.tensor([1, 2]), torch.tensor([7, 8])
    image_b, text_b = torch.tensor([1, 3, 3, 2]), torch.tensor([9, 8, 9, 8])
    expected = [
        [bool(i == j or t == s) for j, s in zip(image_b.tolist(), text_b.tolist(), strict=True)]
        for i, t in zip(image_a.tolist(), text_a.tolist(), strict=True)
    ]
    assert expected == [[True, False, False, False], [False, True, False, True]]
    assert same_item(image_a, text_a, image_b, text_b).tolist() == expected


def test_negative_is_never_of_the_same_image_or_caption():
    image_id = torch.tensor([0, 0, 1, 2, 2, 3])  # images 0 and 2 under two captions each
    text_id = torch.tensor([0, 1, 2, 3, 4, 2])  # images 1 and 3 under one caption
    same = same_item(image_id, text_id, image_id, text_id)
    logits = torch.where(same, 1000.0, draw(6, 6, dtype=torch.float32) * 100)
    torch.manual_seed(0)
    rows = torch.arange(6)
    for _ in range(300):
        drawn = hard_negatives(logits, same)
        assert not same[rows, drawn].any()


def test_negatives_are_drawn_as_their_softmax_says():
    torch.manual_seed(0)
    draws = 40_000
    logits = torch.tensor([0.0, 1.5, -1.0, 0.7, 3.0])
    same = torch.tensor([False, False, False, False, True])
    drawn = hard_negatives(logits.expand(draws, -1), same.expand(draws, -1))
    expected = draws * logits[:4].softmax(dim=0)
    counts = torch.bincount(drawn, minlength=5).float()
    assert counts[4] == 0
    chi_square = ((counts[:4] - expected) ** 2 / expected).sum()
    assert chi_square < 16.3  # three degrees of freedom, one in a thousand


def test_two_draws_differ():
    torch.manual_seed(0)
    logits, same = torch.zeros(64, 64), torch.eye(64, dtype=torch.bool)
    assert not torch.equal(hard_negatives(logits, same), hard_negatives(logits, same))


def test_given_noise_decides():
    logits, same = draw(5, 5), torch.eye(5, dtype=torch.bool)
    noise = draw(5, 5, seed=1) * 3
    expected = [
        max((j for j in range(5) if j != i), key=lambda j: float(logits[i, j] + noise[i, j]))
        for i in range(5)
    ]
    assert expected != [
        max((j for j in range(5) if j != i), key=lambda j: float(logits[i, j])) for i in range(5)
    ]
    assert hard_negatives(logits, same, noise).tolist() == expected


def test_the_only_candidate_left_is_drawn():
    same = torch.ones(3, 3, dtype=torch.bool)
    left = [2, 0, 1]
    same[torch.arange(3), left] = False
    logits = torch.where(same, 1e4, -1e4)  # a collapsed temperature
    for _ in range(50):
        assert hard_negatives(logits, same).tolist() == left


def test_constants_do_not_change_the_draw():
    logits, same, noise = draw(8, 8), torch.eye(8, dtype=torch.bool), draw(8, 8, seed=1)
    plain = hard_negatives(logits, same, noise)
    for constant in (-64.0, 16.0, 1024.0):
        assert torch.equal(hard_negatives(logits + constant, same, noise), plain)


def test_permuting_the_batch_permutes_the_draw():
    logits, same, noise = draw(6, 6), torch.eye(6, dtype=torch.bool), draw(6, 6, seed=1)
    order = torch.tensor([3, 1, 5, 0, 4, 2])
    plain = hard_negatives(logits, same, noise)
    mixed = hard_negatives(*(x[order][:, order] for x in (logits, same, noise)))
    assert torch.equal(order[mixed], plain[order])


def test_draw_takes_half_precision_and_gives_no_gradient():
    logits = draw(4, 4).half().requires_grad_()
    same, noise = torch.eye(4, dtype=torch.bool), draw(4, 4, seed=1).float()
    drawn = hard_negatives(logits, same, noise)
    assert drawn.dtype == torch.long
    assert torch.equal(drawn, hard_negatives(logits.detach().float(), same, noise))


@pytest.mark.parametrize(
    ("image_id", "text_id", "alone"),
    [
        ([5], [7], [True]),
        ([1, 2], [3, 4], [False, False]),
        ([1, 1], [3, 4], [True, True]),
        ([1, 2], [3, 3], [True, True]),
        ([1, 1, 2], [3, 4, 5], [False, False, False]),
        ([1, 1, 2], [3, 4, 3], [True, False, False]),
        ([1, 1, 1], [2, 3, 4], [True, True, True]),
    ],
)
def test_pairs_without_a_negative(image_id, text_id, alone):
    assert without_negative(torch.tensor(image_id), torch.tensor(text_id)).tolist() == alone
