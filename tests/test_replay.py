"""Steps that are recorded and replayed, against the same steps taken plainly.

A machine without a GPU has no CUDA graph: a stand-in records a step as one does, without effect,
and fills the same tensors at each replay. `benchmarks.step --preset gpu-graph` asks a real one.
"""

from collections.abc import Callable, Iterator
from typing import Any

import asking
import pytest
import torch
import training
from torch import Tensor

from softmask.callbacks import Blocks
from softmask.errors import InputError
from softmask.tasks import VqaClassTask
from softmask.tasks.replay import SEEN, Recording, Replay


class StandIn:
    """Does again, at each replay, what was recorded, and fills what the recording left."""

    def __init__(self, task: training.Recorded, made: list["StandIn"]) -> None:
        self.task, self.replays = task, 0
        made.append(self)

    def record(self, run: Callable[[], Recording]) -> Recording:
        state = {name: value.clone() for name, value in self.task.state_dict().items()}
        draws, steps = torch.get_rng_state(), list(self.task.steps)
        self.run, self.made = run, run()
        self.task.load_state_dict(state)
        torch.set_rng_state(draws)
        self.task.steps = steps
        for tensor in (self.made.loss, *(g for g in self.made.grads if g is not None)):
            tensor.fill_(torch.nan)
        return self.made

    def replay(self) -> None:
        self.replays += 1
        self.task.zero_grad()
        for old, new in zip(_filled(self.made), _filled(self.run()), strict=True):
            old.detach().copy_(new)


def _filled(made: Recording) -> Iterator[Tensor]:
    yield made.loss
    yield from (grad for grad in made.grads if grad is not None)
    yield made.left["judged"].logits
    for losses in made.watched:
        yield from losses.values()
    for _, args, _ in made.logged:
        for each in args:
            values = each.values() if isinstance(each, dict) else [each]
            yield from (v for v in values if isinstance(v, Tensor) and v.is_floating_point())


def trained(
    steps: int, graphs: bool, **contrast: Any
) -> tuple[training.Recorded, dict[str, Any], list[StandIn]]:
    """Train on batches of two lengths in turns, with dropout."""
    made = training.task({"dropout": 0.1}, contrast=contrast)
    batches = [training.batch(4, skip=n) for n in range(steps)]
    replays: list[StandIn] = []
    if graphs:
        Replay(made, lambda: StandIn(made, replays))
    seen = training.trainer(max_steps=steps)
    seen.fit(made, datamodule=training.Given(batches))
    return made, seen.callback_metrics, replays


RISING = {"alpha": 0.5, "alpha_steps": 16, "hard_steps": 8}
"""Values that float32, a recording's, holds as exactly as the host's float64."""


@pytest.mark.parametrize("contrast", [{}, RISING])
def test_replayed_steps_are_the_plain_ones(contrast):
    steps = 12
    plain, said, _ = trained(steps, False, **contrast)
    made, again, replays = trained(steps, True, **contrast)
    assert sum(each.replays for each in replays) >= 4
    assert len({each.made.batch["input_ids"].shape for each in replays}) == len(replays)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(made.state_dict()[name], value, rtol=0, atol=0, msg=name)
    assert set(said) == set(again)
    assert all(torch.equal(said[name], again[name]) for name in said)
    assert torch.equal(made.judged.logits, plain.judged.logits)


def test_a_recording_is_filled_with_the_steps_ramps():
    plain, said, _ = trained(SEEN + 5, False, alpha_steps=100, hard_steps=100)
    _, again, (one, *_) = trained(SEEN + 5, True, alpha_steps=100, hard_steps=100)
    assert one.replays > 1
    risen = (plain.global_step - 1) / 100
    assert again["train/hardness"].item() == pytest.approx(risen, rel=1e-6)
    assert again["train/alpha"].item() == pytest.approx(plain.contrast.alpha * risen, rel=1e-6)
    assert said["train/alpha"].item() == pytest.approx(plain.contrast.alpha * risen, rel=1e-6)


class Steep(training.Recorded):
    """Its share of the twins does not come from `ramp`."""

    @property
    def alpha(self) -> float:
        return 0.4 if self.global_step > 100 else 0.0


def test_ramps_of_ones_own_are_refused_rather_than_recorded():
    made = training.task(contrast={"alpha_steps": 100})
    made.__class__ = Steep
    Replay(made, lambda: StandIn(made, []))
    given = training.Given([training.batch(4)] * (SEEN + 1))
    with pytest.raises(InputError, match=r"Steep\.ramp gives, but .*leave blocks\.graphs out"):
        training.trainer(max_steps=SEEN + 1).fit(made, datamodule=given)


def test_a_bad_loss_of_a_replay_stops_the_run():
    made = training.task()
    replays: list[StandIn] = []
    Replay(made, lambda: StandIn(made, replays))
    good = training.batch(4)
    batches = [good] * (SEEN + 2)

    class Breaks(training.L.Callback):
        def on_train_batch_start(self, trainer: Any, *_: object) -> None:
            if trainer.global_step == SEEN + 1:
                with torch.no_grad():
                    made.backbone.temperature.fill_(torch.nan)

    seen = training.trainer(max_steps=len(batches), callbacks=[Breaks()])
    with pytest.raises(InputError, match=f"not finite at step {SEEN + 1}: itc=nan"):
        seen.fit(made, datamodule=training.Given(batches))
    assert replays[0].replays == 2


def test_refused_where_steps_cannot_be_recorded():
    made = training.task()
    seen = training.trainer(callbacks=[Blocks(graphs=True)], accumulate_grad_batches=2)
    with pytest.raises(InputError, match=r"accelerator is cpu and .*accumulate_grad_batches is 2"):
        seen.fit(made, datamodule=training.Given([training.batch(4)]))
    with pytest.raises(InputError, match=r"blocks.chunk and blocks.graphs are both set"):
        Blocks(graphs=True, chunk=2)
    Blocks(graphs=True, compiled=True)


def test_a_task_that_works_on_its_host_is_not_recorded(tmp_path):
    made = asking.task(VqaClassTask, tmp_path)
    with pytest.raises(InputError, match="VqaClassTask works on its host in a step"):
        Blocks(graphs=True).setup(training.trainer(), made, "fit")
