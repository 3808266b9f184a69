"""Whether saved state has the form of what it is to be loaded into: torch's fused optimizers do not look, and
would read and write beyond their tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

COUNTERS = ("step", "mu_product", "mu", "eta")
"""What torch's optimizers keep as one number for each parameter."""


def demand_form(own: Any, saved: Any, where: str) -> None:
    """Refuse saved values whose nested dicts, tensors (shape, dtype) or plain values are of another form.

    Raises:
        KeyError: the first key that is missing.
        ValueError: what is of another form, at a dotted path that begins with `where`.
    """
    if isinstance(own, torch.Tensor):
        if not isinstance(saved, torch.Tensor) or form_of(saved) != form_of(own):
            raise ValueError(f"'{where}' is {form_of(saved)}, not {form_of(own)}")
    elif isinstance(own, Mapping):
        if not isinstance(saved, Mapping):
            raise ValueError(f"'{where}' is {form_of(saved)}, not a dict")
        if more := [name for name in saved if name not in own]:
            raise ValueError(f"'{where}' has '{more[0]}', which is not expected")
        for name, value in own.items():
            demand_form(value, saved[name], f"{where}.{name}")
    elif isinstance(own, (list, tuple)):
        if not isinstance(saved, (list, tuple)) or len(saved) != len(own):
            raise ValueError(f"'{where}' is {form_of(saved)}, not {form_of(own)}")
        for place, (value, kept) in enumerate(zip(own, saved, strict=True)):
            demand_form(value, kept, f"{where}[{place}]")
    elif not _is_alike(own, saved):
        raise ValueError(f"'{where}' is {form_of(saved)}, not as {form_of(own)}")


def _is_alike(own: Any, saved: Any) -> bool:
    """Whether a plain value can take another's place: a number that of a number, or of none yet."""
    if own is None:
        return saved is None or isinstance(saved, (bool, int, float))
    return type(saved) is type(own) if isinstance(own, (bool, str)) else type(saved) in (int, float)


def demand_optimizer(optimizer: torch.optim.Optimizer, saved: Any) -> None:
    """Refuse an optimizer's saved state that is not for its parameters.

    Every tensor of its state is one of `COUNTERS`, or has the shape of its parameter, unless the optimizer is
    a plugin's.

    Raises:
        KeyError, ValueError: as `demand_form`.
    """
    own = optimizer.state_dict()
    demand_form(own["param_groups"], saved["param_groups"], "optimizer.param_groups")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not isinstance(saved["state"], Mapping) or not set(saved["state"]) <= {*range(len(parameters))}:
        raise ValueError(
            f"'optimizer.state' is {form_of(saved['state'])}, not of {len(parameters)} parameters"
        )
    if not type(optimizer).__module__.startswith(("torch.optim.", "svhncli.")):
        return
    groups = own["param_groups"]
    for number, (group, kept) in enumerate(zip(groups, saved["param_groups"], strict=True)):
        for name, value in group.items():
            _demand_kind(value, kept[name], f"optimizer.param_groups[{number}].{name}")
    kind_of = {place: group.get("matrices") for group in groups for place in group["params"]}
    names_of = dict[Any, set[str]]()
    for place, kept in saved["state"].items():
        if not isinstance(kept, Mapping):
            raise ValueError(f"'optimizer.state.{place}' is {form_of(kept)}, not a dict")
        names = names_of.setdefault(kind_of[place], {*kept})
        if names != {*kept}:  # each parameter has the same moments; Muon's matrices have their own
            raise ValueError(f"'optimizer.state.{place}' has {sorted(kept)}, and others {sorted(names)}")
        shape = tuple(parameters[place].shape)
        for name, value in kept.items():
            wanted = () if name in COUNTERS else shape
            fits = isinstance(value, torch.Tensor) and tuple(value.shape) == wanted
            if value is not None and not (fits and value.dtype == torch.float32):
                raise ValueError(
                    f"'optimizer.state.{place}.{name}' is {form_of(value)}, not float32 {wanted}"
                )


def _demand_kind(own: Any, saved: Any, where: str) -> None:
    """Refuse a setting that is no number where one is needed, or another switch or word: they stay."""
    if isinstance(own, (list, tuple)):
        for place, (value, kept) in enumerate(zip(own, saved, strict=True)):
            _demand_kind(value, kept, f"{where}[{place}]")
        return
    if own is None:  # a default, which depends on the version of torch
        fits = saved is None or isinstance(saved, bool)
    elif isinstance(own, (bool, str)):
        fits = type(saved) is type(own) and saved == own
    else:
        fits = type(saved) in (int, float) and math.isfinite(saved)
    if not fits:
        raise ValueError(f"'{where}' is {form_of(saved)}, where a new optimizer has {form_of(own)}")


def form_of(value: Any) -> str:
    """A value's type in words, such as `float32 (3, 4)`, `a list of 2` or `a dict`."""
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    return "a dict" if isinstance(value, Mapping) else f"{value!r:.40}"


def demand_count(value: Any, where: str, low: int = 0, high: float = math.inf) -> None:
    """Refuse what is not an integer from low to high.

    Raises:
        ValueError: it is not.
    """
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"'{where}' is {form_of(value)}, not a count")
