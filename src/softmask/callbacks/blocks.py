"""Other ways to run the encoders' blocks: compiled for speed, or recomputed to save memory."""

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback

from softmask.errors import InputError
from softmask.nn import checkpoint_blocks, compile_blocks


class Blocks(Callback):
    """Changes how blocks are run before the first step; checkpoints stay the same either way.

    Args:
        compiled: compile each kind of block once, at the first step.
        checkpointed: keep the input of each block alone and compute it again in the backward pass:
            less memory, about a third more time.

    Raises:
        InputError: both are asked for.
    """

    def __init__(self, compiled: bool = False, checkpointed: bool = False) -> None:
        if compiled and checkpointed:
            raise InputError(
                "blocks.compiled and blocks.checkpointed are both true, and have not been made to "
                "work together: set one of them to false."
            )
        self.compiled, self.checkpointed = compiled, checkpointed
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
