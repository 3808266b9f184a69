"""The renderer's configuration: every factor's distribution, from world.yaml and a file of the user's."""

from __future__ import annotations

import hashlib
import importlib.util
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from svhncli.core.errors import DataError, UsageError
from svhncli.core.rng import Several

OWN = Path(__file__).with_name("world.yaml")


@dataclass(frozen=True)
class Distribution:
    """kind "uniform": from `a` to `b`. "normal": around 0 with deviation `a`, clipped at three deviations.
    "spread": log-normal with median `a` and deviation `b` of the logarithm, clipped to [low, high]."""

    kind: str
    a: float
    b: float = 0.0
    low: float = 0.0
    high: float = float("inf")

    @property
    def middle(self) -> Distribution:
        """A constant, the middle of the distribution; it consumes as many random numbers."""
        if self.kind == "uniform":
            return Distribution("uniform", (self.a + self.b) / 2, (self.a + self.b) / 2)
        return Distribution("normal", 0.0) if self.kind == "normal" else replace(self, b=0.0)

    def draw(self, generator: np.random.Generator | Several, shape: tuple[int, ...]) -> np.ndarray:
        """Float32 of this shape; every kind takes one random number per value."""
        if self.kind == "uniform":
            return generator.uniform(self.a, self.b, shape).astype(np.float32)
        normal = np.clip(generator.standard_normal(shape), -3, 3)
        if self.kind == "normal":
            return (self.a * normal).astype(np.float32)
        return np.clip(self.a * np.exp(self.b * normal), self.low, self.high).astype(np.float32)


@dataclass(frozen=True)
class Spec:
    """Which world is rendered.

    file: a YAML that overrides parts of world.yaml. without: factors to leave out. fonts: a folder with
    additional faces. always: factors that are in every image, for inspection.
    """

    file: Path | None = None
    without: tuple[str, ...] = ()
    fonts: Path | None = None
    always: tuple[str, ...] = ()

    def digest(self) -> str:
        """Identifies a world without parsing its YAML: a part of a cache's key.

        Raises:
            DataError: a file cannot be read.
        """
        sha = hashlib.sha256(OWN.read_bytes() + repr((sorted(self.without), sorted(self.always))).encode())
        if self.file is not None:
            sha.update(_bytes(self.file))
        sha.update(font_facts(self.fonts).encode())
        return sha.hexdigest()


STREET = Spec()
"""The world of world.yaml with the installed fonts."""


class World:
    """Factors by name; world.yaml explains them and their notation.

    A factor that is left out never happens, or, if it has no chance, keeps its middle value in every image.
    """

    def __init__(
        self,
        factors: Mapping[str, Mapping[str, Any]],
        without: Sequence[str] = (),
        always: Sequence[str] = (),
    ) -> None:
        self.factors = factors
        self._chances = {
            name: float(entries["chance"]) for name, entries in factors.items() if "chance" in entries
        }
        self._chances |= {name: 1.0 for name in always if name in self._chances}
        self._chances |= {name: 0.0 for name in without if name in self._chances}
        self._values: dict[str, Distribution] = {}
        self._weights: dict[str, Mapping[Any, float]] = {}
        for factor, entries in factors.items():
            still = factor in without and factor not in self._chances
            for name, value in entries.items():
                where = f"{factor}.{name}"
                if _is_choice(value):
                    weights = value["weights"]
                    most = max(weights, key=weights.__getitem__)
                    self._weights[where] = {k: float(k == most) for k in weights} if still else weights
                elif name != "chance":
                    self._values[where] = _distribution(value).middle if still else _distribution(value)

    def chance(self, factor: str) -> float:
        """The fraction of images that have a factor."""
        return self._chances[factor]

    def facts(self, factor: str) -> dict[str, Any]:
        """A factor's entries in this world, as JSON values."""
        chance = {"chance": self._chances[factor]} if factor in self._chances else {}
        return {**self.factors[factor], **chance}

    def values(self, name: str) -> Distribution:
        return self._values[name]

    def weights(self, name: str) -> Mapping[Any, float]:
        """Option -> weight."""
        return self._weights[name]


