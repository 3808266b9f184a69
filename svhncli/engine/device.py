"""The machine: device, precision and threads, resolved once and recorded, since each of them affects bits."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from dataclasses import dataclass
from typing import Any

import torch

from svhncli.core.errors import UsageError
from svhncli.core.processes import available_cpus

# mallopt's parameter numbers, from glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True)
class Machine:
    """Where and how a run computes. precision: "fp32" or "bf16" (autocast); threads: CPU threads."""

    device: torch.device
    precision: str
    threads: int

    def autocast(self) -> Any:
        """The context in which the forward pass runs."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def resolve(device: str, precision: str, threads: int) -> Machine:
    """Resolve `auto` and 0 to what this machine has.

    Raises:
        UsageError: cuda was requested and is not available.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device=cuda, but torch finds no CUDA GPU", "use device=auto or device=cpu")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if precision == "auto":
        precision = "bf16" if _gains_from_bf16(device) else "fp32"
    return Machine(torch.device(device), precision, threads or available_cpus())


def _gains_from_bf16(device: str) -> bool:
    """Decided by capability, not by timing, which could differ between two runs with the same seed."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


def take_gpu(slot: int) -> None:
    """Let this process, one of several, see one GPU alone: of those that it may use, that of its slot.

    It must not have used CUDA yet, which reads the variable when it starts; counting the GPUs does not.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    seen = given.split(",") if given else [str(i) for i in range(torch.cuda.device_count())]
    if seen:
        os.environ["CUDA_VISIBLE_DEVICES"] = seen[slot % len(seen)]


def prepare(machine: Machine) -> None:
    """Configure this process to compute fast and reproducibly."""
    torch.set_num_threads(machine.threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    if sys.platform.startswith("linux"):
        _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Stop glibc from returning large blocks to the kernel at every free and faulting them in again later.

    That saves 10 to 20% of a training step on a CPU. Other C libraries for Linux have no mallopt.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
