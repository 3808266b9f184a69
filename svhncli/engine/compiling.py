"""torch.compile for the forward pass of training: when it is used, and how."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor, nn

from svhncli.core.errors import UsageError
from svhncli.engine.device import Machine

REPAYS = 5_000_000
"""Training images, over all epochs, from which on compiling is expected to take less time than it saves on a
GPU. An estimate, not a measurement."""
TRITON = 7, 0
"""The lowest compute capability for which torch.compile writes GPU kernels."""


def is_worthwhile(wanted: bool | str, machine: Machine, images: int) -> bool:
    """Whether to compile, for `compile=wanted`.

    `auto` compiles on GPUs that can, in runs long enough; that is decided by capability and size, not by
    timing, which could differ between two runs with the same seed.

    Args:
        images: that a network is trained on, over all epochs.

    Raises:
        UsageError: `wanted` is true, and there is no working compiler.
    """
    if wanted == "auto":
        return machine.device.type == "cuda" and (
            images >= REPAYS
            and torch.cuda.get_device_capability(machine.device) >= TRITON
            and _fault(machine) is None
        )
    if wanted and (fault := _fault(machine)) is not None:
        raise UsageError(
            f"compile=true: torch.compile does not work here: {fault}",
            "install a C++ compiler and Python's headers (apt install g++ python3-dev), or use compile=false",
        )
    return bool(wanted)


def compiled(network: nn.Module, machine: Machine) -> Callable[[Tensor], Tensor]:
    """The network's forward pass, compiled at its first call; on a GPU also recorded as CUDA graphs.

    The network itself, its state dict and its evaluation stay as they are. What was compiled before, such as
    for another fold, is dropped, since torch keeps only a few variants of a function.
    """
    torch.compiler.reset()
    return _compile(network, machine, "reduce-overhead" if machine.device.type == "cuda" else "default")


def _fault(machine: Machine) -> str | None:
    """Why nothing can be compiled here; None if a small function can."""
    try:
        _compile(lambda x: x + 1, machine)(torch.ones(8, device=machine.device))
    except Exception as error:  # a compiler, headers or a driver may be missing: torch promises no type
        return str(error).strip().partition("\n")[0]
    return None


def _compile(
    function: Callable[[Tensor], Tensor], machine: Machine, mode: str = "default"
) -> Callable[[Tensor], Tensor]:
    if machine.deterministic:  # Inductor reads it when it is imported, and then chooses no kernel by timing
        os.environ.setdefault("TORCHINDUCTOR_DETERMINISTIC", "1")
    # the sizes of batches differ by at most one: two variants are faster than one for all sizes
    return torch.compile(function, dynamic=False, mode=mode)
