"""Rows of an evaluation: every sample once, in order, whatever ranks repeated."""

import torch

from softmask.rows import Rows, first_of_each


def test_rows_of_ranks_count_once_and_stand_in_order():
    ranks = [Rows(), Rows()]
    # Rank 0 reads places 0 2 4, rank 1 reads 1 3 and place 0 again to fill its batch.
    ranks[0].add(torch.tensor([0, 2]), {"value": torch.tensor([[0.0], [20.0]])})
    ranks[0].add(torch.tensor([4]), {"value": torch.tensor([[40.0]])})
    ranks[1].add(torch.tensor([3, 1]), {"value": torch.tensor([[30.0], [10.0]])})
    ranks[1].add(torch.tensor([0]), {"value": torch.tensor([[0.0]])})
    other = {name: torch.cat(rows) for name, rows in ranks[1]._rows.items()}
    mine = {name: torch.cat(rows) for name, rows in ranks[0]._rows.items()}
    names = iter(mine)  # gather is asked column by column

    def gather(rows):
        name = next(names)
        assert torch.equal(rows, mine[name])
        return torch.cat([rows, other[name]])

    found = ranks[0].gather(gather)
    assert found["position"].tolist() == [0, 1, 2, 3, 4]
    assert found["value"].tolist() == [[0.0], [10.0], [20.0], [30.0], [40.0]]


def test_first_of_each_is_the_first_row():
    assert first_of_each(torch.tensor([7, 3, 7, 9, 3, 1])).tolist() == [0, 1, 3, 5]


def test_texts_of_ranks_stand_beside_their_rows():
    ranks = [Rows(), Rows()]
    ranks[0].add(torch.tensor([0, 2]), {}, {"text": ["null", "é"], "none": ["", ""]})
    ranks[1].add(torch.tensor([1, 0]), {}, {"text": ["one and more", "null"], "none": ["", ""]})
    texts = {"text": ["one and more", "null"], "none": ["", ""]}

    def gather(rows):
        """What the other rank gives, told by the number of columns."""
        if rows.dtype == torch.uint8:
            own = texts["text"] if rows.shape[1] else texts["none"]
            width = rows.shape[1]
            other = [list(line.encode().ljust(width, b"\0")) for line in own]
            return torch.cat([rows, torch.tensor(other, dtype=torch.uint8).view(2, width)])
        if len(rows) == 1:  # the longest text
            return torch.cat([rows, torch.tensor([len("one and more") if rows.item() else 0])])
        return torch.cat([rows, torch.tensor([1, 0])])

    found = ranks[0].gather_texts(gather)
    assert found == {"text": ["null", "one and more", "é"], "none": ["", "", ""]}


def test_texts_with_halves_of_characters_cross_ranks_as_they_are():
    rows, given = Rows(), ["\ud83d a cat", "na\udcefve.png", "é"]
    rows.add(torch.arange(3), {}, {"text": given})
    assert rows.gather_texts(lambda part: part) == {"text": given}
