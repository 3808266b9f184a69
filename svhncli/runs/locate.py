"""What a word for a run means: its folder, a file in it, a fold, a sweep, an ensemble, or `latest`."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from svhncli.core.errors import CheckpointError, UsageError
from svhncli.core.paths import expanded
from svhncli.core.run_mark import CONFIG, is_run
from svhncli.core.sums import SUMS
from svhncli.core.temporary import TEMP_PREFIX

SWEEP = "sweep.json"
"""The file that makes a folder a sweep's: what was swept."""
STUDY = "study.json"
"""The file that makes a folder a study's: what is searched, and where its trials are recorded."""
LATEST = "latest"
RUNS, SWEEPS, STUDIES = Path("outputs/train"), Path("outputs/sweep"), Path("outputs/tune")
_STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")

# ----------------------------------------------------------------------------- folders


def run_folder(word: str | None) -> Path:
    """The folder of the run that a word means: the folder itself, a file or fold in it, or the latest run.

    Raises:
        CheckpointError: there is no such run.
    """
    if word in (None, LATEST):
        return latest_run()
    path = expanded(str(word))
    if not path.exists():
        raise CheckpointError(f"there is no run '{path}'", "name a run's folder, a .pt file in it, or latest")
    folder = path if path.is_dir() else path.parent
    for candidate in (folder, folder.parent):  # a fold's folder lies in its run's
        if is_run(candidate):
            return candidate
    if is_sweep(folder):
        raise CheckpointError(
            f"'{path}' is a sweep of several runs",
            f"name one of them; '{path}/summary.csv' has the best first",
        )
    raise CheckpointError(
        f"'{path}' does not belong to a run: there is no {CONFIG} beside it",
        "images are named by data=folder data.root=PATH\n"
        "to start a new run from a checkpoint's weights: svhn train init_from=FILE",
    )


def reported_folder(word: str | None) -> Path:
    """The folder whose results a word means: that of a sweep, of a run, or of one fold of it.

    Raises:
        CheckpointError: there is no such run.
    """
    path = expanded(str(word))
    if word not in (None, LATEST) and path.exists():
        folder = path if path.is_dir() else path.parent
        is_fold = (folder / "split.json").is_file() and is_run(folder.parent)
        if is_sweep(folder) or is_study(folder) or is_fold or (folder / "summary.json").is_file():
            return folder
    return run_folder(word)


def resumable(word: str, sweeps_only: bool) -> Path | None:
    """The run or sweep to resume; for "" the one under outputs/ that began last, None where there is none.

    Raises:
        UsageError: only a sweep will do, and the word means something else.
        CheckpointError: only a sweep will do, and there is none.
    """
    if word:
        path = expanded(word)
        if sweeps_only and not is_sweep(path):
            raise UsageError(
                f"'{word}' is not a sweep: it has no {SWEEP}",
                "leave -m out to go on with a single run",
            )
        return path
    begun = [path for path in _stamped(SWEEPS) if is_sweep(path)]
    if sweeps_only and not begun:
        raise CheckpointError(f"there is no sweep under {SWEEPS}", "start one: svhn train -m lr=1e-3,3e-4")
    if not sweeps_only:
        begun += [path for path in _stamped(RUNS) if is_run(path)]
    return max(begun, key=lambda path: path.name, default=None)


def latest_run(outputs: Path = RUNS) -> Path:
    """The newest run under `outputs`, by the time in its name, that did not fail before anything was saved.

    Raises:
        CheckpointError: there is none.
    """
    runs = [path for path in _stamped(outputs) if _is_usable(path)]
    if not runs:
        raise CheckpointError(f"there is no run under '{outputs}' yet", "start one: svhn train")
    return runs[-1]


def is_begun(folder: Path) -> bool:
    """Whether there is a run in a folder.

    Raises:
        UsageError: there are other files, among which those of a run would get lost.
    """
    if is_run(folder):
        return True
    if folder.is_dir() and (others := beyond_a_start(folder)):
        raise UsageError(
            f"'{folder}' holds other files, such as '{others[0]}', and no run",
            "name another folder with out=",
        )
    return False


def beyond_a_start(folder: Path) -> list[str]:
    """The names in a folder, without those that a start leaves which ended before there was a run."""
    start = {".hydra", ".lock", SUMS, "env.json", "multirun.yaml"}
    names = {path.name for path in folder.iterdir()} - start
    return sorted(name for name in names if not name.startswith(TEMP_PREFIX))


