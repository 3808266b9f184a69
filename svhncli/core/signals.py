"""Ctrl-C and SIGTERM while training: noted at once, acted on when the state is whole."""

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
    """In the block, the first SIGINT or SIGTERM is only noted; a second one acts as if there were no block.

    Yields a function that tells the exit code of the signal that came, or None. Outside the main thread,
    where Python takes no handlers, it always tells None. `say` tells the person that the signal came.
    """
    came: list[int] = []
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        came.append(EXIT_CODES[signal.Signals(number)])
        restore()
        say()

    if threading.current_thread() is threading.main_thread():
        for number in EXIT_CODES:
            before[number] = signal.signal(number, note)
    try:
        yield lambda: came[0] if came else None
    finally:
        restore()
