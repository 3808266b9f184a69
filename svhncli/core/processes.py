"""Worker processes: Ctrl-C does not reach them, and none outlives its parent."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar, cast

from svhncli.core import signals
from svhncli.core.errors import SvhnError
from svhncli.core.signals import held_back

Job = TypeVar("Job")
Done = TypeVar("Done")

AHEAD = 3
"""Jobs per process that may be running, or done but not yet consumed: more would fill the memory."""

log = logging.getLogger(__name__)
ANSWER = 60.0
"""Seconds in which a process that is asked to end saves its state: far more than any needs."""
LOOK = 0.2
"""Seconds between two looks at whether a signal came, while messages of processes are waited for."""

LOOK_AROUND = "the system ends processes when the memory is full; see dmesg, and leave more of it free"

_sharers = 1
"""Processes like this one that run at once and share the CPUs."""


class CrashError(SvhnError):
    """A process that worked for this one crashed, or something ended it (exit code 1).

    ending: its exit code, where that is known, as Python reports it.
    """

    def __init__(self, message: str, hint: str, ending: int | None = None) -> None:
        super().__init__(message, hint)
        self.args = (message, hint, ending)
        self.ending = ending

    @property
    def is_from_outside(self) -> bool:
        """Whether the process was ended by something else, such as a system whose memory is full."""
        return self.ending in (-signal.SIGTERM, -getattr(signal, "SIGKILL", signal.SIGTERM))


def share_cpus(among: int) -> None:
    """In one of `among` processes that run at once: count on this process's share of the CPUs alone."""
    global _sharers
    _sharers = among


def available_cpus() -> int:
    """CPUs that this process may run on if the system can tell, else all CPUs of the machine; its share of
    them after `share_cpus`."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cpus // _sharers)


def in_order(work: Callable[[Job], Done], jobs: Sequence[Job], workers: int) -> Generator[Done, None, None]:
    """`work(job)` for every job, in order, in processes that end with this generator, however it ends.

    work: a function that the processes can import. workers: the number of processes; 1 uses this process.

    Raises:
        CrashError: one of the processes crashed.
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
            ahead = deque(pool.submit(work, job) for job in islice(waiting, AHEAD * workers))
        while ahead:
            done = ahead.popleft().result()
            ahead.extend(pool.submit(work, job) for job in islice(waiting, 1))
            yield done
    except BrokenProcessPool as error:  # of a result, and of any job that is submitted afterwards
        raise CrashError("a process crashed, or something ended it", LOOK_AROUND) from error
    finally:
        # a second signal in the middle of this would leave processes that nobody ends, and wait for them
        with held_back():
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


