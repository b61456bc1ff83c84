"""The guard names what is not finite, and lets everything else pass."""

import pytest
import torch

from softmask.errors import InputError
from softmask.tasks.finite import FiniteGuard

GOOD = {"itc": torch.tensor(1.5), "itm": torch.tensor(0.0), "mlm": torch.tensor(-1e30)}


def test_finite_losses_pass():
    guard = FiniteGuard()
    for step in range(3):
        guard.watch(GOOD, step, ["a", "b"])
    guard.check(wait=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_bad_loss_is_named_with_its_step_and_samples(value):
    with pytest.raises(InputError) as stop:
        FiniteGuard().watch(GOOD | {"itm": torch.tensor(value)}, 731, ["cat-07", "dog-12"])
    text = str(stop.value)
    for words in (f"itm={value}", "step 731", "cat-07", "dog-12", "--ckpt_path"):
        assert words in text
    assert "itc=" not in text
    assert "mlm=" not in text


def test_all_bad_losses_are_named():
    bad = {"itc": torch.tensor(float("inf")), "soft": torch.tensor(float("nan"))}
    with pytest.raises(InputError, match=r"itc=inf, soft=nan"):
        FiniteGuard().watch(GOOD | bad, 0, ["a"])


def test_loss_that_overflowed_half_precision_is_found():
    loss = torch.tensor(60000.0, dtype=torch.float16) * 2
    with pytest.raises(InputError, match="itc=inf"):
        FiniteGuard().watch({"itc": loss}, 0, ["a"])


def test_graph_is_not_kept_or_changed():
    loss = torch.tensor(2.0, requires_grad=True)
    guard = FiniteGuard()
    guard.watch({"itc": loss * 3}, 0, ["a"])
    (loss * 3).backward()
    assert loss.grad.item() == 3


def test_first_bad_step_is_reported_and_then_forgotten():
    guard = FiniteGuard()
    with pytest.raises(InputError, match="step 1"):
        guard.watch({"itc": torch.tensor(float("nan"))}, 1, ["a"])
    guard.watch(GOOD, 2, ["b"])
    guard.check(wait=True)


class Arriving:
    """A device event that has not come yet."""

    def __init__(self):
        self.here = False

    def query(self):
        return self.here

    def synchronize(self):
        self.here = True


def test_value_on_its_way_is_looked_at_when_it_arrives_or_when_asked():
    guard, event = FiniteGuard(), Arriving()
    on_its_way = (torch.tensor([float("nan")]), event, ("itc",), 4, ("late",))
    guard._pending.append(on_its_way)
    guard.check()
    guard.watch(GOOD, 5, ["a"])  # behind the one that has not arrived
    with pytest.raises(InputError, match=r"step 4.*late"):
        guard.check(wait=True)
    assert event.here
    guard.check(wait=True)
