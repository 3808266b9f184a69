"""`svhn export RUN`: a trained network for use without svhn, checked before it is written."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType

from svhncli import registry
from svhncli.config.verbs.results import ExportConfig
from svhncli.core.errors import DataError, DiskError, SvhnError
from svhncli.core.files import new_folder, place, reading, write_bytes, write_json, write_text
from svhncli.core.labels import BLANK, CLASSES
from svhncli.core.rng import numpy_generator
from svhncli.data.store.disk import digest
from svhncli.engine import device
from svhncli.evaluation import onnx_file, trained
from svhncli.evaluation.trained import Trained
from svhncli.models.gates import count_open, remove_closed
from svhncli.report.model_card import Agreement, model_card
from svhncli.report.terminal import Show, facts
from svhncli.runs.locate import checkpoint_file, run_folder
from svhncli.runs.results import OpenUnits
from svhncli.runs.run_dir import RunDir

CARD = "model_card.md"
FILES = ("model.onnx", "model.safetensors", "config.yaml", "preprocess.json")
CHECKED = 256
"""Images on which ONNX and PyTorch must agree."""
TOLERANCE = 1e-4
"""How far their probabilities may differ."""


@dataclass(frozen=True)
class Export:
    """What was exported. files: name -> SHA-256. units: with reg.l0, whose closed units are left out."""

    run: str
    checkpoint: str
    out: str
    files: dict[str, str]
    units: OpenUnits | None
    agreement: Agreement


def run(config: ExportConfig) -> Export:
    """Write model.onnx, model.safetensors, config.yaml, preprocess.json and model_card.md into one folder.

    Raises:
        UsageError: a package is missing, or `out` is a folder of other things.
        CheckpointError: no such run, a run of several folds, or a damaged file.
        SvhnError: ONNX and PyTorch differ; nothing is written.
        DiskError: the folder cannot be written.
    """
    onnx_file.require_packages()
    show = Show()
    path = checkpoint_file(config.run)
    model = trained.load(path)
    out = path.parent / "export" if config.out is None else place(config.out)
    with show.bars():
        images, source = _images(model, config, show)
    opened, of = count_open(model.network)
    units = OpenUnits(opened, of) if of else None
    smaller = replace(model, network=remove_closed(copy.deepcopy(model.network)))
    with new_folder(out, {*FILES, CARD}) as folder:
        onnx_file.write(folder / "model.onnx", smaller.network, smaller.preprocess)
        agreement = _agreement(model, folder / "model.onnx", images, source)
        _write_weights(folder / "model.safetensors", smaller)
        RunDir(folder).write_settings(model.meta["config"])
        steps = _preprocess(model)
        write_json(folder / "preprocess.json", steps)
        sums = {name: digest(folder / name, "sha256") for name in FILES}
        summary = RunDir(path.parent).summary()
        started_from = _data_of(model.config.init_from)
        card = model_card(steps, model.meta["config"], summary, sums, agreement, units, started_from)
        write_text(folder / CARD, card)
    return Export(config.run, str(path), str(out), sums, units, agreement)


def table(result: Export) -> Iterator[RenderableType]:
    rows = []
    if result.units is not None:
        remain = f"{result.units.open:,} of {result.units.of:,} units remain open"
        rows.append(("l0", f"{remain}; the closed ones are left out"))
    agreement = result.agreement
    text = (
        f"on {agreement.pictures} images ({agreement.of}) ONNX and PyTorch give the same predictions; their "
        f"probabilities differ by {agreement.difference:.1e} at most"
    )
    card = Path(result.out) / CARD
    yield facts(
        [*rows, ("agreement", text), ("written", result.out), ("to use it", f"the code is in {card}")]
    )


def _images(model: Trained, config: ExportConfig, show: Show) -> tuple[np.ndarray, str]:
    """At most CHECKED stored images, uint8 (N, 3, *stored), and which: the run's own where they are there."""
    trained_on, stored = model.config, model.preprocess.framing.stored
    try:
        with reading():  # its paths may be those of another machine
            data = registry.data(trained_on.data, trained_on.split, config.cache, show.work)
        part, digits = ("test", data.test) if data.test is not None else ("train", data.train)
    except (DataError, DiskError) as error:
        show.say(
            f"the run's own images are not available ({error.message}): random ones are used for the check"
        )
        noise = numpy_generator(trained_on.seed, "export").integers(0, 256, (CHECKED, 3, *stored), np.uint8)
        return noise, "random ones"
    count = min(CHECKED, len(digits))
    chosen = digits.images[np.linspace(0, len(digits) - 1, count).astype(int)]
    return np.broadcast_to(chosen, (count, 3, *stored)).copy(), f"{part} part of {data.name}"


def _agreement(model: Trained, path: Path, images: np.ndarray, source: str) -> Agreement:
    expected = trained.probabilities([model], images, device.resolve("cpu", "fp32", 0))
    probabilities = onnx_file.probabilities(path, images)
    difference = float(np.abs(probabilities - expected).max())
    same = np.array_equal(probabilities.argmax(-1), expected.argmax(-1))
    if not (same and difference <= TOLERANCE):
        raise SvhnError(
            f"the ONNX file and PyTorch differ by up to {difference:.1e} in a probability "
            f"(over {len(images)} images)",
            "nothing is exported; try other versions of torch and onnxruntime",
        )
    return Agreement(source, len(images), difference)


def _data_of(checkpoint: str | None) -> str | None:
    """The name of the data on which a checkpoint's run was trained; None where that is not known any more."""
    try:
        return None if checkpoint is None else str(RunDir(run_folder(checkpoint)).config()["data"]["name"])
    except (SvhnError, KeyError, TypeError):
        return None


def _write_weights(path: Path, model: Trained) -> None:
    from safetensors.torch import save

    tensors = {name: value.contiguous() for name, value in model.network.state_dict().items()}
    write_bytes(path, save(tensors))


def _preprocess(model: Trained) -> dict[str, Any]:
    """What preprocess.json says: the steps from a photograph to the network, and its output."""
    preprocess, framing = model.preprocess, model.preprocess.framing
    classes = model.meta["classes"]
    return {
        "input": {"name": onnx_file.INPUT, "dtype": "uint8", "shape": ["N", 3, *framing.stored]},
        "framing": {**asdict(framing), "stored": list(framing.stored), "room": list(framing.room)},
        "grey": preprocess.grey,
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
        "output": {
            "name": onnx_file.OUTPUT,
            "positions": model.meta["positions"],
            "classes": classes,
            "blank": BLANK if classes > CLASSES else None,
        },
    }
