"""`softmask fit --dry_run true`: what a training will take, from a few steps on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, cast

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback

from softmask.callbacks import Blocks, KeptMemory, MatmulPrecision, Stopwatch
from softmask.checkpoint import read_torch
from softmask.forecast import Forecast, count_parameters, forecast_table, lasts
from softmask.tasks import ContrastTask, TaskModule


class Feed(NamedTuple):
    """What a fit is fed with."""

    data: L.LightningDataModule
    batch_size: int  # on each rank
    batches: int  # an epoch, on each rank
    samples: Mapping[str, int]  # by split


def check_queue(task: TaskModule, batch: int) -> None:
    """Refuse a queue that the global batch does not divide, before any process group starts.

    Raises:
        InputError: with the nearest sizes that would do.
    """
    if isinstance(task, ContrastTask):
        task.queue.check(batch)


def dry_run(trainer: L.Trainer, task: TaskModule, feed: Feed, checkpoint: str | None) -> str:
    """Say what a fit would take; the trainer is asked for its settings alone.

    Args:
        trainer: of the run, not started.
        task: trained for a few steps on one device, and not fit for use after it.
        feed: its data is used up.
        checkpoint: that the run would go on from.

    Returns:
        A table in lines of text.

    Raises:
        InputError: the settings cannot work.
    """
    known: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    blocks = next((each for each in known if isinstance(each, Blocks)), Blocks())
    watch = Stopwatch(hidden=blocks.compiled or blocks.checkpointed or blocks.chunk is not None)
    # What changes how fast a step is, the training's own.
    own = [each for each in known if isinstance(each, KeptMemory | MatmulPrecision)]
    few_steps(trainer, [*own, blocks, watch]).fit(task, datamodule=feed.data)
    memory, measured = watch.memory(task)
    told = Forecast(
        task=type(task).__name__,
        parameters=count_parameters(task),
        memory=memory,
        measured=measured,
        samples=feed.samples,
        batch=feed.batch_size,
        ranks=trainer.world_size,
        accumulate=trainer.accumulate_grad_batches,
        lasts=lasts(
            feed.batches,
            trainer.accumulate_grad_batches,
            trainer.max_steps,
            -1 if trainer.max_epochs is None else trainer.max_epochs,
        ),
        done=_done(checkpoint),
        queue=task.queue.size if isinstance(task, ContrastTask) else None,
        seconds=tuple(watch.seconds),
        waited=watch.waited / max(sum(watch.seconds), 1e-9),
    )
    return forecast_table(told)


def few_steps(trainer: L.Trainer, callbacks: list[Callback]) -> L.Trainer:
    """A trainer like another one that takes a few steps on one device and writes nothing."""
    off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    return L.Trainer(
        accelerator=trainer.accelerator.name(),
        devices=1,
        precision=trainer.precision,
        gradient_clip_val=trainer.gradient_clip_val,
        gradient_clip_algorithm=trainer.gradient_clip_algorithm,
        max_steps=Stopwatch.WARM_UP + Stopwatch.TIMED,
        max_epochs=-1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        callbacks=callbacks,
        **dict.fromkeys(off, False),  # type: ignore[arg-type]
    )


def _done(checkpoint: str | None) -> int:
    if checkpoint is None or not Path(checkpoint).is_file():
        return 0
    content = cast(Mapping[str, int], read_torch(checkpoint, mmap=True))
    return content["global_step"]
