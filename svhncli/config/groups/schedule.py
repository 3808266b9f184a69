"""Keys of the learning rate schedules."""

from __future__ import annotations

from dataclasses import dataclass

from svhncli.config.rules import key


@dataclass
class ScheduleConfig:
    """What all schedules share."""

    warmup: float = key(0.0, "epochs in which lr rises linearly from near 0 at the start", low=0)


@dataclass
class ConstantConfig(ScheduleConfig):
    """lr stays as it is."""

    name: str = key("constant", "the schedule")


@dataclass
class CosineConfig(ScheduleConfig):
    """lr falls along half a cosine to the end (Loshchilov & Hutter 2017)."""

    name: str = key("cosine", "the schedule")
    final: float = key(0.0, "share of lr that is left at the end", low=0, high=1)
    cycles: int = key(1, "times that lr falls so over the run; in between it restarts", low=1)


@dataclass
class OneCycleConfig(ScheduleConfig):
    """lr rises to its peak and falls to almost nothing (Smith & Topin 2019); momentum is not cycled."""

    name: str = key("one_cycle", "the schedule")
    peak: float = key(0.3, "share of the run after which lr is at its peak", above=0, below=1)
    start_div: float = key(25.0, "it starts at the peak divided by this", low=1)
    end_div: float = key(1e4, "and ends at the peak divided by this", low=1)


@dataclass
class StepConfig(ScheduleConfig):
    """lr is multiplied by gamma every few epochs."""

    name: str = key("step", "the schedule")
    every: int = key(10, "epochs between two drops", low=1)
    at: list[int] = key([], "epochs after which lr drops, such as [80, 120]; they replace every", low=1)
    gamma: float = key(0.1, "factor of a drop", above=0, high=1)


@dataclass
class PlateauConfig(ScheduleConfig):
    """lr is multiplied by gamma when the validation loss stops falling."""

    name: str = key("plateau", "the schedule")
    gamma: float = key(0.1, "factor of a drop", above=0, below=1)
    patience: int = key(3, "epochs without a better validation loss before a drop", low=0)
    threshold: float = key(1e-4, "relative fall that counts as better", low=0, below=1)
    min_factor: float = key(1e-4, "lr never falls below this share of its start", low=0, high=1)
