"""Compiled and recomputed blocks give the same numbers under the same names."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import torch
import training
from torch._dynamo.utils import counters

from data_modules import PretrainData
from softmask.callbacks import Blocks, SoftMaskPanels
from softmask.errors import InputError
from softmask.nn import FusionLayer, checkpoint_blocks, chunk_encoders, compile_blocks
from softmask.optim import Optim
from softmask.tasks import Evaluation

LENGTHS = (7, 12)


def task() -> training.Recorded:
    """With dropout, whose draws must not change."""
    return training.alone(training.task({"dropout": 0.1}))


def bucket(length: int) -> dict:
    """A batch whose texts were padded to another length."""
    given = training.batch()
    texts = {n: given[n] for n in ("input_ids", "attention_mask")}
    old = given["input_ids"].shape[1]
    grown = {n: torch.nn.functional.pad(t, (0, length)) for n, t in texts.items()}
    at = given["mlm_at"]
    return given | grown | {"mlm_at": at // old * (old + length) + at % old}


def step(made: training.Recorded, given: dict) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    made.zero_grad()
    torch.manual_seed(3)
    made.training_step(given, 0).backward()
    grads = {n: p.grad.clone() for n, p in made.named_parameters() if p.grad is not None}
    return made.steps[-1], grads


def assert_equal(one: tuple, other: tuple, tolerance: float) -> None:
    assert one[0] == pytest.approx(other[0], abs=tolerance, rel=tolerance)
    assert one[1].keys() == other[1].keys()
    for name, grad in one[1].items():
        torch.testing.assert_close(grad, other[1][name], atol=tolerance, rtol=tolerance, msg=name)


def test_recomputed_blocks_give_equal_losses_and_gradients_dropout_included():
    plain = task()
    made = task()
    names = list(made.state_dict())
    checkpoint_blocks(made)
    assert list(made.state_dict()) == names
    given = training.batch()
    assert_equal(step(made, given), step(plain, given), 0.0)
    assert_equal(step(made, given), step(plain, given), 0.0)


def kept(made: training.Recorded) -> int:
    """Numbers that a step keeps for its backward pass."""
    sizes = []
    words = made.words.bias.shape[0]  # logits and their table are none of the blocks'

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(0 if words in tensor.shape else tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        made.training_step(training.batch(), 0)
    return sum(sizes)


def test_recomputed_blocks_keep_less_for_the_backward_pass():
    plain = task()
    made = task()
    checkpoint_blocks(made)
    assert kept(made) < 0.8 * kept(plain)


def still(**soft_mask: object) -> training.Recorded:
    """Without dropout, which draws for a chunk at a time."""
    return training.alone(training.task(soft_mask={"layer": 1, **soft_mask}))


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_chunks_give_the_losses_and_gradients_of_the_whole_batch(rows):
    plain = still()
    made = still()
    names = list(made.state_dict())
    chunk_encoders(made, rows)
    assert list(made.state_dict()) == names
    given = training.batch(5)
    for _ in range(2):
        assert_equal(step(made, given), step(plain, given), 2e-5)
    assert made.steps[0]["itc"] > 0


def test_chunks_are_no_larger_than_asked_and_are_run_again_where_there_is_a_gradient():
    made = still()
    chunk_encoders(made, 2)
    seen = defaultdict(list)

    def watch(module: torch.nn.Module, kind: str) -> None:
        module.register_forward_hook(lambda *given: seen[kind].append(len(given[2])))

    for owner, part in {"own": made.backbone, "twin": made.teacher}.items():
        watch(part.image.vit.patch_embed, f"{owner} image")
        watch(part.text.bert.embeddings, f"{owner} text")
        watch(part.fusion.layers[1].words, f"{owner} fusion")
    made.training_step(training.batch(4), 0).backward()
    assert seen["own image"] == [2, 2, 2, 2]
    assert set(seen["own text"]) == {2}
    assert seen["twin image"] == seen["twin text"] == [2, 2]
    assert set(seen["twin fusion"]) <= {1, 2}
    assert sorted(set(seen["own fusion"]) - {1, 2}) == [4]  # the map of soft masks sees all
    assert seen["own fusion"].count(4) == 1


def test_chunks_keep_less_for_the_backward_pass():
    made = still()
    chunk_encoders(made, 1)
    assert kept(made) < 0.7 * kept(still())


def test_recomputing_runs_trained_layers_twice_and_twins_once():
    made = task()
    checkpoint_blocks(made)
    runs = {"own": 0, "twin": 0}
    for name, part in {"own": made.backbone, "twin": made.teacher}.items():
        layer = next(m for m in part.modules() if isinstance(m, FusionLayer)).words

        def count(*_: object, name: str = name) -> None:
            runs[name] += 1

        layer.register_forward_pre_hook(count)
    made.soft_mask = training.SoftMasking(layer=1, weight=0.0)
    made.training_step(training.batch(), 0).backward()
    assert runs == {"own": 2, "twin": 1}


def test_compiled_blocks_are_whole_graphs_and_are_not_compiled_again_for_other_lengths():
    torch._dynamo.reset()
    plain = task()
    made = task()
    names = list(made.state_dict())
    compile_blocks(made, backend="aot_eager")
    assert list(made.state_dict()) == names
    assert_equal(step(made, training.batch()), step(plain, training.batch()), 1e-5)
    assert_equal(step(made, bucket(1)), step(plain, bucket(1)), 1e-5)
    graphs = counters["stats"]["unique_graphs"]
    assert graphs > 4  # each kind, with gradients and without
    for length in LENGTHS:
        given = bucket(length)
        assert_equal(step(made, given), step(plain, given), 1e-5)
    assert counters["stats"]["unique_graphs"] == graphs
    assert not counters["graph_break"]
    torch._dynamo.reset()


def watched(made: training.Recorded) -> list[bool]:
    """Compiles blocks to what they are; gives for each graph whether it was made in training."""
    torch._dynamo.reset()
    modes: list[bool] = []

    def keep(graph: torch.fx.GraphModule, _: object) -> Callable[..., Any]:
        modes.append(made.training)
        return graph.forward

    compile_blocks(made, backend=keep)
    return modes


def test_evaluations_run_blocks_as_they_were(corpus, tmp_path):
    """Or validation, drawings and test are more cases than torch compiles."""
    made = training.task(evaluation=Evaluation(k_test=2))
    modes = watched(made)
    paths = (str(corpus / split) for split in ("train", "val", "test"))
    data = PretrainData(*paths, image_size=training.SIZE, batch_size=4, workers=0)
    options = {"max_epochs": 1, "max_steps": -1, "precision": "bf16-mixed"}
    options |= {"callbacks": [SoftMaskPanels(2, hiding=True)], "default_root_dir": tmp_path}
    trainer = training.trainer(**options)
    trainer.fit(made, datamodule=data)
    trainer.test(made, datamodule=data, verbose=False)
    assert (tmp_path / "soft_mask.png").exists()
    assert len(modes) > 4
    assert all(modes)
    torch._dynamo.reset()


def test_frozen_blocks_are_compiled_too():
    made = training.task(optim=Optim(freeze=("image",)))
    modes = watched(made)
    made.backbone.image(training.batch()["image"])
    assert not made.backbone.image.training
    assert modes == [True]
    torch._dynamo.reset()


def test_blocks_are_changed_once_and_one_way():
    made = task()
    callback = Blocks(checkpointed=True)
    callback.setup(made.trainer, made, "fit")
    forward = made.backbone.fusion.layers[0].forward
    callback.setup(made.trainer, made, "test")
    assert made.backbone.fusion.layers[0].forward is forward
    with pytest.raises(InputError, match=r"blocks\.compiled and blocks\.checkpointed"):
        Blocks(compiled=True, checkpointed=True)
    with pytest.raises(InputError, match=r"blocks\.checkpointed and blocks\.chunk"):
        Blocks(checkpointed=True, chunk=4)
    with pytest.raises(InputError, match=r"blocks\.chunk is 0"):
        Blocks(chunk=0)


def test_blocks_are_left_alone_unless_asked():
    made = task()
    Blocks().setup(made.trainer, made, "fit")
    assert not any("forward" in module.__dict__ for module in made.modules())
