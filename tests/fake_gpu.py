"""A GPU that does not exist: its tensors have shapes and types alone, and what makes a step wait fails.

torch's FakeTensorMode refuses operations that mix tensors of the CPU with those of the GPU, and reading a
value from the GPU (`.item()`, `bool`, `nonzero`, indexing by a mask). `FakeGpu` lets tensors of the CPU be
real, as they are beside a GPU, and refuses copies that wait for it.

Some things of torch need a driver and are replaced while it is in use: generators on the GPU (nothing is
drawn), its free memory, pinned memory, two questions of autocast, SGD's fused kernel, and the backward pass,
whose engine asks for streams: every weight that the loss depends on gets a gradient of its shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
GPU = torch.device("cuda:0")


class StepWaitsError(Exception):
    """A copy for which the CPU waits until the GPU has caught up."""


class FakeGpu(TorchDispatchMode):
    """Entered above a FakeTensorMode; `running_steps` refuses copies that wait."""

    def __init__(self, fake: FakeTensorMode) -> None:
        super().__init__()
        self.fake = fake
        self.in_step = False

    @contextmanager
    def running_steps(self) -> Iterator[None]:
        self.in_step = True
        yield
        self.in_step = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.is_inference_mode_enabled() and func.namespace == "aten":
            with self:  # inference mode leaves it to a dispatch mode to take compound operations apart
                if (result := func.decompose(*args, **kwargs)) is not NotImplemented:
                    return result
        if func is aten.is_pinned.default:
            return hasattr(args[0], "pinned")
        leaves = tree_leaves((args, kwargs))
        devices = [leaf for leaf in leaves if isinstance(leaf, torch.device)]
        if func is aten._pin_memory.default or not (
            any(isinstance(leaf, FakeTensor) for leaf in leaves) or GPU.type in {d.type for d in devices}
        ):
            with unset_fake_temporarily():
                if func is not aten._pin_memory.default:
                    return func(*args, **kwargs)
                pinned = args[0].clone()
                pinned.pinned = True
                return pinned
        if func in (aten._to_copy.default, aten.copy_.default):
            args = self._copied(args, kwargs)
        if func is aten._fused_sgd_.default:  # which has no fake variant; it only changes its arguments
            assert all(isinstance(leaf, FakeTensor) for leaf in leaves if isinstance(leaf, torch.Tensor))
            return None
        if "generator" in kwargs:
            kwargs = kwargs | {"generator": None}
        return func(*tree_map(self._scalar, args), **kwargs)

    def _copied(self, args: Any, kwargs: Any) -> Any:
        """The arguments of a copy between the CPU and the GPU, with a fake source."""
        *target, source = args if len(args) < 3 else args[:2]
        is_queued = bool(kwargs.get("non_blocking") or (len(args) == 3 and args[2]))
        goes_up = not isinstance(source, FakeTensor)
        goes_down = not goes_up and kwargs.get("device", GPU).type == "cpu"
        if self.in_step and (goes_down or (goes_up and not (is_queued and hasattr(source, "pinned")))):
            raise StepWaitsError(f"a copy {'from' if goes_down else 'to'} the GPU: {tuple(source.shape)}")
        return (*target, self.fake.from_tensor(source)) if goes_up else args

    def _scalar(self, value: Any) -> Any:
        """Numbers in tensors of the CPU may be mixed with anything: they travel with the kernel."""
        is_number = type(value) is torch.Tensor and value.ndim == 0
        return self.fake.from_tensor(value) if is_number else value


def _backward(loss: torch.Tensor) -> None:
    waiting, seen = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            node.variable.grad = torch.zeros_like(node.variable)
        waiting += [parent for parent, _ in node.next_functions]


@contextmanager
def fake_gpu(free: int = 1 << 30) -> Iterator[FakeGpu]:
    """A GPU with so many bytes of free memory."""
    cpu_generator = torch.Generator
    with pytest.MonkeyPatch.context() as patch, FakeTensorMode() as fake, FakeGpu(fake) as gpu:
        patch.setattr(torch, "Generator", lambda device="cpu": cpu_generator())
        patch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
        patch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
        patch.setattr(torch.Tensor, "backward", _backward)
        yield gpu
