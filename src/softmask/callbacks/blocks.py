"""Other ways to run the encoders' blocks, or the step: for speed, or to save memory."""

from typing import cast

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback

from softmask.errors import InputError
from softmask.nn import checkpoint_blocks, chunk_encoders, compile_blocks
from softmask.tasks.base import TaskModule
from softmask.tasks.replay import Replay


class Blocks(Callback):
    """Changes how blocks are run before the first step; checkpoints stay the same either way.

    Args:
        compiled: compile each kind of block once, at the first step; evaluations run them as
            they are.
        checkpointed: keep the input of each block alone and compute it again in the backward pass:
            less memory, about a third more time.
        chunk: images, texts or pairs that encoders take at once, keeping what they give alone: a
            batch of any size, over all of which contrast still goes; about a third more time.
        graphs: record a step's forward and backward pass in a CUDA graph for each shape of batches
            and replay it: for one GPU that waits for its host. With or without `compiled`. Each
            recording, of 16 at most, keeps gradients of its own; other shapes go as without.

    Raises:
        InputError: two of them are asked for that do not go together, or a chunk is empty.
    """

    def __init__(
        self,
        compiled: bool = False,
        checkpointed: bool = False,
        chunk: int | None = None,
        graphs: bool = False,
    ) -> None:
        asked = {
            "compiled": compiled,
            "checkpointed": checkpointed,
            "chunk": chunk is not None,
            "graphs": graphs,
        }
        names = [f"blocks.{name}" for name, is_asked in asked.items() if is_asked]
        if len(names) > 1 and not (compiled and graphs and len(names) == 2):
            raise InputError(
                f"{' and '.join(names)} are both set, and have not been made to work together: "
                f"keep one of them."
            )
        if chunk is not None and chunk < 1:
            raise InputError(f"blocks.chunk is {chunk}: give 1 or more, or leave it out.")
        self.compiled, self.checkpointed, self.chunk = compiled, checkpointed, chunk
        self.graphs = graphs
        self._done = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Change the blocks, once: a run that tests after it trained comes here twice."""
        if self._done:
            return
        self._done = True
        if self.compiled:
            compile_blocks(pl_module)
        if self.checkpointed:
            checkpoint_blocks(pl_module)
        if self.chunk is not None:
            chunk_encoders(pl_module, self.chunk)
        if self.graphs and stage == "fit":
            task = cast(TaskModule, pl_module)
            _check_graphs(trainer, task)
            Replay(task)


def _check_graphs(trainer: L.Trainer, task: TaskModule) -> None:
    """Refuse trainers and tasks whose step cannot be replayed.

    Raises:
        InputError: names the setting.
    """
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    wrong = {
        f"trainer.accelerator is {trainer.strategy.root_device.type}": (
            trainer.strategy.root_device.type != "cuda"
        ),
        f"{trainer.world_size} processes share the step": trainer.world_size > 1,
        f"trainer.accumulate_grad_batches is {trainer.accumulate_grad_batches}": (
            trainer.accumulate_grad_batches > 1
        ),
        "trainer.precision scales losses": scaler is not None,
        f"{type(task).__name__} works on its host in a step": not task.all_on_device,
    }
    found = [reason for reason, is_so in wrong.items() if is_so]
    if found:
        raise InputError(
            f"blocks.graphs records steps of one GPU, whole and in float32 or bf16-mixed, but "
            f"{' and '.join(found)}: leave blocks.graphs out or change that."
        )
