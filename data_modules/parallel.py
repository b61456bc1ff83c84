"""Work shared by processes that end with the one that started them."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

import cv2

from softmask.errors import InputError

Job = TypeVar("Job")
Result = TypeVar("Result")

AHEAD = 2  # jobs handed to each process before it is done


def in_processes(
    function: Callable[[Job], Result], jobs: Iterable[Job], workers: int
) -> Iterator[Result]:
    """Give a function's results as they are ready, in no order.

    Args:
        function: importable by name.
        jobs: its arguments; they must pickle.
        workers: processes; 0 does all in this one, in order.

    Raises:
        InputError: if the number of workers is negative, or one of them was killed.
    """
    if workers < 0:
        raise InputError(f"workers is {workers}: give 0 or more.")
    if workers == 0:
        yield from map(function, jobs)
        return
    # A fresh process would import torch first, which takes longer than many a job.
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(workers, context, _begin, (os.getpid(),))
    threads = cv2.getNumThreads()
    # Ends OpenCV's threads: a fork has none of them, and would wait for them for ever.
    cv2.setNumThreads(1)
    try:
        yield from _results(pool, function, iter(jobs), AHEAD * workers)
    except BrokenProcessPool as error:
        raise InputError(
            "A worker process was killed, perhaps for want of memory: start again with fewer "
            "--workers; what is done stays done."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(threads)


def _results(
    pool: ProcessPoolExecutor,
    function: Callable[[Job], Result],
    jobs: Iterator[Job],
    ahead: int,
) -> Iterator[Result]:
    # Not pool.map, which would pickle all jobs of a large set at once.
    waiting: set[Future[Result]] = {pool.submit(function, job) for job in islice(jobs, ahead)}
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            waiting |= {pool.submit(function, job) for job in islice(jobs, 1)}
            yield future.result()


def _begin(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process answers Ctrl-C for all
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    # Killed, it cannot end its workers, and their pipes stay open in one another.
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
