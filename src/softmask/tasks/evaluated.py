"""Tasks that collect what they find in all batches of an evaluation, and score it at its end."""

from abc import abstractmethod
from typing import Any

from softmask.rows import Rows
from softmask.tasks.base import TaskModule


class EvaluatedTask(TaskModule):
    """Validates and tests alike: `validation_step` collects, `evaluate` scores."""

    rows: Rows
    """What was collected, but for tasks that keep something else."""

    def forget(self) -> None:
        """Make ready to collect."""
        self.rows = Rows()

    @abstractmethod
    def evaluate(self, stage: str) -> None:
        """Score what all ranks collected: fill `report`, and log it.

        Args:
            stage: `val` or `test`.
        """

    def on_validation_epoch_start(self) -> None:
        """Forget what was collected."""
        self.forget()

    def on_validation_epoch_end(self) -> None:
        """Score."""
        self.evaluate("val")

    def on_test_epoch_start(self) -> None:
        """Forget what was collected."""
        self.forget()

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """As in validation."""
        self.validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        """Score."""
        self.evaluate("test")