def is_sweep(folder: Path) -> bool:
    return (folder / SWEEP).is_file()


def is_study(folder: Path) -> bool:
    return (folder / STUDY).is_file()


def study_folder(word: str) -> Path:
    """The study to resume; for "" or `latest` the one under outputs/tune that began last.

    Raises:
        CheckpointError: there is none.
    """
    if word in ("", LATEST):
        begun = [path for path in _stamped(STUDIES) if is_study(path)]
        if not begun:
            raise CheckpointError(f"there is no study under {STUDIES}", "start one: svhn tune space=small")
        return begun[-1]
    path = expanded(word)
    if not is_study(path):
        raise CheckpointError(f"'{word}' is not a study: it has no {STUDY}", "name a study's folder")
    return path


def _stamped(outputs: Path) -> list[Path]:
    """The folders that `reserve` made, the oldest first."""
    return sorted(path for path in outputs.glob("*") if _STAMP.match(path.name))


def _is_usable(run: Path) -> bool:
    saved = (run / "last.pt").is_file() or any(run.glob("*/last.pt"))  # in the folds, where there are several
    failed = (run / "summary.json").is_file() and not saved
    return is_run(run) and not failed


# ----------------------------------------------------------------------------- checkpoints


def checkpoint_file(word: str) -> Path:
    """The one checkpoint that a word means: a file, or a run's best.pt.

    Raises:
        CheckpointError: there is no such run or file.
    """
    path = expanded(word)
    if word != LATEST and path.is_file():
        return path
    folder = path if word != LATEST and (path / "best.pt").is_file() else run_folder(word)
    if (folder / "best.pt").is_file():
        return folder / "best.pt"
    inner = sorted(file.parent.name for file in folder.glob("*/best.pt"))
    if not inner:
        _refuse_export(folder)
        raise CheckpointError(f"'{folder}' has no best.pt", "name a run that has finished an epoch")
    raise CheckpointError(
        f"'{folder}' has {len(inner)} networks, and this takes one",
        f"join them: svhn ensemble {shlex.quote(str(folder))}\n"
        f"or name one of them, such as {shlex.quote(str(folder / inner[0]))}",
    )


def checkpoint_files(word: str) -> list[Path]:
    """The checkpoints that a word means: a file, or a run's best.pt, or that of each of its folds.

    Raises:
        CheckpointError: there is no such run, or it has no weights yet.
    """
    from svhncli.data.split import ALL  # NumPy, which reserving a folder does not need

    path = expanded(word)
    if path.is_file():
        return [path]
    if path.is_dir() and (path / "best.pt").is_file():
        return [path / "best.pt"]
    run = run_folder(word)
    files = [run / "best.pt"] if (run / "best.pt").is_file() else sorted(run.glob("*/best.pt"))
    files = [file for file in files if file.parent.name != ALL]
    if not files:
        _refuse_export(run)
        raise CheckpointError(f"'{run}' has no best.pt yet", f"finish it with: svhn train --resume {run}")
    return files


def _refuse_export(folder: Path) -> None:
    if (folder / "preprocess.json").is_file():
        raise CheckpointError(
            f"'{folder}' is an export, for other programs",
            "name the run that it was exported from; its model_card.md has Python code that uses the export",
        )


def member_files(word: str) -> list[Path]:
    """The checkpoints that a word for members of an ensemble means: also all of a folder of .pt files.

    Raises:
        CheckpointError: there is no such run, or it has no weights yet.
    """
    folder = expanded(word)
    has_own = is_run(folder) or any((folder / name).is_file() for name in ("best.pt", "last.pt"))
    files = [] if has_own else sorted(folder.glob("*.pt"))
    return files or checkpoint_files(word)


# ----------------------------------------------------------------------------- places for new files


def reserve(kind: str, moment: datetime | None = None) -> Path:
    """Make outputs/<kind>/<moment, now>: mkdir is atomic, so two starts in one instant get two folders."""
    moment = moment or datetime.now()
    while True:
        folder = Path("outputs", kind, moment.strftime("%Y-%m-%d_%H-%M-%S-%f"))
        folder.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process removed its empty parent just now
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                moment += timedelta(microseconds=1)


def evaluation_folder(folder: Path, data: str, part: str, views: int = 1) -> Path:
    """Where `svhn eval` writes its results for one part of a data set, beside the checkpoint it scored."""
    name = f"{data}-{part}" + (f"-tta{views}" if views > 1 else "")
    return folder / "eval" / re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)
