"""The card of an exported model: what it is, how good it is, and how to use it without svhn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svhncli.core.text import bounds, percent
from svhncli.runs.results import EnsembleSummary, FoldSummary, OpenUnits, Summary


@dataclass(frozen=True)
class Agreement:
    """How ONNX and PyTorch agree. of: which images, in words. difference: the largest, of a probability."""

    of: str
    pictures: int
    difference: float


def model_card(
    facts: Mapping[str, Any],
    config: Mapping[str, Any],
    summary: Summary | None,
    sums: Mapping[str, str],
    agreement: Agreement,
    units: OpenUnits | None,
    started_from: str | None,
) -> str:
    """Markdown.

    facts: what preprocess.json holds. config: the run's, nested. summary: its summary.json, None where it has
    none. sums: file name -> SHA-256. started_from: the name of the data on which the run that this one was
    fine-tuned from was trained; None where it is unknown.
    """
    positions, classes = facts["output"]["positions"], facts["output"]["classes"]
    what = "single digits" if positions == 1 else f"numbers of up to {positions} digits"
    return "\n".join(
        [
            *_kind(config, summary, what),
            "",
            *_units(units),
            "## Use it",
            "",
            "Run it beside `model.onnx`; `photo.png` stands for an image of yours.",
            "",
            "```python",
            *_code(facts),
            "```",
            "",
            "## Data and scores",
            "",
            *_data(config, started_from),
            f"- Split: `{config['split']['name']}`, seed {config['seed']}.",
            *_scores(summary),
            "",
            "## From a photograph to the input",
            "",
            *_framing(facts),
            "",
            "Conversion to gray, the crop of the stored image's middle, and normalization are inside the "
            "ONNX file. `preprocess.json` has all the numbers, for use with `model.safetensors`.",
            "",
            "## From the output to a number",
            "",
            f"`{facts['output']['name']}` is float32 (N, {positions}, {classes}): for each position of each "
            "image the probabilities of the digits 0 to 9"
            + (f" and, as class {facts['output']['blank']}, of no digit." if classes > 10 else "."),
            "Take the likeliest class of every position and leave out the class of no digit. The product of "
            "these probabilities is the confidence of the whole prediction.",
            "",
            "## Checked",
            "",
            f"On {agreement.pictures} images ({agreement.of}) onnxruntime and PyTorch give the same "
            f"predictions; their probabilities differ by {agreement.difference:.1e} at most. Both compute in "
            "fp32, as `svhn predict` does unless it is told otherwise.",
            "",
            "| file | SHA-256 |",
            "|---|---|",
            *(f"| `{name}` | `{digest}` |" for name, digest in sums.items()),
            "",
        ]
    )


def _kind(config: Mapping[str, Any], summary: Summary | None, what: str) -> list[str]:
    name = config["model"]["name"]
    if not isinstance(summary, EnsembleSummary):
        return [
            f"# {name}: {what}",
            "",
            f"A network of the kind `{name}`, trained by `svhn train` and exported by `svhn export`. Its "
            "whole config is in `config.yaml`.",
        ]
    count, how = len(summary.members), summary.how
    return [
        f"# Ensemble of {count}: {what}",
        "",
        f"{count} networks, trained by `svhn train`, joined by `svhn ensemble how={how}` and exported by "
        "`svhn export`. `config.yaml` is that of the first. Each includes its own normalization.",
    ]


TERMS = {
    "synth": "rendered by svhn from fonts; no photograph is among the images",
    "synth_full": "rendered by svhn from fonts; no photograph is among the images",
    "svhn": "SVHN, The Street View House Numbers (Netzer et al. 2011), for non-commercial use only",
    "mix": "SVHN (Netzer et al. 2011), for non-commercial use only, and images rendered by svhn",
    "svhn_full": "SVHN, The Street View House Numbers (Netzer et al. 2011), for non-commercial use only",
    "mchar": "the files of the Tianchi street-character contest, under the terms of the contest",
    "folder": "images of your own: state here whose they are, and on which terms they may be used",
}
"""Name of a data source -> what it is, and under which license."""


def _data(config: Mapping[str, Any], started_from: str | None) -> list[str]:
    """What it was trained on, and before that."""
    data = config["data"]
    where = f" in `{Path(data['root']).name}`" if "root" in data else ""
    about = f": {TERMS[data['name']]}" if data["name"] in TERMS else ""
    lines = [f"- Data: `{data['name']}`{where}{about}."]
    if file := config.get("init_from"):
        terms = f"; its data: {TERMS.get(started_from, f'`{started_from}`')}" if started_from else ""
        lines.append(f"- Fine-tuned from the weights of `{Path(file).parent.name}/{Path(file).name}`{terms}.")
    return lines


def _code(facts: Mapping[str, Any]) -> list[str]:
    """Lines of Python that run beside the exported files, given a photo.png."""
    height, width = facts["framing"]["stored"]
    blank = facts["output"]["blank"]
    digits = "str(digit) for digit in best" + ("" if blank is None else f" if digit != {blank}")
    cut = (
        []
        if facts["framing"]["crop"] == "whole"
        else ["# photo = photo.crop((left, top, right, bottom)): the area described below"]
    )
    return [
        "import numpy",
        "import onnxruntime",
        "from PIL import Image, ImageOps",
        "",
        'photo = ImageOps.exif_transpose(Image.open("photo.png")).convert("RGB")',
        *cut,
        f"small = photo.resize(({width}, {height}), Image.Resampling.BILINEAR)",
        "images = numpy.asarray(small).transpose(2, 0, 1)[None]  # uint8 (1, 3, height, width)",
        'network = onnxruntime.InferenceSession("model.onnx")',
        f'(probabilities,) = network.run(None, {{"{facts["input"]["name"]}": images}})',
        "best = probabilities[0].argmax(axis=1)",
        f'print("".join({digits}), float(probabilities[0].max(axis=1).prod()))',
    ]


def _units(units: OpenUnits | None) -> list[str]:
    if units is None:
        return []
    return [
        f"L0 regularization left {units.open:,} of {units.of:,} units open. The closed ones and the gates "
        "are left out of both files, so layers are narrower than the config says.",
        "",
    ]


def _scores(summary: Summary | None) -> list[str]:
    if summary is None:
        return ["- Scores: the run has no summary.json, so they are unknown."]
    lines: list[str] = []
    if not isinstance(summary, (FoldSummary, EnsembleSummary)):
        return lines
    for part, score in (("val", summary.val), ("test", summary.test)):
        if score is not None:
            interval = score.interval
            lines.append(
                f"- {part}: accuracy {percent(score.accuracy)}, {interval.level:.0%} interval "
                f"{bounds(interval.low, interval.high)}, loss {score.loss:.4f}, {score.n:,} images"
            )
    return lines


def _framing(facts: Mapping[str, Any]) -> list[str]:
    framing = facts["framing"]
    height, width = framing["stored"]
    steps = ["Decode the photograph to RGB, rotated as its EXIF data says."]
    if (white := framing["white"]) is not None:
        steps.append(f"In images of more than 8 bits, 0 is black and {white:,.0f} is white.")
    if framing["crop"] == "boxes":
        wider, rest = framing["widen"], ""
        if framing["jitter"]:
            rest = f", then by {framing['room'][1]}/{framing['width']} and {framing['room'][0]}/"
            rest += f"{framing['height']} of what that gives"
        steps.append(
            f"Take the smallest upright rectangle around all digits; widen it at each side by {wider:.0%} of "
            f"its own width and height{rest}. What lies outside the photograph repeats its edge."
        )
    else:
        steps.append("Take all of it.")
    steps.append(
        f"Resize it to {height} rows and {width} columns (bilinear with antialiasing, as Pillow's `resize`), "
        "whatever its aspect ratio."
    )
    steps.append(
        f"Give it to `model.onnx` as `{facts['input']['name']}`, uint8 (N, 3, {height}, {width}), 0 to 255; "
        "any N."
    )
    return [f"{number}. {step}" for number, step in enumerate(steps, 1)]
