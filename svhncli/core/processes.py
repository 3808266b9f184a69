"""Worker processes: Ctrl-C does not reach them, and none outlives its parent."""

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
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar

Job = TypeVar("Job")
Done = TypeVar("Done")

_AHEAD = 3
"""Jobs per process that may be running, or done but not yet consumed: more would fill the memory."""


def available_cpus() -> int:
    """CPUs that this process may run on if the system can tell, else all CPUs of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(work: Callable[[Job], Done], jobs: Sequence[Job], workers: int) -> Generator[Done, None, None]:
    """`work(job)` for every job, in order, in processes that end with this generator, however it ends.

    work: a function that the processes can import. workers: the number of processes; 1 uses this process.
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
        with interrupts_ignored():  # a Ctrl-C in the middle of this would leave processes that nobody ends
            pool.shutdown(cancel_futures=True)


def launched() -> tuple[int, int]:
    """Which of the processes of one run this is, from 0, and how many there are, as torchrun says it in the
    environment; (0, 1) in any other process."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def ending(code: int) -> str:
    """How a process ended, by its exit code as Python reports it: `was ended by SIGKILL`."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def spawning() -> SpawnContext:
    """The context for starting processes by spawning: forking after OpenMP was used (by torch) hangs forever.

    In a process started by joblib the default is joblib's own start method, which new processes would inherit
    without knowing it.
    """
    default = multiprocessing.get_start_method(allow_none=True)
    if default not in (None, *multiprocessing.get_all_start_methods()):
        multiprocessing.set_start_method("spawn", force=True)
    return multiprocessing.get_context("spawn")


@contextmanager
def serving(
    serve: Callable[..., None], arguments: Sequence[tuple[Any, ...]]
) -> Iterator[list[tuple[SpawnProcess, Connection]]]:
    """A process for each tuple that calls `serve(pipe, *arguments)`, and this side of its pipe.

    Whatever happens in the block, none is left after it.
    """
    context = spawning()
    started: list[tuple[SpawnProcess, Connection]] = []
    try:
        with interrupts_held():
            for values in arguments:
                here, there = context.Pipe()
                process = context.Process(target=serve, args=(there, *values))
                process.start()
                there.close()
                started.append((process, here))
        yield started
    finally:
        for process, pipe in started:
            process.kill()
            process.join()
            pipe.close()


def _begin() -> None:
    """In each new process: leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Block Ctrl-C while processes start: they inherit the block, so only the parent handles it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # otherwise multiprocessing would start it now and unblock Ctrl-C
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C in the block; outside the main thread, where Python delivers none, this does nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def end_with_parent() -> None:
    """In a new process: watch the parent, and end when it ends, even by SIGKILL."""
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
