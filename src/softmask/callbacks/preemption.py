"""A run that is told to go saves its state first."""

import signal
from types import FrameType
from typing import Any

import lightning.pytorch as L
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from softmask.callbacks.last import between_steps, save_last, validates_next

EXIT_CODE = 128 + signal.SIGTERM
"""What shells, Slurm and Kubernetes read as "ended by SIGTERM": `&&` and Slurm's afterok do not
take a run that was sent away for one that is through, and torchrun --max-restarts starts it again.
"""


VALIDATION = "epoch_loop.val_loop.batch_progress"
FIRST_BATCH_BEGUN = {"ready": 1, "started": 1, "processed": 0, "completed": 0}


class Preemption(Checkpoint):
    """On SIGTERM, finishes the step, saves `checkpoints/last.ckpt`, says how to resume, exits 143.

    A signal is only noted; ranks agree at the end of a step, so it does not matter which of them it
    reaches, nor how often it comes. (Lightning's own handler talks to other ranks from within the
    signal, in whatever the rank is doing, and ends without a checkpoint and with code 0.)

    Slurm's requeue signal, SIGUSR1, waits for the end of the step too: then last.ckpt is saved and
    Lightning's handler does its work, which is to save hpc_ckpt_N.ckpt and to requeue the job.

    A step, the wait for its end included, has to fit into the time that is given: 30 s by torchrun
    and Kubernetes, KillWait or --signal=TERM@SECONDS by Slurm. All micro-batches of
    `accumulate_grad_batches` are one step. A validation is left at its next batch and comes again;
    one between micro-batches is finished, and their step after it.
    """

    def __init__(self) -> None:
        self._asked: set[int] = set()
        self._requeue: Any = None
        self._in_validation = False
        self._leaving = False

    def on_sanity_check_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen from here if there is a sanity check."""
        self._listen(trainer)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen: Lightning has just put its own handlers in place."""
        self._listen(trainer)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save in the middle of an epoch; the step's figures are logged after this."""
        if between_steps(trainer) and not validates_next(trainer):
            self._answer(trainer)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Leave after a step."""
        self._leave(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave before a validation in the middle of an epoch."""
        self._leave(trainer)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Save and leave in a validation."""
        fitting = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        if fitting and between_steps(trainer):
            self._in_validation = True
            self._answer(trainer)
            self._in_validation = False
            self._leave(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save and leave at the end of an epoch."""
        self._answer(trainer)
        self._leave(trainer)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let a run that goes on from the middle of a validation begin it anew.

        Lightning would skip it, or validate its remaining batches alone.
        """
        if self._in_validation:
            progress = checkpoint["loops"]["fit_loop"][VALIDATION]
            for part in ("total", "current"):
                progress[part] |= FIRST_BATCH_BEGUN

    def _answer(self, trainer: L.Trainer) -> None:
        """Do what any rank was asked for."""
        if self._leaving or not _any_rank(trainer, bool(self._asked)):
            return
        path = save_last(trainer)
        if _any_rank(trainer, signal.SIGUSR1 in self._asked):
            self._asked.discard(signal.SIGUSR1)
            if callable(self._requeue):
                self._requeue(signal.SIGUSR1, None)
        self._leaving = _any_rank(trainer, signal.SIGTERM in self._asked)
        if self._leaving and trainer.is_global_zero:
            print(
                f"SIGTERM: saved after step {trainer.global_step}. To go on, give the same "
                f"command with --ckpt_path {path}",
                flush=True,
            )

    def _listen(self, trainer: L.Trainer) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        signal.signal(signal.SIGTERM, self._note)
        handler = signal.getsignal(signal.SIGUSR1)
        if callable(handler) and handler != self._note:
            self._requeue = handler
            signal.signal(signal.SIGUSR1, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._asked.add(number)

    def _leave(self, trainer: L.Trainer) -> None:
        if self._leaving:
            raise SystemExit(_exit_code(trainer))


def _any_rank(trainer: L.Trainer, here: bool) -> bool:
    # Waits for the accelerator, as the loop does anyway at the start of the next step.
    return trainer.strategy.reduce_boolean_decision(here, all=False)


def _exit_code(trainer: L.Trainer) -> int:
    """What a rank ends with.

    Lightning's own launcher kills the rank that the user started as soon as another one fails.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    started_here = isinstance(environment, LightningEnvironment) and trainer.local_rank > 0
    return 0 if started_here else EXIT_CODE
