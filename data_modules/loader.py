"""The loaders that Lightning is handed: whole batches, made in worker processes."""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from multiprocessing import parent_process
from threading import Thread
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from data_modules.batches import Batch, Batches, Made, Make, Place
from data_modules.cursor import Cursor
from data_modules.order import EvaluationPlan, TrainPlan, fitting_devices
from data_modules.replace import Refusing, Replacing, Steps
from data_modules.shards import ShardSet
from softmask.drops import Tally
from softmask.errors import InputError

PREFETCH = 4  # batches each worker keeps ready


class BatchLoader:
    """What both loaders share: the worker processes, kept from pass to pass.

    Args:
        batches: by place.
        places: asked anew on each pass.
        workers: processes that make batches; 0 makes them here.
    """

    def __init__(self, batches: Batches, places: Iterable[Place], workers: int) -> None:
        self._batches, self._places, self._workers = batches, places, workers
        self._loader: DataLoader[Made | InputError] | None = None

    def close(self) -> None:
        """End the workers; a later pass starts new ones."""
        self._loader = None

    def _start(self) -> Iterator[Made]:
        if self._loader is None:
            self._loader = DataLoader(
                self._batches,
                batch_size=None,
                sampler=self._places,
                collate_fn=_as_is,
                num_workers=self._workers,
                prefetch_factor=PREFETCH if self._workers else None,
                persistent_workers=self._workers > 0,
                pin_memory=torch.cuda.is_available(),
                worker_init_fn=_settle,
                # Its own generator: a pass must not move the random numbers that dropout draws.
                generator=torch.Generator(),
            )
        return _raise_errors(iter(self._loader))


class PairLoader(BatchLoader):
    """The training loader: knows where it is, and continues there.

    One pass gives the rest of an epoch. The place counts batches handed out, not those that workers
    have ready, so a checkpoint of a running loader is exact.

    Args:
        shards: the training samples.
        plan: the order.
        make: items to a batch.
        steps: a sample to an item, or BadSample; samples go as they are unless given.
        tally: counts the samples and those that others stand for.
        check: told after each batch whether it ends an epoch, stops a run that loses too much; the
            tally's own unless given.
        workers: processes that make batches; 0 makes them here.
        stop: steps of an epoch when less than the plan's, as Trainer(limit_train_batches) wants.
        same_epoch: give epoch 0 again and again, as Trainer(overfit_batches) wants.
    """

    def __init__(
        self,
        shards: ShardSet,
        plan: TrainPlan,
        make: Make,
        *,
        workers: int,
        steps: Steps = (),
        tally: Tally | None = None,
        check: Callable[[bool], None] | None = None,
        stop: int | None = None,
        same_epoch: bool = False,
    ) -> None:
        self.plan = plan
        self._cursor = Cursor(plan.steps if stop is None else min(stop, plan.steps), same_epoch)
        self.tally = tally or Tally()
        self._check = check or self.tally.check
        self.place = partial(_place, plan, self._cursor)
        """Gives what `state_dict` does, and does not hold the loader."""
        fetch = Replacing(shards, steps, plan.seed)
        super().__init__(Batches(fetch, plan, make), self._cursor, workers)

    def __len__(self) -> int:
        """Count the steps of a whole epoch, also when the next pass begins in the middle."""
        return self.plan.steps

    def __iter__(self) -> Iterator[Batch]:
        """Give the rest of the epoch."""
        return self._hand_out(self._start())

    def _hand_out(self, batches: Iterator[Made]) -> Iterator[Batch]:
        for batch, drops in batches:
            self.tally.add(self.plan.batch_size, drops)
            self._check(self._cursor.step + 1 == self._cursor.stop)
            # Before the batch leaves: Lightning never comes back after the last one.
            self._cursor.advance()
            yield batch

    def go_to(self, epoch: int, step: int) -> None:
        """Go to a place, or to the next epoch if epochs end before it now."""
        self.tally.start = epoch, step
        self._cursor.go_to(epoch, step)

    def state_dict(self) -> dict[str, int]:
        """Give the place of the next batch, and what gives places a meaning."""
        return self.place()

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go to a saved place, as `go_to` does.

        Raises:
            InputError: if what gives places a meaning is not what was saved.
        """
        own = self.state_dict()
        for name, found in state.items():
            if name in own and name not in ("epoch", "step") and found != own[name]:
                raise InputError(
                    f"The checkpoint was saved with {name} {found} but this run has {own[name]}: "
                    f"{self._mend(name, found)}, or start anew from its weights "
                    f"(model.init_args.init_from)."
                )
        self.go_to(state["epoch"], state["step"])

    def _mend(self, name: str, saved: int) -> str:
        if name == "global_batch":
            return fitting_devices(saved, self.plan.world)
        if name == "samples":
            return f"give data.init_args.train the data set of {saved} samples"
        return f"set data.init_args.{name} to {saved}"


class EvaluationLoader(BatchLoader):
    """A loader of the same batches on every pass; it keeps no place.

    Args:
        shards: the samples.
        plan: the order.
        make: items to a batch.
        steps: a sample to an item, or BadSample; samples go as they are unless given.
        workers: processes that make batches; 0 makes them here.
    """

    def __init__(
        self,
        shards: ShardSet,
        plan: EvaluationPlan,
        make: Make,
        *,
        workers: int,
        steps: Steps = (),
    ) -> None:
        self.plan = plan
        places = [(0, step) for step in range(plan.steps)]
        super().__init__(Batches(Refusing(shards, steps), plan, make), places, workers)

    def __len__(self) -> int:
        """Count the batches."""
        return self.plan.steps

    def __iter__(self) -> Iterator[Batch]:
        """Give all batches."""
        return (made.batch for made in self._start())


def _place(plan: TrainPlan, cursor: Cursor) -> dict[str, int]:
    return {
        "epoch": cursor.epoch,
        "step": cursor.step,
        "seed": plan.seed,
        "window": plan.window,
        "samples": sum(plan.counts),
        "global_batch": plan.batch_size * plan.world,
    }


def _raise_errors(batches: Iterator[Made | InputError]) -> Iterator[Made]:
    for batch in batches:
        if isinstance(batch, InputError):
            # A new one: a frame that raises its own variable holds itself, and the workers with it.
            raise InputError(str(batch)) from batch
        yield batch


def _as_is(batch: Any) -> Any:  # noqa: ANN401 (one type in, the same out)
    return batch


def _settle(worker: int) -> None:  # noqa: ARG001 (the interface wants it)
    cv2.setNumThreads(0)
    # Schedulers tell every process of a job to go; a worker that did so by itself would take the
    # run with it before its state is saved. No thread is here yet, so all will block the signal.
    if sys.platform == "darwin":  # cannot say who sent it, and no such scheduler runs there
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    process = parent_process()  # under a fork server it is not what the system calls the parent
    parent = process and process.pid
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
