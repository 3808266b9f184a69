"""Keys that several verbs have, each declared by a call: device: str = shared.device()."""

from __future__ import annotations

from typing import Any

from svhncli.config.rules import key
from svhncli.stats.metrics import METRICS


def jobs() -> Any:
    meaning = "runs trained side by side; auto: one per GPU, or as many as keep the CPUs busy"
    return key("auto", meaning, low=1, choices=("auto",))


def metric(meaning: str) -> Any:
    return key("val_accuracy", meaning, choices=METRICS)


def device() -> Any:
    elsewhere = {
        r"gpu": "did you mean 'cuda'?",
        r"(?:cuda|gpu):?0*(\d+)": r"did you mean 'cuda:\1'?",
        r"mps|xpu|tpu|hpu": "there is no support for this one; did you mean 'cpu'?",
    }
    meaning = "where to compute; cuda:1 is the second GPU"
    choices = ("auto", "cpu", "cuda")
    return key("auto", meaning, choices=choices, numbered="cuda", elsewhere=elsewhere)


def precision(default: str, auto: str) -> Any:
    return key(default, f"number format; auto: {auto}", choices=("auto", "fp32", "bf16", "fp16"))


def tta() -> Any:
    meaning = "test-time augmentation: average over this many views of each image; 1 is the image alone"
    return key(1, meaning, low=1, high=13)


def cache() -> Any:
    return key(None, "folder of prepared data; null is $SVHN_CACHE or ~/.cache/svhn", path=True)


def plugins() -> Any:
    return key([], "your own modules to import; they register models, data sources and other parts")
