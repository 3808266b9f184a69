"""The diagnosis follows from scores and losses, its advice from the config: constructed runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from svhncli.config.choices import CHOICES
from svhncli.config.groups.reg import RegConfig
from svhncli.config.rules import to_dict
from svhncli.report.diagnosis import Course, beside_guessing, diagnose, turns

OVER, UNDER, SHORT = "overfitting", "underfitting", "underfitting (stopped too early)"
NEITHER, UNJUDGED = "neither overfitting nor underfitting", "too short to judge"
FLAT = (0.5, 0.31, 0.3, 0.3)
FALLING = (0.9, 0.6, 0.4, 0.3)
TURNED = (0.5, 0.3, 0.4, 0.5, 0.6)


def course(train: float, val: float, losses: Sequence[float] = FLAT, n: int = 2000) -> Course:
    best = min(range(len(losses)), key=losses.__getitem__)
    return Course(losses, losses[-1], best + 1, losses[best], train, 5000, val, n)


def config_of(**changes: Any) -> dict[str, Any]:
    """A run's config. changes: a group's choice, or its values."""
    config: dict[str, Any] = {"epochs": 4, "lr": 1e-3, "init_from": None}
    chosen = {"data": "synth", "model": "cnn", "optim": "adam", "schedule": "cosine"} | changes
    for group, choice in chosen.items():
        if group in CHOICES and group != "reg":
            name, values = (choice, {}) if isinstance(choice, str) else (choice["name"], choice)
            config[group] = to_dict(CHOICES[group][name]()) | values
        elif group != "reg":
            config[group] = choice
    config["reg"] = to_dict(RegConfig()) | changes.get("reg", {"name": "light"})
    return config


STRONG = {"name": "strong", "dropout": 0.3}
CASES: dict[str, tuple[list[Course], dict[str, Any], str, list[str]]] = {
    "a gap beyond chance": (
        [course(0.999, 0.90)],
        {},
        OVER,
        ["reg=strong", "data.n_train=80000", "reg.l2=1e-4", "model.width=0.5"],
    ),
    "a gap beyond chance, and a loss that rose": (
        [course(0.999, 0.90, TURNED)],
        {"epochs": 5, "data": "folder", "optim": {"name": "adamw", "weight_decay": 0.01}},
        OVER,
        ["reg=strong", "", "model.width=0.5"],
    ),
    "the same gap on few images": (
        [course(0.999, 0.90, n=20)],
        {},
        NEITHER,
        ["data.n_train=80000", "model=resnet18"],
    ),
    "overfitting with everything on": (
        [course(0.999, 0.90)],
        {"reg": STRONG | {"l2": 1e-3}, "data": "mchar", "model": "mlp"},
        OVER,
        [""],
    ),
    "overfitting after fine-tuning": (
        [course(0.999, 0.90)],
        {"init_from": "run/best.pt", "data": "folder", "reg": STRONG},
        OVER,
        ["", "reg.l2=1e-4"],
    ),
    "overfitting of a wide network": (
        [course(0.999, 0.90)],
        {"model": {"name": "wide_resnet", "width": 8}, "reg": STRONG, "data": "svhn"},
        OVER,
        ["", "reg.l2=1e-4", "model.width=4"],
    ),
    "a low training accuracy": (
        [course(0.60, 0.59)],
        {"reg": STRONG},
        UNDER,
        ["epochs=8", "lr=0.003", "model=resnet18", "reg=light"],
    ),
    "a low training accuracy, and a gap": (
        [course(0.29, 0.16, [0.5] + 9 * [0.3])],
        {"reg": {"name": "none"}, "epochs": 10},
        UNDER,
        ["epochs=20", "lr=0.003", "model=resnet18"],
    ),
    "a low training accuracy with early stopping as the only regularizer": (
        [course(0.60, 0.59)],
        {"reg": {"name": "light", "patience": 3}, "model": "resnet50"},
        UNDER,
        ["epochs=8", "lr=0.003"],
    ),
    "a low training accuracy of a wide network": (
        [course(0.60, 0.59)],
        {"reg": {"name": "none"}, "model": {"name": "wide_resnet", "width": 8}},
        UNDER,
        ["epochs=8", "lr=0.003", "model.width=16"],
    ),
    "a low training accuracy after an early stop": (
        [course(0.60, 0.59, TURNED)],
        {"epochs": 30, "reg": {"name": "none"}},
        UNDER,
        ["lr=0.003", "model=resnet18"],
    ),
    "a low training accuracy after fine-tuning on own images": (
        [course(0.93, 0.89, n=60)],
        {"init_from": "run/best.pt", "data": "folder", "reg": STRONG},
        UNDER,
        ["", "epochs=8", "reg=light"],
    ),
    "reg=none with CutMix": (
        [course(0.60, 0.59)],
        {"reg": {"name": "none", "cutmix": 1.0}},
        UNDER,
        ["epochs=8", "lr=0.003", "model=resnet18", "reg=none"],
    ),
    "a loss that still falls": ([course(0.93, 0.92, FALLING)], {}, SHORT, ["epochs=8", "lr=0.003"]),
    "a loss worse than guessing": (
        [course(0.11, 0.10, (7e11, 6e11, 5e11))],
        {"optim": {"name": "sgd", "clip": 1.0}},
        "diverged",
        ["lr=0.0001", "schedule.warmup=1"],
    ),
    "high and equal accuracies": (
        [course(0.995, 0.991)],
        {"model": "resnet50", "data": "svhn"},
        NEITHER,
        [""],
    ),
    "a few epochs that taught little": (
        [course(0.04, 0.05, (2.0, 1.6, 1.55, 1.5))],
        {},
        UNJUDGED,
        ["epochs=8"],
    ),
    "a loss that fell until the schedule ended": (
        [course(0.93, 0.92, (0.9, 0.4, 0.3, 0.298))],
        {},
        SHORT,
        ["epochs=8", "lr=0.003"],
    ),
    "one epoch": ([course(0.30, 0.29, (2.0,))], {"epochs": 1}, UNJUDGED, ["epochs=2"]),
    "two epochs": ([course(0.999, 0.80, (0.9, 0.5))], {"epochs": 2}, UNJUDGED, ["epochs=4"]),
    "two epochs that diverged": ([course(0.1, 0.1, (1e9, 1e8))], {"epochs": 2}, "diverged", ["lr=0.0001"]),
    "folds on both sides of a threshold": (
        [course(0.985, 0.945), course(0.975, 0.95), course(0.985, 0.935), course(0.978, 0.955)],
        {},
        OVER,
        ["reg=strong"],
    ),
    "folds whose gaps vary more than they are large": (
        [course(0.99, 0.95), course(0.985, 0.987), course(0.99, 0.94), course(0.985, 0.99)],
        {},
        NEITHER,
        ["data.n_train=80000"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_constructed_run_gets_its_verdict_and_advice(name: str) -> None:
    courses, changes, verdict, words = CASES[name]
    config = config_of(**changes)
    judged = diagnose(courses, config)
    assert judged.verdict == verdict, judged.why
    assert judged.gap == pytest.approx(judged.train_accuracy - judged.val_accuracy)
    stopped = len(courses[0].losses) < config["epochs"]
    tried = [word for _, word in turns(verdict, config, stopped=stopped)]
    assert tried[: len(words)] == words
    assert len(tried) == len(words) or len(courses) > 1 or verdict == "diverged"
    assert len(judged.advice) == len(tried)


def test_the_reason_names_the_loss_that_rose() -> None:
    assert "risen from 0.3000 to 0.6000" in diagnose([course(0.999, 0.9, TURNED)], config_of(epochs=5)).why


def test_folds_are_judged_by_their_means() -> None:
    folds = [course(0.99, 0.95), course(0.97, 0.93)]
    assert diagnose(folds, config_of()).why.startswith("mean of 2: train 98.00%, val 94.00%")


@pytest.mark.parametrize(("share", "warned"), [(0.19, True), (0.189, True), (0.188, False)])
def test_a_run_that_is_no_better_than_the_most_frequent_label_is_told_so(share: float, warned: bool) -> None:
    judged = diagnose([course(0.2, 0.189)], config_of())
    sentence = beside_guessing(judged, ("1", share))
    assert (sentence is not None) == warned
    assert beside_guessing(judged, None) is None
    if sentence is not None:
        assert "val 18.90% is no better than always predicting “1”" in sentence
