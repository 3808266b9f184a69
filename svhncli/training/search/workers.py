"""Trials side by side: processes that each run trials of the study until it has enough."""

from __future__ import annotations

import atexit
import gc
import importlib
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from svhncli import registry
from svhncli.config.space import Space
from svhncli.config.verbs.tuning import TuneConfig
from svhncli.core.errors import Interrupted, SvhnError, disk_error
from svhncli.core.processes import end_with_parent, interrupts_held, spawning
from svhncli.core.signals import noted
from svhncli.engine import device
from svhncli.engine.device import Machine
from svhncli.report.terminal import Silent
from svhncli.training.jobs import take_gpu
from svhncli.training.search.study import Study
from svhncli.training.search.trials import Compose, Setting, run_trials

LOOK = 0.5
"""Seconds between two looks at the study."""
LOST = 5
"""Processes that may end without a word while no trial ends; then the study stops."""

Opened = tuple[Path, str, TuneConfig, Space, int]
"""What `Study` takes."""


def run_side_by_side(
    opened: Opened,
    count: int,
    machine: Machine,
    compose: Compose,
    again: str,
    stopping: Callable[[], None],
    look: Callable[[], int],
) -> None:
    """Run trials in `count` processes until the study has enough or its budget is spent.

    A process that is killed is replaced, and the trial that it ran goes on; see `Study`.

    stopping: says that a signal came. look: called several times a second; how many trials have ended.

    Raises:
        Interrupted: a signal came; the trials are saved, and go on when the study does.
        SvhnError: several trials, or processes, in a row failed in the same way.
    """
    errors: list[SvhnError] = []
    lost = ended_before = 0
    with noted(stopping) as signalled, _Processes(opened, machine, compose, again) as processes:
        for slot in range(count):
            processes.start(slot)
        while processes.alive:
            for pipe in wait(list(processes.alive), timeout=LOOK):
                assert isinstance(pipe, Connection)
                error, slot = processes.ended(pipe)
                if error == "lost":
                    lost = 1 if look() > ended_before else lost + 1
                    ended_before = look()
                    if lost < LOST and signalled() is None and not errors:
                        processes.start(slot)
                elif isinstance(error, SvhnError) and not isinstance(error, Interrupted):
                    errors.append(error)
            if signalled() is not None or errors:
                processes.stop()
            look()
        if (code := signalled()) is not None:
            raise Interrupted("the study was stopped; everything is saved", f"resume with: {again}", code)
    if errors:
        raise errors[0]
    if lost >= LOST:
        raise SvhnError(
            f"{LOST} processes ended without a word, as when memory runs out; what was saved before is whole",
            f"run fewer side by side: {again} jobs=1",
        )


class _Processes:
    """The processes that run now, by their pipes; whatever happens in the block, none is left after it."""

    def __init__(self, opened: Opened, machine: Machine, compose: Compose, again: str) -> None:
        self.opened = opened
        self.machine = machine
        self.compose = compose
        self.again = again
        self.alive: dict[Connection, tuple[Any, int]] = {}
        self.stopped = False

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process, _slot in self.alive.values():
            process.kill()
            process.join()

    def start(self, slot: int) -> None:
        here, there = spawning().Pipe()
        values = (there, slot, self.opened, self.machine, self.compose, self.again)
        with interrupts_held():
            process = spawning().Process(target=_serve, args=values)
            process.start()
        there.close()
        self.alive[here] = process, slot

    def stop(self) -> None:
        """Once: let every process save its trial and end."""
        if not self.stopped:
            self.stopped = True
            for process, _ in self.alive.values():
                process.terminate()

    def ended(self, pipe: Connection) -> tuple[SvhnError | str | None, int]:
        """Why a process ended: None where it was done, "lost" where it did not say; and its slot."""
        error: SvhnError | str | None = "lost"
        with suppress(EOFError, ConnectionError):
            error = pipe.recv()
        process, slot = self.alive.pop(pipe)
        process.join()
        pipe.close()
        return error, slot


def _serve(
    pipe: Connection, slot: int, opened: Opened, machine: Machine, compose: Compose, again: str
) -> None:
    end_with_parent()
    atexit.register(gc.freeze)  # as the command itself does
    if machine.device.type == "cuda" and machine.device.index is None:
        take_gpu(slot)
    device.prepare(machine)
    _, _, config, _, _ = opened
    try:
        for module in config.plugins:  # which the user named; they register their parts
            importlib.import_module(module)
        data = registry.data(config.data, config.split, config.cache, lambda *_: None)
        run_trials(Study(*opened), Setting(compose, machine, data, again), Silent, lambda: None)
        pipe.send(None)
    except Exception as error:
        pipe.send(error if isinstance(error, SvhnError) else disk_error(error) or SvhnError(repr(error)))
