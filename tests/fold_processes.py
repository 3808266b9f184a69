"""Folds that are trained by several processes, and plugins that act in the middle of their training."""

from __future__ import annotations

from collections.abc import Callable

from forked import Forked

Spawn = Callable[..., Forked]

SMALL = ["data.n_train=400", "data.n_test=60", "epochs=3", "threads=1", "device=cpu", "model.width=0.25"]
SMALL += ["watch=0", "report=false"]
FOLDS = [*SMALL, "split=kfold", "split.k=3"]

IN_STEP_5 = """
import multiprocessing, os, signal, torch

steps = []

def count(module, _):
    if type(module).__name__ == "Cnn" and module.training and multiprocessing.parent_process():
        steps.append(1)
        if len(steps) == 5:
            try:
                os.open("first", os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                second()
            else:
                first()

torch.nn.modules.module.register_module_forward_pre_hook(count)
"""
"""A plugin: in its fifth step the process that comes first calls `first`, every other one `second`."""
