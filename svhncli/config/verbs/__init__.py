"""The verbs; importing this package declares them all.

A verb is a dataclass of its keys, which stand at the root of its config.
"""

from __future__ import annotations

from svhncli.config.declare import VERBS

from svhncli.config.verbs import training, tuning, results  # isort: skip  # the order of the help

__all__ = ["VERBS", "results", "training", "tuning"]
