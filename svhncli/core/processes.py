"""Processes that work beside this one: Ctrl-C does not reach them, and none outlives its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext
from typing import TypeVar

Job = TypeVar("Job")
Done = TypeVar("Done")

_AHEAD = 3
"""Jobs for each process that are under way or done and not yet taken: more would fill memory."""


def available_cpus() -> int:
    """CPUs that this process may run on, where the system tells; else all of the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(work: Callable[[Job], Done], jobs: Sequence[Job], workers: int) -> Generator[Done, None, None]:
    """What `work` makes of each job, in order, in processes that end with this generator, however it ends.

    work: a function that processes can import. workers: how many processes; 1 is this one.
    """
    if workers == 1 or len(jobs) < 2:
        yield from map(work, jobs)
        return
    context = spawning()
    workers = min(workers, len(jobs))
    pool = ProcessPoolExecutor(workers, context, initializer=_begin)
    waiting = iter(jobs)
    try:
        with interrupts_held():
            ahead = deque(pool.submit(work, job) for job in islice(waiting, _AHEAD * workers))
        while ahead:
            done = ahead.popleft().result()
            ahead.extend(pool.submit(work, job) for job in islice(waiting, 1))
            yield done
    finally:
        pool.shutdown(cancel_futures=True)


def spawning() -> SpawnContext:
    """The context in which processes are spawned: a fork after OpenMP was used (torch was) hangs for ever.

    A process of joblib's has a start method of its own as the default, which it would hand on to new ones,
    which do not know it.
    """
    default = multiprocessing.get_start_method(allow_none=True)
    if default not in (None, *multiprocessing.get_all_start_methods()):
        multiprocessing.set_start_method("spawn", force=True)
    return multiprocessing.get_context("spawn")


def _begin() -> None:
    """In each new process: leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back while processes start: they inherit this, so the parent alone answers to it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # multiprocessing's helper; its start would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """In a new process: watch the parent, and end when it does, even by SIGKILL."""
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
