"""The jobs that a run is made of: folds and seeds, one after another or side by side.

Side by side, each job is trained by a process of its own, which takes the next when it is done. A process
trains by its job's fold, config and thread count alone, so what it makes has the same bits whichever process
trains it, and beside however many others.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import traceback
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from svhncli import registry
from svhncli.config.groups.split import BootstrapConfig
from svhncli.config.verbs.training import TrainConfig
from svhncli.core.errors import Interrupted, SvhnError, UsageError, disk_error
from svhncli.core.files import write_json
from svhncli.core.processes import LOOK, Worker, available_cpus, end_with_parent
from svhncli.core.signals import noted, save_requests
from svhncli.data.dataset import DataSet
from svhncli.data.split import Fold
from svhncli.engine import device
from svhncli.engine.collective import ALONE, Group
from svhncli.engine.device import Machine
from svhncli.report.board import Board, Relay
from svhncli.report.terminal import Show
from svhncli.runs.results import FoldSummary
from svhncli.runs.run_dir import RunDir
from svhncli.training.fold import is_finished, read_or_warn, train_fold


class Watcher:
    """Looks on while jobs are trained one after another; what it raises ends the training, which is saved."""

    def epoch(self, history: Sequence[Mapping[str, Any]]) -> None:
        """An epoch of a job is done and saved; the rows of all its epochs so far."""

    def job(self, number: int, summary: FoldSummary) -> None:
        """A job is done, now or before this start; counted from 0."""


@dataclass(frozen=True)
class Job:
    """A fold to train, and the run's config with this job's seed.

    name: of its folder in the run's, and of its rows in tables. left: how many are still to be trained, this
    included.
    """

    name: str
    fold: Fold
    config: TrainConfig
    left: int = 1


def plan(config: TrainConfig, folds: Sequence[Fold]) -> list[Job]:
    """Every fold with every seed.

    With `repeats` only the randomness of training varies: the folds stay those of the first seed. So a job is
    the very run that `seed=…` with that `split.seed` makes.

    Raises:
        UsageError: repeats of bootstrap replicates.
    """
    several_seeds = config.repeats > 1
    if several_seeds and isinstance(config.split, BootstrapConfig):
        raise UsageError(
            "repeats trains every fold anew, and bootstrap replicates are repetitions already",
            "raise split.n instead",
        )
    seeds = range(config.seed, config.seed + config.repeats)
    configs = {seed: with_seed(config, seed) if several_seeds else config for seed in seeds}
    return [
        Job(name(seed, fold.name, several_seeds, len(folds) > 1), fold, own)
        for seed, own in configs.items()
        for fold in folds
    ]


def name(seed: int, fold: str, several_seeds: bool, several_folds: bool) -> str:
    """Of a job: what tells it from the others."""
    words = [f"seed{seed}"] * several_seeds + [fold] * several_folds
    return "-".join(words) or fold


def with_seed(config: TrainConfig, seed: int) -> TrainConfig:
    """The config of one job with this seed, on the split of the original seed."""
    split = config.split
    if getattr(split, "seed", 0) is None:
        split = replace(split, seed=config.seed)
    return replace(config, seed=seed, repeats=1, split=split)


def how_many(wanted: int | str, count: int, device: torch.device, threads: int) -> int:
    """How many of `count` jobs run at once: `wanted`, or, if that is auto, one a GPU (one for a GPU that
    was chosen), or one a CPU and as many more as keep all CPUs busy to the end.

    Five jobs on two CPUs, two at once, would leave one CPU idle while the fifth runs; three and then two
    at once do not, since the system shares the CPUs out.

    threads: CPU threads of each; 0 leaves one CPU to each.
    """
    if isinstance(wanted, int):
        return min(wanted, count)
    if device.type == "cuda":
        gpus = torch.cuda.device_count() if device.index is None else 1
        return max(1, min(gpus, count))
    places = max(1, available_cpus() // max(1, threads))
    rounds = max(1, count // places)
    return -(-count // rounds) if places > 1 else 1


def share_out(
    wanted: int | str, count: int, machine: Machine, threads: int, devices: int = 1
) -> tuple[int, Machine]:
    """How many at once (see `how_many`), and the machine with the threads that each process then has.

    threads: as asked for; 0 shares the CPUs out. devices: the processes that train one job.

    Raises:
        UsageError: there are several jobs, and several processes for one.
    """
    if devices > 1 and count > 1:
        raise UsageError(
            f"devices={devices} trains one network on several processes, but these are {count} networks",
            f"train them side by side: jobs={devices} devices=1",
        )
    at_once = how_many(wanted, count, machine.device, threads)
    return at_once, replace(machine, threads=threads or max(1, available_cpus() // (at_once * devices)))


def train(
    jobs: Sequence[Job],
    at_once: int,
    machine: Machine,
    data: DataSet,
    record: RunDir,
    show: Show,
    again: str,
    *,
    watcher: Watcher | None = None,
    group: Group = ALONE,
) -> list[FoldSummary]:
    """Train what is not finished; the summaries, in the order of the jobs.

    again: the command that resumes what was interrupted. watcher: of jobs that are trained one after another.
    group: the processes that train one job together.

    Raises:
        Interrupted: a signal came; the state of every job is saved.
        SvhnError: as `train_fold`, of the first job that failed; the others are stopped and saved.
    """
    done: dict[str, FoldSummary] = {}
    for job in jobs:
        folder = _folder(job, jobs, record)
        _write_split(folder.path, job.fold)
        summary = read_or_warn(folder.summary, show, "it is written anew")
        if isinstance(summary, FoldSummary) and is_finished(summary, job.config):
            done[job.name] = summary
    left = [job for job in jobs if job.name not in done]
    if watcher is not None or at_once < 2 or len(left) < 2:
        watcher = watcher or Watcher()
        device.prepare(machine)
        for number, job in enumerate(jobs):
            if job.name not in done:
                folder = _folder(job, jobs, record)
                job = replace(job, left=len(jobs) - len(done))
                done[job.name] = _train(job, machine, data, folder, show, again, watcher, group)
            watcher.job(number, done[job.name])
    else:
        left = [replace(job, left=len(left) - number) for number, job in enumerate(left)]
        done |= _side_by_side(left, at_once, machine, record, show, again)
    # summaries that an earlier version wrote do not name their fold and seed
    return [replace(done[job.name], fold=job.fold.name, seed=job.config.seed) for job in jobs]


def _train(
    job: Job,
    machine: Machine,
    data: DataSet,
    folder: RunDir,
    show: Show,
    again: str,
    watcher: Watcher,
    group: Group = ALONE,
) -> FoldSummary:
    return train_fold(
        job.config,
        machine,
        data,
        job.fold,
        folder,
        show,
        name=job.name,
        again=again,
        seen=watcher.epoch,
        left=job.left,
        group=group,
    )


def _folder(job: Job, jobs: Sequence[Job], record: RunDir) -> RunDir:
    return record if len(jobs) == 1 else record.fold(job.name)


def _write_split(folder: Path, fold: Fold) -> None:
    """The training and validation indices; those of a bootstrap's training part repeat."""
    content = {"name": fold.name, "val_part": fold.val_part}
    content |= {"train": fold.train.tolist(), "val": fold.val.tolist()}
    write_json(folder / "split.json", content, indent=None)


