"""One run on several processes, called ranks: they are started, join, follow the first, and end together.

torchrun starts them, or `devices=` does in the same way, with a rank's number in its environment. Rank 0
alone prepares data, writes and prints; the others wait for its orders, and then take every step with it. Each
rank gives a sign of life every second and looks for those of the others.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from svhncli import registry
from svhncli.config.verbs.training import TrainConfig
from svhncli.core.errors import Interrupted, SvhnError, UsageError
from svhncli.core.processes import LOOK, Worker, end_with_parent, launched
from svhncli.core.signals import EXIT_CODES, noted, save_requests
from svhncli.data.split import Fold
from svhncli.engine import device
from svhncli.engine.batches import training_images
from svhncli.engine.collective import ALONE, Group, LostProcessError
from svhncli.engine.device import Machine
from svhncli.engine.loop import Epoch, fit
from svhncli.report.terminal import Show
from svhncli.runs import checkpoint
from svhncli.training.assembly import assemble
from svhncli.training.jobs import failed, receive

Result = TypeVar("Result")

BEAT = 1.0
"""Seconds between two signs of life."""
STALL = 20.0
"""A rank that gave no sign for so many seconds ends the run."""
START = 300.0
"""Seconds within which every rank must have started."""
FOREVER = timedelta(days=365)
"""How long an exchange may take: rank 0 may prepare data for hours, and silence shows what stalls."""
REASON = "reason"
"""Where a rank leaves word of why it ends the run."""
INTACT = "what was saved before is whole"


@dataclass(frozen=True)
class Orders:
    """What the other ranks need from rank 0. last: the checkpoint to continue from, if it exists."""

    config: TrainConfig
    machine: Machine
    fold: Fold
    last: Path


# ----------------------------------------------------------------------------- every rank


@contextmanager
def joined() -> Iterator[Group]:
    """The group that this process belongs to, until the end of the block.

    Raises:
        UsageError: the ranks are on several machines, or cannot find each other.
        LostProcessError: a rank ended.
    """
    rank, size = launched()
    if size == 1:
        yield ALONE
        return
    if int(os.environ.get("LOCAL_WORLD_SIZE", size)) != size:
        raise UsageError("one run trains on one machine", "start torchrun with --nnodes=1")
    over = threading.Event()
    try:
        store, *_ = next(rendezvous("env://", timeout=timedelta(seconds=START)))
        threading.Thread(target=_watch, args=(store.clone(), rank, size, over), daemon=True).start()
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=FOREVER)
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"WORLD_SIZE={size} is set, but the processes do not find each other: {error}",
            "start them with torchrun, or unset WORLD_SIZE and use devices=",
        ) from error
    try:
        yield Group(rank, size)
    finally:
        over.set()
    dist.destroy_process_group()


def _watch(store: Any, rank: int, size: int, over: threading.Event) -> None:
    """Give signs of life and look for the others', until it is over; if one of them stalls, end all.

    The main thread may be waiting for the stalled rank within torch, where no exception reaches it.
    """
    store.set_timeout(timedelta(seconds=STALL))
    store.set(f"pid{rank}", str(os.getpid()))
    beats = [0] * size
    looked = time.monotonic()
    heard = [looked] * size
    while not over.wait(BEAT):
        try:
            latest = [store.add(f"beat{other}", int(other == rank)) for other in range(size)]
        except RuntimeError:  # it was torchrun's; a parent of our own ends its ranks with itself
            _end("what connects the processes has ended or does not answer")
        now = time.monotonic()
        if now - looked > STALL / 2:  # this process itself stood still, as after Ctrl-Z
            heard = [now] * size
        looked = now
        for other, beat in enumerate(latest):
            if beat != beats[other]:
                beats[other], heard[other] = beat, now
            elif now - heard[other] > (STALL if beat else START) and not over.is_set():
                _end_all(
                    store, other, f"rank {other} has given no sign of life for {now - heard[other]:.0f} s"
                )


def _end_all(store: Any, stalled: int, reason: str) -> None:
    """End the stalled rank, which nobody else does soon, and this one; the parent ends all others."""
    store.set(REASON, reason)
    with suppress(OSError, RuntimeError):
        os.kill(int(store.get(f"pid{stalled}")), signal.SIGKILL)
    _end(reason)


def _end(reason: str) -> NoReturn:
    if multiprocessing.parent_process() is None:  # else the parent says it
        print(f"svhn: error: {reason}; {INTACT}", file=sys.stderr, flush=True)
    os._exit(1)


def lead(group: Group, orders: Orders) -> Group:
    """Rank 0: tell the others what to train; the group that trains it.

    Raises:
        UsageError: there are too few GPUs.
    """
    if orders.machine.device.type == "cuda" and group.size > torch.cuda.device_count():
        raise UsageError(
            f"devices={group.size} needs as many GPUs, and torch finds {torch.cuda.device_count()}",
            f"use devices={torch.cuda.device_count()}, or device=cpu",
        )
    return _ready(group, group.shared(orders))


def _ready(group: Group, orders: Orders) -> Group:
    if group.size > 1 and orders.machine.device.type == "cuda":
        torch.cuda.set_device(group.rank)
    return replace(group, sync_norm=orders.config.sync_norm)


def follow() -> int:
    """Be a rank other than 0; the exit code.

    Raises:
        SvhnError: as for training.
    """
    with joined() as group:
        orders: Orders | None = group.shared(None)
        return 0 if orders is None else _train_along(_ready(group, orders), orders)


def _train_along(group: Group, orders: Orders) -> int:
    """Take every step with rank 0, and stop where it stops."""
    config, fold, machine, show = orders.config, orders.fold, orders.machine, Show()
    show.quiet = True
    for module in config.plugins:  # which the user named; they register their parts
        importlib.import_module(module)
    device.prepare(machine)
    data = registry.data(config.data, config.split, config.cache, lambda *_: None)
    with training_images(data, fold.train, config.epochs, machine.device) as images:
        fresh = not orders.last.is_file()
        plan, state = assemble(config, machine, data, fold, images, show, metric=config.metric, fresh=fresh)
        plan = replace(plan, group=group)
        if not fresh:
            state.load_state_dict(checkpoint.load(orders.last)["state"])
        with noted(lambda: None, again=False) as signalled, save_requests():  # rank 0 saves
            for event in () if state.stopper.should_stop else fit(plan, state):
                if (code := group.agreed(signalled())) is not None:
                    return code
                if isinstance(event, Epoch) and state.stopper.should_stop:
                    break
    group.meet()  # rank 0 scores the best weights, and ends the run if this process ends before it
    return 0


# ----------------------------------------------------------------------------- the parent


def start(count: int, again: str, plugins: Sequence[str], work: Callable[..., Result], *args: Any) -> Result:
    """Call `work(*args)` as rank 0 of `count` processes, which end with this call, however it ends.

    again: the command that resumes the run. plugins: modules that register parts.

    Raises:
        Interrupted: a signal came; the state is saved.
        LostProcessError: a rank was killed or stalled.
        SvhnError: as `work`.
    """
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    with noted(lambda: None) as signalled, save_requests() as asked, ExitStack() as started:
        ranks: dict[Any, Worker] = {}
        for rank in range(count):
            worker = Worker.start(_serve, rank, count, store.port, plugins, work, args)
            started.callback(worker.kill)
            ranks[worker.pipe] = worker
        first = next(iter(ranks.values()))
        while True:
            problems: list[SvhnError] = []
            for worker in [ranks[pipe] for pipe in wait([*ranks], timeout=LOOK)]:
                kind, *content = receive(worker)
                if kind == "done":
                    return content[0]
                if kind == "gone":
                    del ranks[worker.pipe]
                    problems += _problem(worker, store, again)
                elif not isinstance(content[0], LostProcessError):  # whose reason is still to be heard of
                    raise _with_code(content[0], signalled())
            if problems:
                raise _with_code(min(problems, key=lambda problem: "SIG" not in problem.message), signalled())
            if asked():
                first.save()
            if signalled() is not None:
                first.stop()  # it agrees with the others on the step after which all stop


def _problem(worker: Worker, store: Any, again: str) -> list[SvhnError]:
    """Why a rank has ended, if it should not have."""
    how, rank = worker.end(), worker.slot
    code = worker.process.exitcode or 0
    if code == 0 and rank > 0:  # it has done its part
        return []
    if code in EXIT_CODES.values():
        return [Interrupted("stopped before the first step", f"begin again with: {again}", code)]
    reason = f"rank {rank} {how}"
    if store.check([REASON]):
        reason = store.get(REASON).decode()
    return [
        LostProcessError(f"{reason}; {INTACT}", f"resume with: {again} (fewer devices= need less memory)")
    ]


def _with_code(problem: Exception, code: int | None) -> Exception:
    """Rank 0 is stopped by SIGTERM, whichever signal the parent got."""
    if isinstance(problem, Interrupted) and code is not None:
        return Interrupted(problem.message, problem.hint, code)
    return problem


def _serve(
    pipe: Connection,
    rank: int,
    size: int,
    port: int,
    plugins: Sequence[str],
    work: Callable[..., Any],
    args: Sequence[Any],
) -> None:
    """In a new process: be a rank, as if torchrun had started it."""
    end_with_parent()
    atexit.register(gc.freeze)  # as the command itself does
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_CODES[signal.SIGTERM]))  # until training notes it
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    try:
        if rank:
            follow()
        else:
            for module in plugins:  # which the user named
                importlib.import_module(module)
            pipe.send(("done", work(*args)))
    except Exception as error:
        pipe.send(failed(error))
        sys.exit(1)
