"""Ctrl-C and SIGTERM while training: noted at once, acted on once the state is consistent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@contextmanager
def noted(say: Callable[[], None]) -> Iterator[Callable[[], int | None]]:
    """In the block the first SIGINT or SIGTERM is only noted; a second one acts as it would outside.

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
        restore()
        say()

    if threading.current_thread() is threading.main_thread():
        for number in EXIT_CODES:
            before[number] = signal.signal(number, note)
    try:
        yield lambda: received[0] if received else None
    finally:
        restore()
