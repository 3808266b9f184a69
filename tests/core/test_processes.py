"""Work in several processes, stopped by a person."""

import os
import signal
import subprocess
import sys
from subprocess import PIPE

import pytest

from svhncli.core.processes import available_cpus, share_cpus

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
