"""`svhn ensemble RUNS...`: folds, snapshots or runs as one network, and its gain over its best member."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

import numpy as np

from svhncli import registry
from svhncli.config import rules
from svhncli.config.verbs import EnsembleConfig
from svhncli.core.errors import DataError, DiskError
from svhncli.core.files import new_folder, place
from svhncli.core.labels import BLANK
from svhncli.core.plain import to_plain
from svhncli.data.dataset import DataSet
from svhncli.engine.batches import Batches
from svhncli.engine.forward import evaluate
from svhncli.evaluation import joining, trained
from svhncli.evaluation.joining import Unit
from svhncli.evaluation.parts import part_of
from svhncli.evaluation.trained import Trained
from svhncli.report.terminal import Show
from svhncli.runs import checkpoint
from svhncli.runs.record import RunDir, reserve
from svhncli.stats.scores import is_right
from svhncli.stats.significance import paired_bootstrap

FILES = {"best.pt", "config.yaml", "env.json", "summary.json"}
SEED = 0
"""Of the bootstrap."""


def run(config: EnsembleConfig) -> dict[str, Any]:
    """Join networks, score them and the ensemble, and write it as a folder that is read like a run's.

    They are scored on the test part, or where there is none on the pictures that validated in all of them.
    The best member is chosen on the very pictures on which the gain over it is measured, which makes it look
    a little better than it is, and so the gain a little too small.

    Returns:
        {"status", "reason", "how", "members": a list of {"run", "checkpoint", "fold", "share", "accuracy",
        "loss"}, "fitted_on": how many pictures (how=weights, else None), "scored_on": the part in words, or
        None where there is none, <part>: the ensemble's score as `loop.evaluate` gives it, "gain": {"best":
        the best member's checkpoint, "over_best", "over_mean" (the mean of the members): {"mean", "interval",
        "p"} of the accuracy} or None, "parameters", "run_dir", "next"}.

    Raises:
        UsageError: the members do not belong together, or `how` does not suit them.
        CheckpointError: no such run, or a damaged file.
        DiskError: the folder cannot be written.
    """
    show = Show()
    units = joining.find(config.runs)
    networks = [one for unit in units for one in unit.networks]
    fitted_on = None
    if config.how == "weights":
        shares, fitted_on = joining.fitted_shares(units)
        show.say(f"weights fitted on {fitted_on:,} pictures that validated in every run")
    else:
        shares = joining.equal_shares(units)
    joined = joining.join(networks, shares, config.how)
    if joined.meta["fingerprint"] is None and len(networks) > 1:
        show.warn("the members were not all trained on the same data; they are scored on that of the first")
    scored = _scored(config, networks, joined, show)
    out = reserve("ensemble") if config.out is None else place(config.out)
    summary = {
        "status": "done",
        "reason": f"{len(networks)} network{'s' * (len(networks) > 1)} joined, how={config.how}",
        "how": config.how,
        "members": _members(units, shares, scored["members"]),
        "fitted_on": fitted_on,
        "scored_on": scored["on"],
        **scored["ensemble"],
        "gain": scored["gain"],
        "parameters": sum(p.numel() for p in joined.network.parameters()),
        "run_dir": str(out),
    }
    with new_folder(out, FILES) as folder:
        checkpoint.save(folder / "best.pt", {"meta": joined.meta, "weights": joined.network.state_dict()})
        data = {"name": scored["data"], "fingerprint": joined.meta["fingerprint"]}
        RunDir(folder).write_config(rules.to_dict(joined.config) | {"resume": None}, {}, data)
        RunDir(folder).write_summary(summary)
    where = shlex.quote(str(out))
    words = ("eval {}", "predict {} PATHS...", "export {}")
    return summary | {"next": [f"svhn {word.format(where)}" for word in words]}


def _members(units: list[Unit], shares: list[float], scores: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = [(unit.word, one) for unit in units for one in unit.networks]
    return [
        {
            "run": word,
            "checkpoint": str(one.path),
            "fold": one.meta["fold"],
            "share": share,
            "accuracy": score.get("accuracy"),
            "loss": score.get("loss"),
        }
        for (word, one), share, score in zip(names, shares, scores, strict=True)
    ]


# ----------------------------------------------------------------------------- scores


def _scored(config: EnsembleConfig, networks: list[Trained], joined: Trained, show: Show) -> dict[str, Any]:
    """{"data": its name, "on", "members": a score each, "ensemble": {part: score}, "gain"}; why there is none
    is said."""
    nothing: dict[str, Any] = {"on": None, "members": [{} for _ in networks], "ensemble": {}, "gain": None}
    nothing["data"] = joined.config.data.name
    framing = joined.preprocess.framing
    try:
        with show.bars():
            data = registry.data(joined.config.data, joined.config.split, config.cache, show.work, framing)
        part = "test" if data.test is not None else "val"
        if part == "val" and joined.meta["split"] is None:
            show.say(f"not scored: {data.name} has no test part, and no pictures validated in all members")
            return nothing
        part_of(part, data, joined, own_data=True)
    except (DataError, DiskError) as error:
        show.say(f"not scored: {error.message}")
        return nothing
    return _on(part, data, networks, joined, config.device, show)


def _on(
    part: str, data: DataSet, networks: list[Trained], joined: Trained, device: str, show: Show
) -> dict[str, Any]:
    machine = trained.machine(device, joined.config)
    digits, indices = part_of(part, data, joined, own_data=True)
    batches, labels = Batches(digits, indices, machine.device), digits.labels[indices]
    scores, right = [], []
    with show.bars():
        for number, one in enumerate([*networks, joined], 1):
            network = one.network.to(machine.device)
            score, probabilities = evaluate(network, batches, one.preprocess, machine)
            scores.append(to_plain(score))
            right.append(is_right(probabilities.argmax(-1), labels, BLANK))
            show.work("score members", number, len(networks) + 1)
    best = max(range(len(networks)), key=lambda i: (scores[i]["accuracy"], -scores[i]["loss"]))
    groups, hits = digits.groups[indices], np.stack(right).astype(float)
    gain = None
    if len(np.unique(groups)) > 1:
        over_best, over_mean = (
            asdict(paired_bootstrap(hits[-1] - other, groups, seed=SEED))
            for other in (hits[best], hits[:-1].mean(0))
        )
        gain = {"best": str(networks[best].path), "over_best": over_best, "over_mean": over_mean}
    on = f"{part} part of {data.name}"
    found = {"on": on, "members": scores[:-1], "ensemble": {part: scores[-1]}, "gain": gain}
    return {**found, "data": data.name}