# ----------------------------------------------------------------------------- the parent


def _side_by_side(
    jobs: Sequence[Job], at_once: int, machine: Machine, record: RunDir, show: Show, again: str
) -> dict[str, FoldSummary]:
    """Train the jobs in processes; name -> summary."""
    waiting, done = deque(jobs), {}
    error: BaseException | None = None
    board = Board(show, [job.name for job in jobs], jobs[0].config.epochs)
    count = min(at_once, len(jobs))
    with (
        noted(show.stopping) as signalled,
        save_requests() as asked,
        board,
        _workers(count, machine, record.path, again) as alive,
    ):
        while alive:
            if asked():
                for worker in alive.values():
                    worker.save()
            for worker in [alive[pipe] for pipe in wait(list(alive), timeout=LOOK)]:
                kind, *content = receive(worker)
                if kind == "done":
                    done[_name(worker)] = content[0]
                    board.done(_name(worker), content[0])
                elif kind == "failed":
                    error = error or content[0]
                elif kind == "gone":
                    del alive[worker.pipe]
                    if worker.job is not None and error is None and signalled() is None:
                        error = _lost(worker, again)
                elif kind != "ready":
                    board.take(_name(worker), kind, *content)
                if kind in ("ready", "done", "failed"):  # it waits for an answer, be it that there is no more
                    worker.job = waiting.popleft() if waiting and error is None else None
                    if worker.job is not None:
                        board.begin(worker.job.name)
                    with suppress(OSError):  # it has just ended, and will be heard of as gone
                        worker.pipe.send(worker.job)
            if error is not None or signalled() is not None:
                waiting.clear()
                for worker in alive.values():
                    worker.stop()
    if (code := signalled()) is not None:
        raise Interrupted(
            f"stopped with {len(done)} of {len(jobs)} jobs done; everything is saved",
            f"resume with: {again}",
            code,
        )
    if error is not None:
        raise error
    return done


