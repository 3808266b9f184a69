"""Keys of the learning rate schedules."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.config.declare import choice
from svhncli.config.rules import key


@dataclass
class ScheduleConfig:
    """Keys that all schedules share."""

    warmup: float = key(0.0, "epochs over which lr rises linearly from near 0 at the start", low=0)


@choice("schedule", builds="svhncli.engine.schedules:Constant")
@dataclass
class ConstantConfig(ScheduleConfig):
    """Constant lr."""

    name: str = key("constant", "the schedule")


@choice("schedule", builds="svhncli.engine.schedules:Cosine")
@dataclass
class CosineConfig(ScheduleConfig):
    """lr falls along half a cosine to the end of the run (Loshchilov & Hutter 2017)."""

    name: str = key("cosine", "the schedule")
    final: float = key(0.0, "final lr as a fraction of lr", low=0, high=1)
    cycles: int = key(1, "number of cosine cycles over the run; each starts again at lr", low=1)


@choice("schedule", builds="svhncli.engine.schedules:OneCycle")
@dataclass
class OneCycleConfig(ScheduleConfig):
    """lr rises to its peak and falls to almost nothing (Smith & Topin 2019); momentum is not cycled."""

    name: str = key("one_cycle", "the schedule")
    peak: float = key(0.3, "fraction of the run after which lr is at its peak", above=0, below=1)
    start_div: float = key(25.0, "the initial lr is the peak divided by this", low=1)
    end_div: float = key(1e4, "the final lr is the peak divided by this", low=1)


@choice("schedule", builds="svhncli.engine.schedules:Step")
@dataclass
class StepConfig(ScheduleConfig):
    """lr is multiplied by gamma every few epochs."""

    name: str = key("step", "the schedule")
    every: int = key(10, "epochs between two drops", low=1)
    at: list[int] = key([], "epochs after which lr drops, such as [80, 120]; overrides every", low=1)
    gamma: float = key(0.1, "factor applied at each drop", above=0, high=1)


@choice("schedule", builds="svhncli.engine.schedules:Plateau")
@dataclass
class PlateauConfig(ScheduleConfig):
    """lr is multiplied by gamma when the validation loss stops falling."""

    name: str = key("plateau", "the schedule")
    gamma: float = key(0.1, "factor applied at each drop", above=0, below=1)
    patience: int = key(3, "epochs without a better validation loss before lr drops", low=0)
    threshold: float = key(1e-4, "relative decrease of the loss that counts as better", low=0, below=1)
    min_factor: float = key(1e-4, "lr never falls below this fraction of its initial value", low=0, high=1)
