"""Which layer made a loss NaN or infinite: found after the failure, by one more forward pass that is watched.

No step that goes well pays for it: nothing is hooked to the network before the failure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import nn

from svhncli.engine.batches import Batch
from svhncli.engine.forward import EVAL_BATCH, logits
from svhncli.engine.state import Plan, State
from svhncli.engine.step import forward


def in_words(value: float) -> str:
    """NaN or infinite: what a value became."""
    return "NaN" if math.isnan(value) else "infinite"


def origin_in_training(plan: Plan, state: State, batch: Batch) -> str:
    """What is not finite first when the step on this batch is repeated; `state` is that before the step.

    Every process of a group must call it: their layers may wait for each other.
    """
    with torch.no_grad(), _watched(state.model) as origins:
        forward(plan, state, batch, state.model)
    return _sentence(origins) or ": the outputs of all layers are finite, but not the loss or a penalty"


def origin_in_validation(plan: Plan, state: State) -> str:
    """What is not finite first when the validation is repeated, up to its first batch that shows it."""
    network, take = state.eval_model, plan.val.along(np.arange(len(plan.val)))
    with _watched(network) as origins:
        for start in range(0, len(plan.val), EVAL_BATCH):
            batch = take(start, min(start + EVAL_BATCH, len(plan.val)))
            logits(network, batch.images, plan.preprocess, plan.machine)
            if origins:
                break
    return _sentence(origins)


def _sentence(origins: list[str]) -> str:
    return f": the first value that is not finite is in {origins[0]}" if origins else ""


@contextmanager
def _watched(network: nn.Module) -> Iterator[list[str]]:
    """In the block, what is not finite is listed in the order in which a forward pass comes to it.

    The forward pass is not cut short: other processes may wait for its later layers.
    """
    origins: list[str] = []
    handles = []
    for name, module in network.named_modules():
        handles.append(module.register_forward_pre_hook(partial(_before, name, origins)))
        handles.append(module.register_forward_hook(partial(_after, name, origins)))
    try:
        yield origins
    finally:
        for handle in handles:
            handle.remove()


def _before(name: str, origins: list[str], module: nn.Module, inputs: tuple[object, ...]) -> None:
    if not name and not all(map(_is_finite, inputs)):
        origins.append("the input of the network")
    tensors: list[tuple[str, torch.Tensor]] = [*module.named_parameters(recurse=False)]
    if not module.training:  # while training, running statistics are written, not read
        tensors += module.named_buffers(recurse=False)
    origins += [
        f"{name}.{own} ({type(module).__name__})".lstrip(".")
        for own, tensor in tensors
        if not _is_finite(tensor)
    ]


def _after(name: str, origins: list[str], module: nn.Module, _: object, output: object) -> None:
    if not _is_finite(output):
        origins.append(f"the output of {name or 'the network'} ({type(module).__name__})")


def _is_finite(value: object) -> bool:
    return not isinstance(value, torch.Tensor) or bool(value.isfinite().all())
