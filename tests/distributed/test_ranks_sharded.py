"""Pretraining with parameters sharded over two ranks (FSDP2) is pretraining on one, and as DDP."""

import pytest
import ranks
import torch
import training
from lightning.pytorch.strategies import ModelParallelStrategy
from test_ranks_pretrain import MODES, ROWS, STEPS, WORLD, Halves, assert_close
from torch.distributed.tensor import DTensor
from torch.nn import functional

from softmask.errors import InputError
from softmask.nn.sharded import whole

# Each with something that looks at all gradients, or adds them up.
TRAINERS = {
    "all ideas": {"gradient_clip_val": 1.0},
    "two masks, clean views, own partner alone": {"accumulate_grad_batches": 2},
}


class Sharded(Halves):
    def on_before_optimizer_step(self, optimizer):
        super(Halves, self).on_before_optimizer_step(optimizer)
        own = {n: p.grad for n, p in self.named_parameters() if p.requires_grad}
        self.norms.append(whole(torch.nn.utils.get_total_norm(own.values())).item())
        self.gradients.append({n: whole(grad).clone() for n, grad in own.items()})
        cut = {n: p for n, p in self.named_parameters() if isinstance(p, DTensor)}
        self.parts = {n: len(p.to_local()) for n, p in cut.items()}


def stepped(world, rank, mode):
    """Losses, gradients and state of steps on this rank's half."""
    options, view, contrast = MODES[mode]
    count = WORLD * ROWS // world
    batches = [
        training.batch(
            count, training.text(**options), skip=step * WORLD * ROWS + rank * count, **view
        )
        for step in range(STEPS)
    ]
    # Several blocks in a row, of which each is gathered by itself.
    task = training.task(
        {"text_layers": 2}, contrast={"queue_size": 16, "alpha_steps": 2, **contrast}
    )
    task.__class__ = Sharded
    task.gradients, task.offered, task.norms, task.parts = [], [], [], {}
    made = ranks.trainer(world, sharded=True, max_steps=-1, max_epochs=1, **TRAINERS[mode])
    made.fit(task, datamodule=training.Given(batches))
    return {
        "losses": task.steps,
        "gradients": task.gradients,
        "norms": task.norms,
        "state": {n: whole(v) for n, v in task.state_dict().items()},
        "parts": task.parts,
    }


def apart(world, rank):
    """What the first rank alone explains during an evaluation, before and after a checkpoint."""
    task, given = training.task(), training.batch()
    made = ranks.trainer(world, sharded=True)
    made.fit(task, datamodule=training.Given([given]))
    made.strategy.on_validation_start()
    maps = []
    for _ in range(2):
        if rank == 0:
            maps.append(explained(task, given))
        state = made.strategy.lightning_module_state_dict()
    made.strategy.on_validation_end()
    assert all(isinstance(p, DTensor) or not p.ndim for p in task.parameters())
    return {"maps": maps, "state": state}


def explained(task, given):
    pieces = functional.one_hot(given["words"], given["input_ids"].shape[1]).bool()
    return task.eval().explain(given, pieces).maps


def refused(world):
    plain = ModelParallelStrategy(data_parallel_size=world, tensor_parallel_size=1)
    made = training.trainer(strategy=plain, devices=world)
    with pytest.raises(InputError) as told:
        made.fit(training.task(), datamodule=training.Given([training.batch()]))
    return str(told.value)


def job(world, rank):
    found = {mode: stepped(world, rank, mode) for mode in MODES}
    return found | ({"apart": apart(world, rank), "refused": refused(world)} if world > 1 else {})


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return job(1, 0), ranks.on_ranks(job, tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("mode", MODES)
def test_two_ranks_step_as_one_process_does(found, mode):
    one, both = found[0][mode], [rank[mode] for rank in found[1]]
    for rank in both:
        assert rank["norms"] == pytest.approx(one["norms"], rel=1e-5)
        for step, gradients in enumerate(one["gradients"]):
            for name, gradient in gradients.items():
                assert_close(rank["gradients"][step][name], gradient, (step, name))
        for name, value in one["state"].items():
            assert_close(rank["state"][name].double(), value.double(), name)
    for step, losses in enumerate(one["losses"]):
        for name, loss in losses.items():
            mean = sum(rank["losses"][step][name] for rank in both) / WORLD
            assert mean == pytest.approx(loss, rel=1e-5), (step, name)


@pytest.mark.parametrize("mode", MODES)
def test_each_rank_keeps_its_part_of_weights_and_twins(found, mode):
    whole_state = found[0][mode]["state"]
    first, second = (rank[mode]["parts"] for rank in found[1])
    own = {n for n in whole_state if n.startswith(("backbone.", "matcher.", "words.", "momentum."))}
    assert own - set(first) == {"backbone.temperature", "momentum.twin.backbone.temperature"}
    for name, part in first.items():
        assert part + second[name] == len(whole_state[name]), name
        assert part == -(-len(whole_state[name]) // WORLD), name


def test_a_rank_may_compute_alone_during_an_evaluation(found):
    there, elsewhere = (rank["apart"] for rank in found[1])
    assert len(there["maps"]) == 2
    assert elsewhere["maps"] == []
    task = training.task()
    task.load_state_dict(there["state"])
    for maps in there["maps"]:
        torch.testing.assert_close(maps, explained(task, training.batch()))


def test_lightnings_own_strategy_is_refused(found):
    for rank in found[1]:
        assert "ModelParallelStrategy" in rank["refused"]
        assert "conf/trainer/fsdp.yaml" in rank["refused"]
