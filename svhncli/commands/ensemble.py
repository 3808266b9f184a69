"""`svhn ensemble RUNS...`: folds, snapshots or runs as one network, and its gain over its best member."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from svhncli import registry
from svhncli.config import rules
from svhncli.config.verbs.results import EnsembleConfig
from svhncli.core.errors import DataError, DiskError
from svhncli.core.files import new_folder, place
from svhncli.core.labels import BLANK
from svhncli.core.text import counted, percent
from svhncli.data.dataset import DataSet
from svhncli.engine.batches import Batches
from svhncli.engine.forward import evaluate
from svhncli.evaluation import joining, trained
from svhncli.evaluation.joining import Unit
from svhncli.evaluation.scored_part import part_of
from svhncli.evaluation.trained import Trained
from svhncli.report.next_commands import after_joining
from svhncli.report.score_rows import score_rows
from svhncli.report.terminal import Show, facts, labeled, listed, next_steps
from svhncli.runs import checkpoint
from svhncli.runs.environment import DataUsed, Environment, MachineUsed
from svhncli.runs.locate import reserve
from svhncli.runs.reader import Run
from svhncli.runs.results import EnsembleSummary, Failure, Gain, MemberSummary
from svhncli.runs.run_dir import RunDir
from svhncli.stats.score import Score
from svhncli.stats.scores import is_right
from svhncli.stats.significance import Difference, paired_bootstrap

FILES = {"best.pt", "config.yaml", "env.json", "summary.json"}
SEED = 0
"""Seed of the bootstrap."""


@dataclass(frozen=True)
class Scored:
    """Scores of the members and of the ensemble on a part; empty if there is no such part."""

    data: str
    on: str | None = None
    part: str = ""
    members: list[Score] = field(default_factory=list)
    ensemble: Score | None = None
    gain: Gain | None = None


def run(config: EnsembleConfig) -> EnsembleSummary:
    """Join networks, score them and the ensemble, and write it as a folder that can be used like a run's.

    They are scored on the test part or, if there is none, on the validation images that all of them share.
    The best member is selected on the same images on which the gain is measured. This makes the member look
    slightly better than it is, so the gain is slightly underestimated.

    Raises:
        UsageError: the members do not fit together, or `how` cannot be used for them.
        CheckpointError: no such run, or a damaged file.
        DiskError: the folder cannot be written.
    """
    show = Show()
    units = joining.find(config.runs)
    networks = [network for unit in units for network in unit.networks]
    for unit in units:
        summary = RunDir(Path(unit.word)).summary()
        if isinstance(summary, Failure):
            so_far = counted(len(unit.networks), "network")
            show.warn(f"'{unit.word}' is not finished; what it has so far is joined: {so_far}")
    fitted_on = None
    if config.how == "weights":
        shares, fitted_on = joining.fitted_shares(units)
        show.say(f"weights fitted on {fitted_on:,} images that every run held out")
    else:
        shares = joining.equal_shares(units)
    joined = joining.join(networks, shares, config.how)
    if joined.meta["fingerprint"] is None and len(networks) > 1:
        show.warn("the members were trained on different data; they are scored on that of the first")
    scored = Scored(joined.config.data.name)
    if (data := _data(config, joined, show)) is not None:
        joined = joining.with_own_validation(joined, networks, data)
        scored = _scored(data, networks, joined, config, show)
    out = reserve("ensemble") if config.out is None else place(config.out)
    result = EnsembleSummary(
        status="done",
        reason=f"{counted(len(networks), 'network')} joined, how={config.how}",
        how=config.how,
        members=_members(units, shares, scored.members),
        fitted_on=fitted_on,
        scored_on=scored.on,
        val=scored.ensemble if scored.part == "val" else None,
        test=scored.ensemble if scored.part == "test" else None,
        gain=scored.gain,
        parameters=sum(p.numel() for p in joined.network.parameters()),
        run_dir=str(out),
    )
    with new_folder(out, FILES) as folder:
        checkpoint.save(folder / "best.pt", {"meta": joined.meta, "weights": joined.network.state_dict()})
        used = DataUsed(scored.data, joined.meta["fingerprint"])
        RunDir(folder).write_config(rules.to_dict(joined.config), Environment.of(MachineUsed(), used))
        RunDir(folder).write_summary(result)
    return replace(result, next=after_joining(Run.of(out), scored.part))


def _members(units: list[Unit], shares: list[float], scores: list[Score]) -> list[MemberSummary]:
    networks = [(unit.word, network) for unit in units for network in unit.networks]
    known: list[Score | None] = [*scores] or [None] * len(networks)
    return [
        MemberSummary(
            run=word,
            checkpoint=str(network.path),
            fold=network.meta["fold"],
            share=share,
            accuracy=score.accuracy if score else None,
            loss=score.loss if score else None,
        )
        for (word, network), share, score in zip(networks, shares, known, strict=True)
    ]


# ----------------------------------------------------------------------------- scores


def _data(config: EnsembleConfig, joined: Trained, show: Show) -> DataSet | None:
    """The data of the members; where it cannot be had, a line says why the ensemble has no scores."""
    framing = joined.preprocess.framing
    try:
        with show.bars():
            return registry.data(joined.config.data, joined.config.split, config.cache, show.work, framing)
    except (DataError, DiskError) as error:
        show.say(f"not scored: {error.message}")
        return None


def _scored(
    data: DataSet, networks: list[Trained], joined: Trained, config: EnsembleConfig, show: Show
) -> Scored:
    """Scores on the test part or else on the shared validation images; a line says why there are none."""
    part = "test" if data.test is not None else "val"
    if part == "val" and joined.meta["split"] is None:
        show.say(f"not scored: {data.name} has no test part, and the members share no validation part")
        return Scored(data.name)
    try:
        digits, indices = part_of(part, data, joined, own_data=True)
    except DataError as error:
        show.say(f"not scored: {error.message}")
        return Scored(data.name)
    machine = trained.machine(config.device, "auto", joined.config)
    batches, labels = Batches(digits, indices, machine.device), digits.labels[indices]
    scores, right = [], []
    with show.bars():
        for number, model in enumerate([*networks, joined], 1):
            network = model.network.to(machine.device)
            score, probabilities = evaluate(network, batches, model.preprocess, machine)
            scores.append(score)
            right.append(is_right(probabilities.argmax(-1), labels, BLANK))
            show.work("score members", number, len(networks) + 1)
    best = max(range(len(networks)), key=lambda i: (scores[i].accuracy, -scores[i].loss))
    groups, hits = digits.groups[indices], np.stack(right).astype(float)
    gain = None
    if len(np.unique(groups)) > 1:
        over_best, over_mean = (
            paired_bootstrap(hits[-1] - other, groups, seed=SEED) for other in (hits[best], hits[:-1].mean(0))
        )
        gain = Gain(str(networks[best].path), over_best, over_mean)
    return Scored(data.name, f"{part} part of {data.name}", part, scores[:-1], scores[-1], gain)


# ----------------------------------------------------------------------------- the terminal


def table(result: EnsembleSummary) -> Iterator[RenderableType]:
    """Members, then score and gain of the ensemble, its folder, and the commands to continue with."""
    scores = [(part, score) for part, score in (("val", result.val), ("test", result.test)) if score]
    yield _members_table(result.members, scores[0][1] if scores else None)
    rows = [row for part, score in scores for row in score_rows(part, score)]
    if result.gain is not None:
        rows.append(("gain", _gain(result.gain.over_best, "its best member")))
        rows.append(("", _gain(result.gain.over_mean, "its members on average")))
    yield facts([*rows, ("ended", result.reason)])
    yield labeled("run", result.run_dir)
    yield from next_steps(result.next or [])


def _members_table(members: list[MemberSummary], ensemble: Score | None) -> Text:
    """The members, then the ensemble, with their scores if there are any."""
    lines = []
    rows: list[tuple[str, str, MemberSummary | Score | None]]
    rows = [(member.checkpoint, f"{member.share:.3f}", member) for member in members]
    for name, weight, score in [*rows, ("ensemble", "", ensemble)]:
        cells = ("-", "-")
        if score is not None and score.accuracy is not None and score.loss is not None:
            cells = (percent(score.accuracy), f"{score.loss:.4f}")
        lines.append((weight, *cells, name))
    return listed(("weight", "accuracy", "loss", "member"), lines)


def _gain(difference: Difference, over: str) -> str:
    """The ensemble's accuracy minus another, in percentage points."""
    interval = difference.interval
    mean, low, high = (
        f"{round(100 * value, 2) + 0:+.2f}"  # + 0: never -0.00
        for value in (difference.mean, interval.low, interval.high)
    )
    return f"{mean} points of accuracy over {over}, {interval.level:.0%} {low} to {high}"
