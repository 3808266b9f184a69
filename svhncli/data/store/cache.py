"""Prepared data sets on disk: one folder each, written once, then opened memory-mapped.

A folder is built under a temporary name and renamed when complete: a kill leaves all of it or nothing.
Whenever it is opened, every file is compared with its XXH3 digest, and a damaged folder is built anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from filelock import FileLock

from svhncli import __version__
from svhncli.core.errors import DiskError, SvhnError, disk_error
from svhncli.core.files import read_json, write_json
from svhncli.core.locks import locked
from svhncli.core.paths import expanded
from svhncli.core.temporary import TEMP_PREFIX
from svhncli.data.store.disk import digest, hold

log = logging.getLogger(__name__)
META = "meta.json"
ELSEWHERE = "choose another folder with SVHN_CACHE=FOLDER, or free some space there if the disk is full"


def default_root() -> Path:
    """$SVHN_CACHE, else $XDG_CACHE_HOME/svhn, else ~/.cache/svhn.

    Raises:
        UsageError: none of them, as this user has no home folder.
    """
    if chosen := os.environ.get("SVHN_CACHE"):
        return expanded(chosen)
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "svhn"


@dataclass(frozen=True)
class Cache:
    """Prepared data sets under a root folder, which is created when the first of them is built."""

    root: Path

    def open(
        self, name: str, key: Mapping[str, Any], build: Callable[[Path], None], resumable: bool = False
    ) -> Path:
        """The folder of the data set that `key` describes; `build(folder)` creates it if it is not complete.

        key: JSON values that include everything the content depends on; each key has its own folder.
        build: writes files (see `arrays.create`) into an empty folder. One process builds, others wait.
        resumable: `build` gets back what it wrote before it was killed or interrupted, and continues.

        Raises:
            DiskError: the cache cannot be written; no partial files are left.
        """
        text = json.dumps(key, sort_keys=True, allow_nan=False)
        folder = self.root / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        try:
            if folder.is_dir():
                if _is_intact(folder, text):
                    return folder
                log.warning("prepared data in '%s' is damaged, and is prepared anew", folder)
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DiskError(f"the cache '{self.root}' cannot be used: {error.strerror}", ELSEWHERE) from error
        try:
            with hold(self.root / f"{folder.name}.lock", f"prepare {folder}"):
                if not _is_intact(folder, text):
                    self._build(folder, text, build, resumable)
        except SvhnError:
            raise
        except Exception as error:
            if (disk := disk_error(error)) is None:
                raise
            raise DiskError(
                f"the cache '{self.root}' cannot be written: {disk.message}", ELSEWHERE
            ) from error
        return folder

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """An empty folder while the block runs; what a killed process leaves is removed by the next one.

        Raises:
            DiskError: the cache cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with hold(self.root / f".{name}.lock", f"create a folder in {self.root}"):
                for leftover in self.root.glob(f".{name}-*"):
                    with suppress(OSError), FileLock(leftover / ".lock", timeout=0):  # unless it is in use
                        shutil.rmtree(leftover)
                folder = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=self.root))
                lock = locked(folder / ".lock")
        except OSError as error:
            raise DiskError(
                f"the cache '{self.root}' cannot be written: {error.strerror}", ELSEWHERE
            ) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.release()

    def _build(self, folder: Path, key: str, build: Callable[[Path], None], resumable: bool) -> None:
        temp = self.root / f"{TEMP_PREFIX}{folder.name}"
        # Left by a killed process: this one holds the lock, so no other writes there.
        if temp.exists() and not resumable:
            shutil.rmtree(temp)
        temp.mkdir(exist_ok=resumable)
        keep = False
        try:
            build(temp)
            files = {}
            for path in sorted(temp.iterdir()):
                files[path.name] = _facts(path) | {"sha256": digest(path, "sha256"), "xxh3": _xxh3(path)}
                _sync(path)
            meta = {"version": __version__, "key": json.loads(key), "files": files}
            write_json(temp / META, meta | {"xxh3": _xxh3_of(meta)})
            _sync(temp)
            if folder.exists():
                shutil.rmtree(folder)
            temp.rename(folder)
            _sync(self.root)
        except BaseException as error:
            keep = resumable and not isinstance(
                error, Exception
            )  # a signal, which says nothing about the data
            raise
        finally:
            if not keep:
                shutil.rmtree(temp, ignore_errors=True)


def fingerprint(*folders: Path) -> str:
    """SHA-256 over images and labels of prepared data sets, from the digests that were taken when built."""
    digests = [
        [name, facts["sha256"]]
        for folder in folders
        for name, facts in sorted(read_json(folder / META)["files"].items())
        if name.endswith(("_images.npy", "_labels.npy"))
    ]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def joint_fingerprint(*fingerprints: str) -> str:
    """A fingerprint of several data sets that are used together."""
    return hashlib.sha256(json.dumps(fingerprints).encode()).hexdigest()


def _is_intact(folder: Path, key: str) -> bool:
    """Whether every file exists, with the bytes with which it was written."""
    try:
        meta = read_json(folder / META)
        if json.dumps(meta["key"], sort_keys=True) != key:
            return False
        if "xxh3" not in meta:  # an earlier version built it
            return all(digest(folder / name, "sha256") == of["sha256"] for name, of in meta["files"].items())
        return meta.pop("xxh3") == _xxh3_of(meta) and all(
            facts | _facts(folder / name) | {"xxh3": _xxh3(folder / name)} == facts
            for name, facts in meta["files"].items()
        )
    except Exception:  # however it is damaged, it is rebuilt
        return False


def _xxh3(path: Path) -> str:
    """The XXH3 digest of a file: as fast as memory, so that a set of 2 GB delays no start by a tenth of a
    second (https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md). It finds damage, not forgery."""
    with path.open("rb") as file:
        if not path.stat().st_size:  # mmap refuses it
            return xxhash.xxh3_128_hexdigest(b"")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return xxhash.xxh3_128_hexdigest(content)


def _xxh3_of(value: Mapping[str, Any]) -> str:
    return xxhash.xxh3_128_hexdigest(json.dumps(value, sort_keys=True).encode())


def _facts(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = {"bytes": path.stat().st_size}
    if path.suffix == ".npy":
        array = np.lib.format.open_memmap(path, mode="r")
        facts |= {"dtype": array.dtype.str, "shape": list(array.shape)}
    return facts


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
