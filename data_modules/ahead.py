"""Shards of addresses brought into the cache before training needs them.

A thread of the process that reads: the first worker, which the system ends with all it holds.
"""

from collections.abc import Iterator
from itertools import accumulate
from threading import Event, Thread
from typing import Any, BinaryIO, cast

import numpy as np
from torch.utils.data import get_worker_info

from data_modules.download import Remote
from data_modules.order import TrainPlan
from data_modules.shards import ShardSet
from data_modules.store import Store, StoreOptions
from softmask.errors import InputError

PARTS = 4  # looks ahead in a window
PATIENCE = 5.0  # seconds for the thread to end; it waits for a server at most that long


class EndedError(BaseException):
    """Nobody wants the shard any more; no kind of failure, so that no try follows."""


class Ahead:
    """Fetches the shards of this window and the next, in the order of their need.

    Never more than the cache holds: shards that come early do not push out others that come first.
    What cannot be fetched is left to the reader, who says what is wrong.

    Args:
        shards: the training samples.
        plan: the order.
    """

    def __init__(self, shards: ShardSet, plan: TrainPlan) -> None:
        self.shards, self.plan = shards, plan
        self._ends = list(accumulate(shards.counts))
        self._mark: tuple[int, int] | None = None
        self._thread: Thread | None = None
        self._place = (0, 0)
        self._moved, self._end = Event(), Event()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the thread behind: a worker process starts its own."""
        return {"shards": self.shards, "plan": self.plan}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Start anew."""
        self.__init__(**state)  # type: ignore[misc]

    def reach(self, epoch: int, step: int) -> None:
        """Look ahead of a step if it is far from where the last look was; returns at once."""
        if (worker := get_worker_info()) is not None and worker.id > 0:
            return
        place = step * self.plan.batch_size * self.plan.world
        mark = epoch, PARTS * place // self.plan.window
        if mark == self._mark:
            return
        self._mark, self._place = mark, (epoch, place)
        self._moved.set()
        if self._thread is None:
            self._thread = Thread(target=self._run, daemon=True, name="shards ahead")
            self._thread.start()

    def close(self) -> None:
        """End the thread, also in the middle of a shard."""
        self._end.set()
        self._moved.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
        self._thread, self._mark = None, None
        self._moved, self._end = Event(), Event()

    def upcoming(self, epoch: int, place: int) -> list[int]:
        """Name the shards of the places from one on, two windows of them, by their first need."""
        wanted, length = 2 * self.plan.window, self.plan.length
        first = self.plan.positions(epoch, place, min(place + wanted, length))
        rest = min(wanted - len(first), length)
        positions = np.concatenate([first, self.plan.positions(epoch + 1, 0, rest)])
        numbers = np.searchsorted(self._ends, positions % len(self.shards), side="right")
        found, at = np.unique(numbers, return_index=True)
        return [int(number) for number in found[np.argsort(at)]]

    def _run(self) -> None:
        moved, end = self._moved, self._end
        store = _EndingStore(self.shards.store.options, end)
        while not end.is_set():
            moved.wait()
            moved.clear()
            try:
                for _ in self._fetch(store):
                    if moved.is_set():
                        break
            except EndedError:
                return

    def _fetch(self, store: Store) -> Iterator[None]:
        """Fetch shard by shard until all are there or the cache is full of them."""
        total = 0
        for number in self.upcoming(*self._place):
            place = self.shards.places[number]
            if not isinstance(place, Remote):
                continue
            total += place.size or 0
            if total > store.most or not store.make_room(place):
                return
            try:
                lease = store.lease(place)
            except InputError:
                continue
            total += 0 if place.size else lease.file.stat().st_size
            lease.release()
            yield


class _EndingStore(Store):
    """A store whose downloads an event ends."""

    def __init__(self, options: StoreOptions, end: Event) -> None:
        super().__init__(options)
        self._end = end

    def _fill(self, remote: Remote, file: BinaryIO) -> None:
        super()._fill(remote, cast(BinaryIO, _Watched(file, self._end)))


class _Watched:
    """A file that cannot be used once an event came."""

    def __init__(self, file: BinaryIO, end: Event) -> None:
        self._file, self._end = file, end

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever the file has)
        if self._end.is_set():
            raise EndedError
        return getattr(self._file, name)