def font_files(folder: Path | None) -> list[Path]:
    """The fonts of matplotlib, of installed packages named font-…, and of a folder, sorted by name.

    Raises:
        DataError: there is no font in the folder.
    """
    spec = importlib.util.find_spec("matplotlib")  # located, not imported: the import takes half a second
    fonts: list[Path] = []
    if spec is not None and spec.origin is not None:
        packages = Path(spec.origin).parents[1]
        fonts += packages.glob("matplotlib/mpl-data/fonts/ttf/*.ttf")
        fonts += packages.glob("font_*/files/*.ttf")
        fonts += (
            file for file in packages.glob("font_*/files/*.otf") if not file.with_suffix(".ttf").exists()
        )
    if folder is not None:
        own = [file for file in folder.rglob("*") if file.suffix.lower() in (".ttf", ".otf", ".ttc")]
        if not own:
            raise DataError(f"there are no fonts (.ttf, .otf, .ttc) in '{folder}'", "check data.fonts")
        fonts += own
    return sorted(fonts, key=lambda file: (file.stem, str(file)))


def font_facts(folder: Path | None) -> str:
    """Identifies the fonts of a machine without reading them, by names and sizes.

    Raises:
        DataError: there is no font in the folder.
    """
    return "".join(f"{path.name} {path.stat().st_size}\n" for path in font_files(folder))


@lru_cache(maxsize=4)
def load(spec: Spec) -> World:
    """The world of world.yaml with the spec's changes.

    Raises:
        DataError: the file cannot be read, or does not match world.yaml.
        UsageError: an unknown factor.
    """
    factors = _parse(OWN.read_bytes(), OWN)
    if spec.file is not None:
        factors = _merged(factors, _parse(_bytes(spec.file), spec.file), spec.file)
    if wrong := [name for name in (*spec.without, *spec.always) if name not in factors]:
        raise UsageError(f"there is no factor '{wrong[0]}'", f"choose from {', '.join(factors)}")
    return World(factors, spec.without, spec.always)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the world '{file}': {error.strerror}", "check data.world") from error


def _parse(text: bytes, file: Path) -> dict[str, dict[str, Any]]:
    import yaml  # a cached set does not need it

    from svhncli.core import bounded_yaml

    try:
        factors = bounded_yaml.load(text) or {}
    except (yaml.YAMLError, ValueError) as error:
        raise DataError(f"'{file}' is not YAML: {error}", f"see {OWN} for an example") from error
    if not isinstance(factors, dict) or not all(isinstance(entries, dict) for entries in factors.values()):
        raise DataError(f"'{file}' must hold factors with their distributions", f"see {OWN}")
    return factors


def _merged(own: dict[str, Any], changes: dict[str, Any], file: Path) -> dict[str, Any]:
    merged = {factor: dict(entries) for factor, entries in own.items()}
    for factor, entries in changes.items():
        for name, value in entries.items():
            if name not in merged.get(factor, {}):
                raise DataError(f"'{file}': there is no {factor}.{name} in world.yaml", f"see {OWN}")
            if _is_choice(merged[factor][name]):
                known = merged[factor][name]["weights"]
                if not _is_choice(value) or not set(value["weights"]) <= set(known):
                    raise DataError(
                        f"'{file}': {factor}.{name} chooses among {', '.join(map(str, known))}", f"see {OWN}"
                    )
                value = {"weights": {choice: value["weights"].get(choice, 0) for choice in known}}
            try:
                _check(name, value)
            except (TypeError, KeyError, ValueError) as error:
                raise DataError(f"'{file}': {factor}.{name} is {value!r}: {error}", f"see {OWN}") from error
            merged[factor][name] = value
    return merged


def _check(name: str, value: Any) -> None:
    if name == "chance":
        if not 0 <= float(value) <= 1:
            raise ValueError("a chance is between 0 and 1")
    elif _is_choice(value):
        if min(value["weights"].values()) < 0 or sum(value["weights"].values()) <= 0:
            raise ValueError("weights are at least 0, and one is above 0")
    else:
        _distribution(value)


def _is_choice(value: Any) -> bool:
    return isinstance(value, dict) and "weights" in value


def _distribution(value: Any) -> Distribution:
    """A distribution in the notation of world.yaml.

    Raises:
        ValueError, TypeError, KeyError: another notation.
    """
    if isinstance(value, list):
        low, high = map(float, value)
        if not -math.inf < low <= high < math.inf:
            raise ValueError("low is above high, or not finite")
        return Distribution("uniform", low, high)
    if not isinstance(value, dict):
        raise TypeError("expected [low, high], {sd: s} or {median: m, spread: s}")
    if set(value) == {"sd"}:
        return Distribution("normal", float(value["sd"]))
    if not {"median", "spread"} <= set(value) <= {"median", "spread", "min", "max"}:
        raise ValueError("expected [low, high], {sd: s} or {median: m, spread: s}")
    limits = float(value.get("min", 0)), float(value.get("max", "inf"))
    return Distribution("spread", float(value["median"]), float(value["spread"]), *limits)
