"""Processes that do what `python -m svhncli` does, forked from one that has imported all that they need.

Importing torch takes seconds, which is most of what a short command takes. A forked process is a real one,
with its own pid, signals, files, folder and environment.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib
import json
import os
import pty
import runpy
import select
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

REPO = Path(__file__).resolve().parent.parent
SLOW = (
    *("torch", "hydra", "jinja2", "rich.progress", "scipy.optimize", "scipy.stats"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg"),
    *("svhncli.cli.execution", "svhncli.commands.train", "svhncli.commands.eval", "svhncli.report.html.page"),
)
"""What takes long to import."""
PIPE = subprocess.PIPE


def environment(*more: Path) -> dict[str, str]:
    """That of this process, with this copy of svhncli, and modules of these folders."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (REPO, *more)))}


@contextmanager
def serving() -> Iterator[Server]:
    """The process from which others are forked. It ends with the block that uses it; the others do not."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], start_new_session=True, env=environment()
            )
        yield Server(ours)
    process.kill()
    process.wait()


@dataclass(frozen=True)
class Server:
    """A way to `serving`'s process.

    requests: may be inherited by another process, which then starts some, too.
    """

    requests: socket.socket

    def start(
        self,
        *words: str,
        cwd: Path | str | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        start_new_session: bool = False,
    ) -> Forked:
        """Run `svhn words`.

        A stream is PIPE or a descriptor; else the input is empty and the outputs are this process's own.

        A standard input that is a terminal becomes the terminal of a new session, whose Ctrl-C arrives.
        """
        request = {
            "words": words,
            "cwd": str(cwd or Path.cwd()),
            "env": environment(),
            "start_new_session": start_new_session,
        }
        if stdin == PIPE:
            read_end, stdin = os.pipe()
        else:
            read_end, stdin = os.open(os.devnull, os.O_RDONLY) if stdin is None else os.dup(stdin), None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        given, kept = [read_end], []
        for number, stream in ((1, stdout), (2, stderr)):
            own, other = os.pipe() if stream == PIPE else (None, number if stream is None else stream)
            given.append(other)
            kept.append(own)
        socket.send_fds(self.requests, [json.dumps(request).encode()], [*given, theirs.fileno()])
        theirs.close()
        os.close(read_end)
        for descriptor, pipe in zip(given[1:], kept, strict=True):
            if pipe is not None:
                os.close(descriptor)
        return Forked(ours, stdin, *kept)


class Forked:
    """A process, used like a `subprocess.Popen` in text mode."""

    def __init__(
        self, status: socket.socket, stdin: int | None, stdout: int | None, stderr: int | None
    ) -> None:
        self._status = status
        self.pid = int(status.recv(20))
        self.returncode: int | None = None
        self.stdin = None if stdin is None else os.fdopen(stdin, "w")
        self.stdout, self.stderr = (None if fd is None else os.fdopen(fd) for fd in (stdout, stderr))

    def wait(self, timeout: float = 300) -> int:
        """The exit code.

        Raises:
            TimeoutError: the process took longer than `timeout` seconds and was killed.
        """
        if self.returncode is None:
            ready, _, _ = select.select([self._status], [], [], timeout)
            if not ready:
                self.kill()
            with self._status:
                self.returncode = int(self._status.recv(20))
            if not ready:
                raise TimeoutError
        return self.returncode

    def communicate(self, text: str = "", timeout: float = 300) -> tuple[str, str]:
        """Type the text into its standard input, close it and wait; the process's output and errors."""
        with ThreadPoolExecutor(2) as pool:
            out, err = (pool.submit(_drain, pipe) for pipe in (self.stdout, self.stderr))
            if self.stdin is not None and not self.stdin.closed:
                with self.stdin:
                    self.stdin.write(text)
            self.wait(timeout)
        return out.result(), err.result()

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):  # it has ended, but nobody has waited for it
            if self.returncode is None:
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def type_keys(start: Callable[..., Forked], keys: str, when: str, **streams: int) -> tuple[Forked, str]:
    """Start a command on a terminal and type a key whenever it has shown `when` once more.

    start: called with the terminal as `stdin`, `stdout` and `stderr`. streams: others instead.

    Returns:
        The process, which has ended, and what the terminal showed.
    """
    terminal, follower = pty.openpty()
    process = start(**{"stdin": follower, "stdout": follower, "stderr": follower, **streams})
    os.close(follower)
    screen, typed = b"", 0
    with suppress(OSError):  # EIO, once nobody writes any more
        while piece := os.read(terminal, 65536):
            screen += piece
            if typed < len(keys) and screen.count(when.encode()) > typed:
                os.write(terminal, keys[typed].encode())
                typed += 1
    os.close(terminal)
    process.wait()
    return process, screen.decode()


def _drain(pipe: IO[str] | None) -> str:
    if pipe is None or pipe.closed:
        return ""
    with pipe:
        return pipe.read()


# ----------------------------------------------------------------------------- in the server


def serve(requests: socket.socket) -> NoReturn:
    """Fork a process for every request, until nobody can send one."""
    for module in SLOW:
        importlib.import_module(module)
    gc.freeze()  # the processes need not look through it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keepers
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 4)
        if not request:
            os._exit(0)
        if os.fork() == 0:
            try:
                _keep(json.loads(request), descriptors, requests)
            finally:
                os._exit(1)
        for descriptor in descriptors:
            os.close(descriptor)


def _keep(request: dict[str, Any], descriptors: list[int], requests: socket.socket) -> NoReturn:
    """Start the process, report its number, wait for it and report its exit code."""
    requests.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, status = descriptors
    pid = os.fork()
    if pid == 0:
        os.close(status)
        _become(request, streams)
    for stream in streams:
        os.close(stream)
    os.write(status, str(pid).encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.write(status, str(code).encode())
    os._exit(0)


def _become(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Be `python -m svhncli`, but end without taking torch down, which takes half a second."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", buffering=1 if os.isatty(1) else -1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    code = 1
    try:
        if request["start_new_session"] or os.isatty(0):
            os.setsid()
        if os.isatty(0):
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.path[0:1] = [request["cwd"], *filter(None, os.environ["PYTHONPATH"].split(os.pathsep))]
        sys.argv = ["svhn", *request["words"]]
        runpy.run_module("svhncli", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
