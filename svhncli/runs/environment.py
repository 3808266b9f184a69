"""What a run was trained with, and where it stands: env.json and status.json as types."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from svhncli.core.plain import optional

if TYPE_CHECKING:  # which imports torch
    from svhncli.engine.device import Machine

PACKAGES = ("svhncli", "torch", "torchvision", "numpy", "hydra-core", "omegaconf", "Pillow", "scipy")


@dataclass(frozen=True)
class MachineUsed:
    """Where a run computes; an ensemble, which is not trained, has none of these.

    devices: the processes that train one network together; None is one.
    """

    device: str | None = optional()
    precision: str | None = optional()
    threads: int | None = optional()
    deterministic: bool | None = optional()
    compiled: bool | None = optional()
    devices: int | None = optional()

    @classmethod
    def of(cls, machine: Machine) -> MachineUsed:
        """What is recorded of a machine."""
        return cls(
            str(machine.device), machine.precision, machine.threads, machine.deterministic, machine.compiled
        )


@dataclass(frozen=True)
class DataUsed:
    """The data of a run. train: how many images its training part has. whole: the fingerprint of the data
    before `data.exclude` left images out."""

    name: str
    fingerprint: str | None
    train: int | None = optional()
    whole: str | None = optional()


@dataclass(frozen=True)
class Environment:
    """env.json. versions: of each package, None where it is not installed. command: as it was typed."""

    machine: MachineUsed
    data: DataUsed
    python: str
    platform: str
    versions: dict[str, str | None]
    command: list[str]

    @classmethod
    def of(cls, machine: MachineUsed, data: DataUsed) -> Environment:
        """Of this process."""
        return cls(
            machine,
            data,
            platform.python_version(),
            platform.platform(),
            {package: version(package) for package in PACKAGES},
            [Path(sys.argv[0]).name, *sys.argv[1:]],
        )


@dataclass(frozen=True)
class Status:
    """status.json: running, interrupted, failed, diverged or done. epoch, step: complete ones. reason: why it
    ended."""

    status: str
    pid: int = 0
    time: str = ""
    epoch: int | None = optional()
    step: int | None = optional()
    reason: str | None = optional()

    @classmethod
    def now(
        cls, status: str, epoch: int | None = None, step: int | None = None, reason: str | None = None
    ) -> Status:
        return cls(status, os.getpid(), time.strftime("%Y-%m-%dT%H:%M:%S%z"), epoch, step, reason)


def version(package: str) -> str | None:
    """The installed version of a package, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
