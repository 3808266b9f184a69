"""Photographs that end the process opening them; it imports little, so that such a process starts quickly."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import NoReturn

from svhncli.data.photographs import PhotographFile


@dataclass(frozen=True, slots=True)
class Crashing(PhotographFile):
    """A photograph that crashes the process opening it."""

    def source(self) -> NoReturn:
        os.kill(os.getpid(), signal.SIGSEGV)
        raise AssertionError


@dataclass(frozen=True, slots=True)
class Killed(PhotographFile):
    """As if the system ended the process because its memory is full."""

    def source(self) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError
