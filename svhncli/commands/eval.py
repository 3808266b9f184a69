"""`svhn eval RUN`: how good the best weights of a run are, on its own data or on other data, as a report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import stdev

import numpy as np
from rich.console import RenderableType

from svhncli import registry
from svhncli.config.verbs.results import EvalConfig
from svhncli.core.errors import UsageError
from svhncli.core.paths import expanded
from svhncli.core.plain import inlined, optional
from svhncli.core.run_mark import is_run
from svhncli.core.text import percent
from svhncli.data.dataset import DataSet
from svhncli.data.split import official
from svhncli.engine.device import Machine
from svhncli.evaluation import trained
from svhncli.evaluation.held_out import fitted
from svhncli.evaluation.scored_part import score_part
from svhncli.evaluation.trained import Trained
from svhncli.report.next_commands import ensemble
from svhncli.report.score_rows import (
    classes_table,
    coverage_rows,
    detection_rows,
    loss_text,
    members_table,
    score_rows,
)
from svhncli.report.scorecard import Scorecard
from svhncli.report.terminal import Show, facts, labeled, next_steps
from svhncli.runs.locate import checkpoint_files, evaluation_folder
from svhncli.runs.results import MeanScore
from svhncli.runs.run_dir import RunDir
from svhncli.stats.coverage import Fitted
from svhncli.stats.score import Score
from svhncli.stats.scores import Calibration


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The score of one network, and its report. fold: its name, where the run has several."""

    fold: str | None = optional()
    score: Score = inlined()
    scorecard: Scorecard = inlined()


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """What `svhn eval` measured, under the name of the part.

    tta: views of each image. precision: fp32 or bf16. scores: those of each fold, if there are several; their
    mean is under the name of the part. report: the folder of the report; for several folds, a pattern of
    their folders.
    """

    run: str
    checkpoint: str
    data: str
    tta: int
    precision: str
    train: Evaluation | MeanScore | None = optional()
    val: Evaluation | MeanScore | None = optional()
    test: Evaluation | MeanScore | None = optional()
    scores: list[Evaluation] | None = optional()
    report: str
    next: list[str] | None = optional()


def run(config: EvalConfig) -> EvalResult:
    """Score a run's best weights (of every fold, where it has several) on one part of a data set.

    Raises:
        CheckpointError: no such run, or a damaged file.
        DataError: the data has no such part, or images of another kind.
        DiskError: the report cannot be written.
        UsageError: `out` is not a folder, or a key asks for images that the network was not trained on.
    """
    if config.out is not None and expanded(config.out).is_file():
        raise UsageError(f"out={config.out} is a file", "name a folder; it may be new")
    show = Show()
    folds = [trained.load(path) for path in checkpoint_files(config.run)]
    first = folds[0]
    own_data = config.data is None
    chosen = first.config.data if own_data else config.data
    if config.root is not None and not hasattr(chosen, "root"):
        raise UsageError(f"root: the run's data={chosen.name} lies in no folder", "leave root out")
    if own_data and (root := config.root or _kept_root(first)) is not None:
        chosen = replace(chosen, root=root)
    if not own_data:
        registry.require_framing(chosen, first.preprocess.framing)
    split_config = first.config.split if own_data else None
    with show.bars():
        data = registry.data(
            chosen,
            split_config,
            config.cache,
            show.work,
            first.preprocess.framing,
            test_only=config.part == "test",
        )
    machine = trained.machine(config.device, config.precision, first.config)
    fits = [fitted(fold, _validated_on(config.part, data, fold, own_data)) for fold in folds]
    several = len(folds) > 1
    evaluations = [
        _evaluated(config, data, fold, fit, machine, several) for fold, fit in zip(folds, fits, strict=True)
    ]
    beside, scored = first.path.parent, evaluations[0]
    return EvalResult(
        run=str(beside.parent if several else beside),
        checkpoint=str(first.path),
        data=data.name,
        tta=config.tta,
        precision=machine.precision,
        scores=evaluations if several else None,
        report=str(_folder(config, data, _part(config, data, first), beside.parent / "*", "*"))
        if several
        else scored.scorecard.report,
        next=[ensemble(beside.parent)] if several else None,
        **{config.part: _mean(evaluations) if several else scored},
    )


def _kept_root(fold: Trained) -> str | None:
    """Where the run's folder says that its data lies, which a resumed run may have changed."""
    for folder in (fold.path.parent, fold.path.parent.parent):
        if is_run(folder):
            data = RunDir(folder).config().get("data")  # a foreign file may have no such key
            if isinstance(data, dict) and data.get("name") == fold.config.data.name:
                return data.get("root")
            return None
    return None


def _evaluated(
    config: EvalConfig, data: DataSet, fold: Trained, fit: Fitted, machine: Machine, several: bool
) -> Evaluation:
    """Score one network and write its report."""
    part = _part(config, data, fold)
    beside = fold.path.parent
    score, scorecard = score_part(
        _folder(config, data, part, beside, beside.name if several else ""),
        config.part,
        data,
        fold,
        machine,
        fit,
        own_data=config.data is None,
        name=part,
        tta=config.tta,
        percent=config.confusion == "percent",
    )
    return Evaluation(fold=beside.name if several else None, score=score, scorecard=scorecard)


def _mean(evaluations: list[Evaluation]) -> MeanScore:
    scores = [evaluation.score for evaluation in evaluations]
    loss = float(np.mean([score.loss for score in scores]))
    return MeanScore(scores[0].n, loss, float(np.mean([score.accuracy for score in scores])))


def table(result: EvalResult) -> Iterator[RenderableType]:
    """Scores of the classes, of the part and of its calibration; where the report is."""
    parts = {"train": result.train, "val": result.val, "test": result.test}
    ((part, scored),) = ((name, value) for name, value in parts.items() if value is not None)
    rows: list[tuple[str, str]]
    if isinstance(scored, Evaluation):
        yield classes_table(scored.scorecard.classes)
        rows = [
            *score_rows(part, scored.score),
            *detection_rows(scored.scorecard.detection),
            ("calibration", _calibration(scored.scorecard.calibration)),
            *coverage_rows(scored.scorecard.coverage),
        ]
    else:
        members = {str(member.fold): member.score for member in result.scores or ()}
        yield members_table(members)
        sd = percent(stdev(score.accuracy for score in members.values()))
        rows = [(f"{part}, mean of {len(members)}", f"{loss_text(scored.accuracy, scored.loss)}; sd {sd}")]
    if result.precision != "fp32":
        rows.append(("computed in", f"{result.precision}; svhn predict and export compute in fp32"))
    if result.tta > 1:
        rows.append(("views", f"{result.tta} of each image, their probabilities averaged"))
    yield facts(rows)
    yield labeled("report", result.report)
    yield from next_steps(result.next or ())


def _calibration(calibration: Calibration) -> str:
    error, fit = f"error {percent(calibration.ece)}", calibration.fit
    if fit.temperature is None or calibration.ece_after is None:
        return f"{error}; temperature not fitted: {fit.not_fitted}"
    return f"{error}; {percent(calibration.ece_after)} at temperature {fit.temperature:.2f}, fitted on val"


def _part(config: EvalConfig, data: DataSet, fold: Trained) -> str:
    """The part in words: `official` is the validation part that a run's data brings, if the run validated on
    training images instead."""
    is_other = config.part == "val" and config.data is not None and not _is_brought(data, fold)
    return "official" if is_other and data.fingerprint == fold.meta["fingerprint"] else config.part


def _folder(config: EvalConfig, data: DataSet, part: str, beside: Path, fold: str) -> Path:
    """The folder for the report of a fold: in `out`, if it is given, else beside the checkpoint."""
    if config.out is not None:
        return expanded(config.out) / fold
    return evaluation_folder(beside, data.name, part, config.tta)


def _validated_on(part: str, data: DataSet, fold: Trained, own_data: bool) -> bool:
    """Whether the part contains validation images of the run; the parts of named data are not split."""
    if own_data or part == "test":
        return part == "val"
    if data.fingerprint != fold.meta["fingerprint"]:
        return False
    validates = "val" if _is_brought(data, fold) else "train"
    return part == validates


def _is_brought(data: DataSet, fold: Trained) -> bool:
    """Whether the run validated on the validation part that its data brings, not on training images."""
    return data.val is not None and fold.meta["split"] == official(len(data.train), len(data.val))[0].digest
