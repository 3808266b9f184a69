"""`svhn export RUN`: a trained network for use without svhn, checked before it is handed over."""

from __future__ import annotations

import copy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from svhncli import registry
from svhncli.config.verbs import ExportConfig
from svhncli.core.errors import DataError, DiskError, SvhnError
from svhncli.core.files import new_folder, place, write_atomic, write_json, write_text
from svhncli.core.labels import BLANK, CLASSES
from svhncli.core.rng import numpy_generator
from svhncli.data.store.disk import digest
from svhncli.engine import device
from svhncli.evaluation import onnx_file, trained
from svhncli.evaluation.trained import Trained
from svhncli.models.gates import count_open, remove_closed
from svhncli.report.model_card import model_card
from svhncli.report.terminal import Show
from svhncli.runs.locate import checkpoint_file
from svhncli.runs.run_dir import RunDir

CARD = "model_card.md"
FILES = ("model.onnx", "model.safetensors", "config.yaml", "preprocess.json")
CHECKED = 256
"""Pictures on which ONNX and PyTorch must agree."""
TOLERANCE = 1e-4
"""How far their probabilities may differ."""


def run(config: ExportConfig) -> dict[str, Any]:
    """Write model.onnx, model.safetensors, config.yaml, preprocess.json and model_card.md into one folder.

    Returns:
        {"run", "checkpoint", "out", "files" (name -> SHA-256), "units": {"open", "of"} (with reg.l0, whose
        closed units are taken out of the files; else None), "agreement": {"pictures", "of", "difference"
        (the largest, of a probability)}}.

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
        images, source = _pictures(model, config, show)
    opened, of = count_open(model.network)
    units = {"open": opened, "of": of} if of else None
    smaller = replace(model, network=remove_closed(copy.deepcopy(model.network)))
    with new_folder(out, {*FILES, CARD}) as folder:
        onnx_file.write(folder / "model.onnx", smaller.network, smaller.preprocess)
        agreement = {"of": source, **_agreement(model, folder / "model.onnx", images)}
        _write_weights(folder / "model.safetensors", smaller)
        RunDir(folder).write_settings(model.meta["config"])
        facts = _facts(model)
        write_json(folder / "preprocess.json", facts)
        sums = {name: digest(folder / name, "sha256") for name in FILES}
        summary = RunDir(path.parent).summary()
        write_text(folder / CARD, model_card(facts, model.meta["config"], summary, sums, agreement, units))
    return {
        "run": config.run,
        "checkpoint": str(path),
        "out": str(out),
        "files": sums,
        "units": units,
        "agreement": agreement,
    }


def _pictures(model: Trained, config: ExportConfig, show: Show) -> tuple[np.ndarray, str]:
    """At most CHECKED stored pictures, uint8 (N, 3, *stored), and which: the run's own where it has them."""
    trained_on, stored = model.config, model.preprocess.framing.stored
    try:
        data = registry.data(trained_on.data, trained_on.split, config.cache, show.work)
        part, digits = ("test", data.test) if data.test is not None else ("train", data.train)
    except (DataError, DiskError) as error:
        show.say(f"the run's own pictures cannot be had ({error.message}): it is checked on random ones")
        noise = numpy_generator(trained_on.seed, "export").integers(0, 256, (CHECKED, 3, *stored), np.uint8)
        return noise, "random ones"
    count = min(CHECKED, len(digits))
    chosen = digits.images[np.linspace(0, len(digits) - 1, count).astype(int)]
    return np.broadcast_to(chosen, (count, 3, *stored)).copy(), f"{part} part of {data.name}"


def _agreement(model: Trained, path: Path, images: np.ndarray) -> dict[str, Any]:
    expected = trained.probabilities([model], images, device.resolve("cpu", "fp32", 0))
    found = onnx_file.probabilities(path, images)
    difference = float(np.abs(found - expected).max())
    read_the_same = np.array_equal(found.argmax(-1), expected.argmax(-1))
    if not (read_the_same and difference <= TOLERANCE):
        raise SvhnError(
            f"the ONNX file and PyTorch differ by {difference:.1e} in a probability ({len(images)} pictures)",
            "nothing is exported; try other versions of torch and onnxruntime",
        )
    return {"pictures": len(images), "difference": difference}


def _write_weights(path: Path, model: Trained) -> None:
    from safetensors.torch import save

    tensors = {name: value.contiguous() for name, value in model.network.state_dict().items()}
    write_atomic(path, lambda file: file.write(save(tensors)))


def _facts(model: Trained) -> dict[str, Any]:
    """What preprocess.json says: the way from a photograph to the network, and what comes out of it."""
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
