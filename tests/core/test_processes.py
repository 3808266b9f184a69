"""Work in several processes, stopped by a person."""

import multiprocessing
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from subprocess import PIPE

import pytest

from svhncli.core.errors import DataError
from svhncli.core.processes import (
    CrashError,
    apart,
    available_cpus,
    each_apart,
    in_order,
    share_cpus,
    spawning,
)

pytestmark = pytest.mark.engine

SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
signal.signal(signal.SIGTERM, lambda number, _: sys.exit(143))  # as svhn does
from svhncli.core import processes
shutdown = processes.ProcessPoolExecutor.shutdown
def announced(pool, *args, **named):
    print("shutdown", flush=True)
    shutdown(pool, *args, **named)
processes.ProcessPoolExecutor.shutdown = announced
for _ in processes.in_order(time.sleep, [1.0] * 100, 2):
    print("done", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_while_the_processes_end_leaves_none_behind(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SLOW], stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout is not None
        for line in ("done\n", "shutdown\n"):
            assert line in iter(process.stdout.readline, "")
            process.send_signal(number)
        try:
            process.communicate(timeout=60)  # without an end to it, the processes wait for each other
        finally:
            process.kill()
        assert process.returncode != 0


@pytest.mark.parametrize(("among", "share"), [(1, 8), (3, 2), (16, 1)])
def test_processes_that_run_at_once_share_the_cpus(
    among: int, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {*range(8)})
    share_cpus(among)
    try:
        assert available_cpus() == share
    finally:
        share_cpus(1)


def crash(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def refuse(text: str) -> None:
    raise DataError(text)


def unpicklable() -> object:
    return lambda: None


def test_a_crash_is_an_error_and_the_next_work_is_done() -> None:
    with pytest.raises(CrashError, match="was ended by SIGSEGV"):
        apart(crash)
    assert apart(max, 2, 3) == 3


def crash_at(number: int, fatal: int) -> int:
    return crash() or number if number == fatal else number


def test_work_that_crashes_is_told_from_what_was_with_it() -> None:
    first, second, third = each_apart(crash_at, [1, 2, 3], 2)
    assert (first, third) == (1, 3)
    assert isinstance(second, CrashError)
    assert list(each_apart(crash_at, range(300), 300)) == list(range(300))


def test_an_error_of_the_work_comes_back_and_the_process_stays() -> None:
    before = apart(os.getpid)
    with pytest.raises(DataError, match="why"):
        apart(refuse, "why")
    with pytest.raises(RuntimeError, match="unpicklable"):
        apart(unpicklable)
    assert apart(os.getpid) == before != os.getpid()


def test_a_crash_of_one_of_several_processes_is_an_error() -> None:
    with pytest.raises(CrashError, match="a process crashed"):
        list(in_order(crash, [1, 2], 2))


def test_a_crash_that_is_noticed_when_more_is_to_be_done_is_an_error() -> None:
    before = set(multiprocessing.active_children())

    def wait(_: int) -> None:
        for child in set(multiprocessing.active_children()) - before:
            child.join()  # all of a pool end with the one that crashes

    with pytest.raises(CrashError, match="a process crashed"):
        list(map(wait, in_order(partial(crash_at, fatal=3), range(40), 2)))


class EndsIt:
    """Ends a process while it is being sent to it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def __reduce__(self) -> tuple[type, tuple[()]]:
        os.kill(self.pid, signal.SIGKILL)
        while Path(f"/proc/{self.pid}/stat").read_text().split()[2] != "Z":
            os.sched_yield()
        return int, ()


def test_a_process_that_ends_while_work_is_sent_to_it_is_an_error() -> None:
    with pytest.raises(CrashError, match="was ended by SIGKILL") as caught:
        apart(abs, EndsIt(apart(os.getpid)))
    assert caught.value.is_from_outside
    assert apart(max, 2, 3) == 3


def test_a_process_that_may_start_none_does_the_work_itself() -> None:
    with spawning().Pool(1) as pool:
        assert pool.apply(apart, (max, 2, 3)) == 3


def test_relative_paths_refer_to_the_folder_of_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        assert apart(os.getcwd) == str(tmp_path / name)


def test_a_process_that_was_ended_meanwhile_is_replaced() -> None:
    before = apart(os.getpid)
    (helper,) = (child for child in multiprocessing.active_children() if child.pid == before)
    os.kill(before, signal.SIGKILL)
    helper.join()
    assert apart(os.getpid) != before


def test_work_apart_needs_no_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert apart(max, 2, 3) == 3
