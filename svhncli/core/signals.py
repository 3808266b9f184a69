"""Ctrl-C, SIGTERM and their like while training: noted at once, acted on once the state is consistent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR2", "SIGXCPU")
"""Signals that end a job: those of a keyboard, of a lost terminal, and of schedulers before a time limit."""
EXIT_CODES = {getattr(signal, name): 128 + getattr(signal, name) for name in ENDING if hasattr(signal, name)}
"""As shells report them. Windows does not have all of these signals."""
SAVE = getattr(signal, "SIGUSR1", None)
"""Asks a job to save its state and go on."""


@contextmanager
def noted(say: Callable[[], None], again: bool = True) -> Iterator[Callable[[], int | None]]:
    """In the block the first signal that ends a job is only noted; a second one acts as it would outside.

    again: False if later ones do nothing: a process that has a parent may get a terminal's Ctrl-C twice.

    A signal that the process was started to ignore, as nohup ignores SIGHUP, stays ignored, but for Ctrl-C:
    shells ignore that for every process in the background, where a person may still send it by name.

    Yields a function that returns the exit code of the signal received, or None. Outside the main thread,
    where Python cannot install handlers, it always returns None. `say` informs the user of the signal.
    """
    received: list[int] = []
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        received.append(EXIT_CODES[signal.Signals(number)])
        if again:
            restore()
        if len(received) == 1:
            say()

    if threading.current_thread() is threading.main_thread():
        for number in EXIT_CODES:
            if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, note)
    try:
        yield lambda: received[0] if received else None
    finally:
        restore()


@contextmanager
def save_requests() -> Iterator[Callable[[], bool]]:
    """In the block `SAVE` asks for a save; yields a function: whether it came since it was last called."""
    if SAVE is None or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    received: list[int] = []

    def taken() -> bool:
        asked = bool(received)
        received.clear()
        return asked

    before = signal.signal(SAVE, lambda number, _: received.append(number))
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, {SAVE})  # processes are started with a block
    try:
        yield taken
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(SAVE, before)


@contextmanager
def held_back() -> Iterator[None]:
    """In the block signals that end a job wait, and act when it ends; outside the main thread none waits."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    ours = [number for number in EXIT_CODES if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in ours}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(received):
            signal.raise_signal(number)