@contextmanager
def _workers(count: int, machine: Machine, run: Path, again: str) -> Iterator[dict[Any, Worker]]:
    """Processes that wait for jobs, by their pipes; whatever happens in the block, none is left after it."""
    started: list[Worker] = []
    try:
        started.extend(Worker.start(_serve, slot, machine, run, again) for slot in range(count))
        yield {worker.pipe: worker for worker in started}
    finally:
        for worker in started:
            worker.kill()


def receive(worker: Worker) -> tuple[Any, ...]:
    """The next message of a process; ("gone",) when it has ended."""
    kind, *content = worker.receive()
    if kind == "failed":
        content[0].__cause__ = Elsewhere(content.pop())
    return kind, *content


def _name(worker: Worker) -> str:
    assert worker.job is not None
    return worker.job.name


def _lost(worker: Worker, again: str) -> SvhnError:
    """The error of a process that ended without a message."""
    return SvhnError(
        f"the process that trained {_name(worker)} {worker.end()}; what was saved before is whole",
        f"if memory ran out, train fewer at once: {again} jobs=1",
    )


class Elsewhere(Exception):
    """The traceback of an error in another process, as text."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


# ----------------------------------------------------------------------------- a process


def _serve(pipe: Connection, slot: int, machine: Machine, run: Path, again: str) -> None:
    """Train one job after another until there are none."""
    end_with_parent()
    atexit.register(gc.freeze)  # as the command itself does
    if machine.device.type == "cuda":
        device.take_gpu(slot, str(machine.device))
    device.prepare(machine)
    data: DataSet | None = None
    job: Job | None = None
    pipe.send(("ready",))
    while (job := _next(pipe)) is not None:
        show = Relay(lambda *message: pipe.send(message))
        try:
            if data is None:
                for module in job.config.plugins:  # which the user named; they register their parts
                    importlib.import_module(module)
                data = registry.data(job.config.data, job.config.split, job.config.cache, lambda *_: None)
            pipe.send(("done", _train(job, machine, data, RunDir(run / job.name), show, again, Watcher())))
        except Interrupted:
            return  # the parent asked for it
        except Exception as error:
            pipe.send(failed(error))


def failed(error: Exception) -> tuple[str, Exception, str]:
    """The message for `receive` that says so."""
    known = error if isinstance(error, SvhnError) else disk_error(error) or error
    return "failed", known, traceback.format_exc()


def _next(pipe: Connection) -> Job | None:
    try:
        return pipe.recv()
    except EOFError:  # the parent is done with this process
        return None
