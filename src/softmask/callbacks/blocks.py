"""Other ways to run the encoders' blocks: compiled for speed, or recomputed to save memory."""

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback

from softmask.errors import InputError
from softmask.nn import checkpoint_blocks, chunk_encoders, compile_blocks


class Blocks(Callback):
    """Changes how blocks are run before the first step; checkpoints stay the same either way.

    Args:
        compiled: compile each kind of block once, at the first step.
        checkpointed: keep the input of each block alone and compute it again in the backward pass:
            less memory, about a third more time.
        chunk: images, texts or pairs that encoders take at once, keeping what they give alone: a
            batch of any size, over all of which contrast still goes; about a third more time.

    Raises:
        InputError: two of them are asked for, or a chunk is empty.
    """

    def __init__(
        self, compiled: bool = False, checkpointed: bool = False, chunk: int | None = None
    ) -> None:
        asked = {"compiled": compiled, "checkpointed": checkpointed, "chunk": chunk is not None}
        names = [f"blocks.{name}" for name, is_asked in asked.items() if is_asked]
        if len(names) > 1:
            raise InputError(
                f"{' and '.join(names)} are both set, and have not been made to work together: "
                f"keep one of them."
            )
        if chunk is not None and chunk < 1:
            raise InputError(f"blocks.chunk is {chunk}: give 1 or more, or leave it out.")
        self.compiled, self.checkpointed, self.chunk = compiled, checkpointed, chunk
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
