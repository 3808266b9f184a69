"""Optuna's parts of a study, by the words of the config: what records its trials, draws and stops them.

Optuna is an extra, `svhncli[tune]`, and is imported where it is needed.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from svhncli.config.space import Space
from svhncli.config.verbs.tuning import FEW, TuneConfig
from svhncli.core.errors import DiskError, UsageError

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

NEEDED = {"optuna": "optuna", "cmaes": "cmaes", "sklearn": "scikit-learn"}
"""Modules of the extra -> their packages."""
OWN = ("sqlite", "journal")
"""Storages that are files in the study's folder."""
REDUCTION = 3
"""ASHA and Hyperband let one trial in so many go on at each rung, and train it so many times as long."""
WAIT = 60
"""Seconds that a process waits for another one that writes to the same SQLite file."""


def require_packages() -> None:
    """Raise a UsageError unless everything that a search takes is installed."""
    missing = [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise UsageError(
            f"svhn tune needs {', '.join(missing)}, not installed here", 'pip install "svhncli[tune]"'
        )


def refuse_mistakes(config: TuneConfig, space: Space, folder: Path) -> None:
    """Look for what cannot work before any data is touched.

    Raises:
        UsageError: packages are missing, a range without steps on a grid, a pruner that does not fit the
            split, or a storage that cannot be used.
    """
    require_packages()
    if config.sampler == "grid":
        space.grid()
    has_folds = config.split.name in ("kfold", "bootstrap") and config.split.fold is None
    make_pruner(config.pruner, config.epochs, 2 if has_folds else 1)
    if config.storage not in OWN:
        open_storage(config.storage, folder)


def shown(storage: str) -> str:
    """A storage as it may be written into files and messages: without a password."""
    parts = urlsplit(storage)
    if parts.password is None:
        return storage
    return parts._replace(netloc=parts.netloc.replace(f":{parts.password}@", "@")).geturl()


def open_storage(storage: str, folder: Path) -> BaseStorage:
    """The storage of a study in this folder.

    Raises:
        UsageError: a database that cannot be reached, or whose driver is not installed.
    """
    from optuna.exceptions import StorageInternalError
    from optuna.storages import RDBStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage

    if storage == "journal":
        log = str(folder / "journal.log")
        return JournalStorage(JournalFileBackend(log, lock_obj=JournalFileOpenLock(log)))
    if storage == "sqlite":
        url = f"sqlite:///{(folder / 'study.db').absolute()}"
        return RDBStorage(url, engine_kwargs={"connect_args": {"timeout": WAIT}})
    try:
        return RDBStorage(storage, engine_kwargs={"pool_pre_ping": True})
    except ImportError as error:
        raise UsageError(
            f"storage={shown(storage)}: {error}",
            "install the database's driver, such as psycopg[binary] for postgresql://",
        ) from error
    except Exception as error:  # SQLAlchemy's and the driver's own kinds
        cause = (error.__cause__ or error) if isinstance(error, StorageInternalError) else error
        raise UsageError(
            f"storage={shown(storage)} cannot be used: {_first_line(cause)}",
            "sqlite, journal, or a URL such as postgresql://USER:PASSWORD@HOST/DATABASE",
        ) from error


@contextmanager
def in_use(storage: str) -> Iterator[None]:
    """In the block a study is read and written.

    Raises:
        DiskError: its storage failed, such as a database that stopped or a folder that was removed.
    """
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except StorageInternalError as error:
        raise DiskError(
            f"storage={shown(storage)} failed: {_first_line(error.__cause__ or error)}",
            "resume the study once it works again: ended trials are kept, others go on from last.pt",
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def make_sampler(name: str, trials: int, seed: int, number: int) -> BaseSampler:
    """What draws trial `number`.

    Its random numbers are keyed by the seed and the trial's number, so a search that is resumed, or that
    several processes share, draws no trial twice. A quasi-random sequence is one sequence for all trials.
    """
    from optuna import samplers

    from svhncli.core.rng import key

    own = key(seed, "trial", number) % 2**32
    if name == "auto":
        name = "random" if trials <= FEW else "tpe"
    made: dict[str, Callable[[], BaseSampler]] = {
        "random": lambda: samplers.RandomSampler(seed=own),
        "grid": lambda: samplers.RandomSampler(seed=own),  # its trials are enqueued with all values
        "tpe": lambda: samplers.TPESampler(seed=own, multivariate=True, group=True),
        "cmaes": lambda: samplers.CmaEsSampler(
            seed=own, independent_sampler=samplers.RandomSampler(seed=own), warn_independent_sampling=False
        ),
        "qmc": lambda: samplers.QMCSampler(
            scramble=True,
            seed=key(seed, "qmc") % 2**32,
            independent_sampler=samplers.RandomSampler(seed=own),
            warn_independent_sampling=False,
            warn_asynchronous_seeding=False,
        ),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that parts of Optuna are experimental
        return made[name]()


def make_pruner(name: str, epochs: int, folds: int) -> BasePruner:
    """What stops trials early, by their epochs or, where a trial is several folds, by its folds.

    asha, hyperband: Li et al. 2020 and 2018; median: Golovin et al. 2017; wilcoxon: folds against those of
    the best trial, by Wilcoxon's signed-rank test.

    Raises:
        UsageError: it needs folds and there are none, or the other way round.
    """
    from optuna import pruners

    if name == "auto":
        name = "asha" if folds == 1 else "wilcoxon"
    if name == "wilcoxon" and folds == 1:
        raise UsageError("pruner=wilcoxon compares folds, and a trial has one", "add split=kfold")
    if name not in ("wilcoxon", "none") and folds > 1:
        raise UsageError(
            f"pruner={name} compares epochs, and a trial is several folds", "choose wilcoxon or none"
        )
    least = max(1, epochs // REDUCTION**2)
    made: dict[str, Callable[[], BasePruner]] = {
        "none": pruners.NopPruner,
        "median": lambda: pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=least),
        "asha": lambda: pruners.SuccessiveHalvingPruner(min_resource=least, reduction_factor=REDUCTION),
        "hyperband": lambda: pruners.HyperbandPruner(
            min_resource=least, max_resource=epochs, reduction_factor=REDUCTION
        ),
        "wilcoxon": _wilcoxon,
    }
    return made[name]()


def _wilcoxon() -> BasePruner:
    from optuna.pruners import WilcoxonPruner

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is experimental
        return WilcoxonPruner(p_threshold=0.1)
