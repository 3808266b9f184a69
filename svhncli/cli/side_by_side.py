"""A sweep's jobs side by side: Hydra composes them here, processes of this machine train them."""

from __future__ import annotations

import atexit
import gc
import signal
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import setup_globals
from omegaconf import DictConfig

from svhncli.cli import execution
from svhncli.cli.job import JobTask, Stopped, failed
from svhncli.core.errors import SvhnError
from svhncli.core.processes import LOOK, Worker, end_with_parent, share_cpus
from svhncli.core.signals import EXIT_CODES, noted, save_requests

if TYPE_CHECKING:
    from svhncli.report.terminal import RunningJob


@dataclass(frozen=True)
class _Sent:
    """A job that a process has: what it is called, and its folder."""

    job: RunningJob
    folder: Path


class SideBySide:
    """The task of a sweep whose jobs train side by side, while the block runs: it hands each job to a process
    that has none, waiting for one, and returns.

    A process that ends fails the job that it had, and another job gets a new one. After a signal the states
    of all jobs are saved.
    """

    def __init__(self, task: JobTask, at_once: int) -> None:
        self.task = task
        self.at_once = at_once
        self._workers: dict[Any, Worker] = {}
        self._block = ExitStack()

    def __enter__(self) -> SideBySide:
        from svhncli.report.terminal import Show

        self._signalled = self._block.enter_context(noted(Show().stopping))
        self._asked = self._block.enter_context(save_requests())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._block:
            for worker in self._workers.values():
                worker.kill()

    def __call__(self, composed: DictConfig) -> None:
        """Let a process train the job that Hydra has composed, unless its folder holds a finished one.

        Raises:
            Stopped: a signal came; the jobs are saved.
        """
        if self.task.is_done():
            return
        worker = self._free()
        worker.job = _Sent(self.task.job(), execution.run_dir())
        with suppress(OSError):  # it has just ended, and will be heard of as gone
            worker.pipe.send((composed, HydraConfig.instance().cfg))

    def finish(self) -> None:
        """Wait until no job is left.

        Raises:
            Stopped: as `__call__`.
        """
        while any(worker.job is not None for worker in self._workers.values()):
            self._hear()

    def _free(self) -> Worker:
        while True:
            for worker in self._workers.values():
                if worker.job is None:
                    return worker
            if len(self._workers) < self.at_once:
                taken = {worker.slot for worker in self._workers.values()}
                slot = min({*range(self.at_once)} - taken)
                worker = Worker.start(_serve, slot, self.at_once, self.task)
                self._workers[worker.pipe] = worker
                return worker
            self._hear()

    def _hear(self) -> None:
        """Take what processes have sent, and act on a signal."""
        self._receive(LOOK)
        if self._asked():
            for worker in self._workers.values():
                worker.save()
        if (code := self._signalled()) is not None:
            while self._workers:
                for worker in self._workers.values():
                    worker.stop()
                self._receive(LOOK)
            raise Stopped(code)

    def _receive(self, timeout: float) -> None:
        for worker in [self._workers[pipe] for pipe in wait(list(self._workers), timeout)]:
            (kind,) = worker.receive()
            if kind == "gone":
                del self._workers[worker.pipe]
                how = worker.end()
                worker.pipe.close()
                if worker.job is not None and self._signalled() is None:
                    error = SvhnError(
                        f"the process that trained it {how}; what was saved before is whole",
                        "if memory ran out, train fewer at once: jobs=1",
                    )
                    failed(worker.job.job, worker.job.folder, error)
            else:
                worker.job = None


# ----------------------------------------------------------------------------- a process


def _serve(pipe: Connection, slot: int, at_once: int, task: JobTask) -> None:
    """Train one job after another until there are none."""
    end_with_parent()
    atexit.register(gc.freeze)  # as the command itself does
    for number in {*EXIT_CODES} - {signal.SIGINT}:
        signal.signal(number, _stop)
    share_cpus(at_once)
    from svhncli.engine.device import take_gpu

    setup_globals()
    try:
        while True:
            composed, HydraConfig.instance().cfg = pipe.recv()
            take_gpu(slot, composed.device)
            pipe.send((task(composed),))
    except EOFError:  # the parent has ended
        pass


def _stop(number: int, _: FrameType | None) -> None:
    raise Stopped(EXIT_CODES[signal.Signals(number)])