def _begin() -> None:
    """In each new process: leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Block Ctrl-C and `SAVE` while processes start: they inherit the block; the parent handles them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # otherwise multiprocessing would start it now and unblock Ctrl-C
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *filter(None, [signals.SAVE])})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """In a new process: watch the parent, and end when it ends, even by SIGKILL."""
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@dataclass
class Worker:
    """A process that works for this one: the pipe to it, and the job that it has, None while it has none.

    slot: its place among its like, from 0.
    """

    process: SpawnProcess
    pipe: Connection
    slot: int
    job: Any = None
    stopped_at: float | None = None

    @classmethod
    def start(
        cls, serve: Callable[..., None], slot: int, *given: object, ends_at_exit: bool = False
    ) -> Worker:
        """A process that calls `serve(pipe, slot, *given)`, a function that it can import. Ctrl-C does not
        reach it. Whoever starts it ends it with `kill`, unless it ends when this process does."""
        context = spawning()
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(there, slot, *given), daemon=ends_at_exit)
        with interrupts_held():
            process.start()
        there.close()
        return cls(process, here, slot)

    def receive(self) -> tuple[Any, ...]:
        """Its next message; ("gone",) when it has ended."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):  # the latter also in the middle of a message
            return ("gone",)

    def stop(self) -> None:
        """Let it save its state and end, also if it has been paused; called again after `ANSWER`, end it."""
        if self.stopped_at is None:
            self.stopped_at = time.monotonic()
            self.process.terminate()
            if hasattr(signal, "SIGCONT") and self.process.is_alive():
                os.kill(cast(int, self.process.pid), signal.SIGCONT)
        elif time.monotonic() - self.stopped_at > ANSWER and self.process.is_alive():
            log.warning(
                "process %s did not end within %s s after it was asked to, and is killed; what it saved "
                "before is whole",
                *(self.process.pid, ANSWER),
            )
            self.process.kill()
            self.process.join()

    def save(self) -> None:
        """Let it save its state and go on."""
        if signals.SAVE is not None and self.process.is_alive():
            os.kill(cast(int, self.process.pid), signals.SAVE)

    def kill(self) -> None:
        """End it now, if it has not ended."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def end(self) -> str:
        """How it ended, in words, after it is gone."""
        self.process.join()
        return ending(self.process.exitcode or 0)


# ----------------------------------------------------------------------------- what may crash

_PIECE = 128
"""Jobs that are sent to the other process at once."""
_helper: Worker | None = None
"""The process for `apart`. It takes a moment to start, so it stays for the next call."""
_turn = threading.Lock()


def apart(work: Callable[..., Done], *given: object) -> Done:
    """`work(*given)` in another process, for work that may crash: that is an error, not the end of this one.

    A process that can start none does the work itself: those of a multiprocessing.Pool may not, and without a
    current folder multiprocessing cannot.

    work: a function that the process can import.

    Raises:
        CrashError: it did.
    """
    global _helper
    here = _current_folder()
    if here is None or multiprocessing.current_process().daemon:
        return work(*given)
    with _turn:
        helper = _helper
        if helper is None or not helper.process.is_alive():  # the system may have ended it meanwhile
            helper = Worker.start(_help, 0, ends_at_exit=True)
        _helper = None
        try:
            with suppress(ConnectionError):  # it ended while this was sent
                helper.pipe.send((here, work, given))
            kind, *answer = helper.receive()
            if kind == "gone":
                raise CrashError(f"a process {helper.end()}", LOOK_AROUND, helper.process.exitcode)
        except BaseException:  # of a signal, too, after which an answer to this call could still come
            helper.kill()
            raise
        _helper = helper
    if kind == "failed":
        raise answer[0]
    return cast(Done, answer[0])


def each_apart(work: Callable[..., Done], jobs: Sequence[Job], *given: object) -> Iterator[Done | CrashError]:
    """`work(job, *given)` for every job, as `apart` does it, in threads; for one that crashes, the error.

    work: a function that the process can import, and that threads may call at once.

    Raises:
        CrashError: something else ended the process.
    """
    for start in range(0, len(jobs), _PIECE):
        piece = jobs[start : start + _PIECE]
        try:
            done: Sequence[Done | CrashError] = apart(_all, available_cpus(), work, piece, given)
        except CrashError:  # one at a time, to find out with which
            done = [_result_or_crash(work, job, *given) for job in piece]
        yield from done


def _all(threads: int, work: Callable[..., Done], jobs: Sequence[Job], given: Sequence[object]) -> list[Done]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda job: work(job, *given), jobs))


def _result_or_crash(work: Callable[..., Done], *given: object) -> Done | CrashError:
    try:
        return apart(work, *given)
    except CrashError as error:
        if error.is_from_outside:
            raise
        return error


def _current_folder() -> str | None:
    """None where it has been removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def _help(pipe: Connection, slot: int) -> None:
    """In the helper: do what comes through the pipe, one thing after the other."""
    _begin()
    with suppress(EOFError):
        while True:
            _answer(pipe)  # whose objects, which may be large, do not stay until the next request


def _answer(pipe: Connection) -> None:
    folder, work, given = pipe.recv()
    try:
        os.chdir(folder)  # to which relative paths refer; this process may have moved since
        answer = "done", work(*given)
    except Exception as error:
        answer = "failed", error
    try:
        pipe.send(answer)
    except Exception as error:  # it cannot be pickled
        pipe.send(("failed", RuntimeError(repr(error))))
