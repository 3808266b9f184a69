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


HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Precision -> the type in which autocast computes what gains from it."""


@dataclass(frozen=True)
class Machine:
    """Where and how a run computes.

    device: a `cuda` without an index is the first GPU, and for jobs side by side any that is free.
    precision: "fp32", or a key of `HALVES` (autocast).
    threads: CPU threads.
    deterministic: whether a GPU computes by kernels that repeat their bits; False: by the fastest ones.
    compiled: whether the forward pass of training is compiled.
    """

    device: torch.device
    precision: str
    threads: int
    deterministic: bool = True
    compiled: bool = False

    def autocast(self) -> Any:
        """The context in which the forward pass runs."""
        half = HALVES.get(self.precision)
        return torch.autocast(self.device.type, half or torch.bfloat16, enabled=half is not None)


def resolve(device: str, precision: str, threads: int, deterministic: bool = True) -> Machine:
    """Resolve `auto` and 0 to what this machine has; nothing is compiled.

    Raises:
        UsageError: a GPU was requested that is not there, or fp16 on a CPU.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    where = torch.device(device)
    if where.type == "cuda":
        _require_gpu(where)
    elif precision == "fp16":
        raise UsageError(
            "precision=fp16 is for GPUs, and this computes on the CPU", "use precision=bf16 or precision=fp32"
        )
    if precision == "auto":
        precision = _precision(where)
    return Machine(where, precision, threads or available_cpus(), deterministic)


def _require_gpu(device: torch.device) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        raise UsageError(f"device={device}, but torch finds no CUDA GPU", "use device=auto or device=cpu")
    if (device.index or 0) >= count:
        there = "there is 1: cuda:0" if count == 1 else f"there are {count}: cuda:0 to cuda:{count - 1}"
        raise UsageError(f"device={device}: there is no such GPU", there)


def _precision(device: torch.device) -> str:
    """Decided by capability, not by timing, which could differ between two runs with the same seed."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if torch.backends.cpu.get_cpu_capability() == "AVX512" else "fp32"


def take_gpu(slot: int, device: str) -> None:
    """Let this process, one of several, see one GPU alone: of those that it may use, that of its slot.

    It must not have used CUDA yet, which reads the variable when it starts; counting the GPUs does not. A
    `device` that names its GPU, such as cuda:1, counts among all of them, so then nothing changes.
    """
    if ":" in device:
        return
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    seen = given.split(",") if given else [str(i) for i in range(torch.cuda.device_count())]
    if seen:
        os.environ["CUDA_VISIBLE_DEVICES"] = seen[slot % len(seen)]


def prepare(machine: Machine) -> None:
    """Configure this process to compute fast and, unless told otherwise, reproducibly."""
    torch.set_num_threads(machine.threads)
    torch.backends.cudnn.deterministic = machine.deterministic
    torch.backends.cudnn.benchmark = not machine.deterministic
    if machine.device.type == "cuda":
        _prepare_gpu(machine)
    if sys.platform.startswith("linux"):
        _keep_freed_memory()


def _prepare_gpu(machine: Machine) -> None:
    """torch warns of kernels that have no deterministic variant; TF32 rounds the inputs of fp32 products."""
    if machine.device.index is not None:
        torch.cuda.set_device(machine.device)
    if machine.deterministic:  # which cuBLAS reads when it starts
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(machine.deterministic, warn_only=True)
    torch.backends.cudnn.allow_tf32 = not machine.deterministic
    torch.set_float32_matmul_precision("highest" if machine.deterministic else "high")


def to_device(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of the CPU on a device: `values` itself on the CPU; on a GPU by a copy that nothing waits for.

    Only copies from pinned memory can be queued; torch keeps that memory until the copy is done.
    """
    return values if device.type == "cpu" else values.pin_memory().to(device, non_blocking=True)


def _keep_freed_memory() -> None:
    """Stop glibc from returning large blocks to the kernel at every free and faulting them in again later.

    That saves 10 to 20% of a training step on a CPU. Other C libraries for Linux have no mallopt.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
