"""Checkpoints: written whole, verified when read, and without anything that could run code.

A file is a torch archive of plain containers, tensors and primitives, readable by anyone with
`torch.load(path, weights_only=True)`: {"format", "sha256", "content"}. The SHA-256 is over the content
itself, since torch.load accepts flipped bits silently; two files with one digest hold the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from svhncli.core.errors import CheckpointError, SvhnError
from svhncli.core.files import write_atomic
from svhncli.core.plain import from_plain

FORMAT = 1


@dataclass(frozen=True)
class Description:
    """What "meta" says of the run, beside what only newer versions write.

    in_shape: (C, H, W) of the network's input. split: the digest of the fold's indices; None of an ensemble
    of several. fingerprint: of the data; None of an ensemble of runs on several.
    """

    config: dict[str, Any]
    fold: str
    fingerprint: str | None
    split: str | None
    preprocess: dict[str, Any]
    in_shape: list[int]
    positions: int
    classes: int


def digest(content: Any) -> str:
    """SHA-256 over nested dicts, lists, primitives, and tensors (bits, dtype, shape; not memory layout)."""
    sha = hashlib.sha256()

    def feed(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            flat = value.detach().cpu().contiguous().reshape(-1)
            sha.update(f"tensor {value.dtype} {tuple(value.shape)};".encode())
            sha.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
        elif isinstance(value, Mapping):
            sha.update(f"dict {len(value)};".encode())
            for name, item in value.items():
                feed(name)
                feed(item)
        elif isinstance(value, (list, tuple)):
            sha.update(f"list {len(value)};".encode())
            for item in value:
                feed(item)
        elif value is None or isinstance(value, (bool, int, float, str)):
            sha.update(f"{type(value).__name__} {value!r};".encode())
        else:
            raise TypeError(f"a checkpoint holds tensors and plain values, not {type(value).__name__}")

    feed(content)
    return sha.hexdigest()


def size(content: Any) -> int:
    """Bytes of the tensors in nested dicts and lists, which are nearly all of a checkpoint."""
    if isinstance(content, torch.Tensor):
        return content.nbytes
    if isinstance(content, Mapping):
        return sum(map(size, content.values()))
    return sum(map(size, content)) if isinstance(content, (list, tuple)) else 0


def save(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint so that a kill at any moment leaves the old or the new one.

    Raises:
        DiskError: the disk is full; the old file is untouched.
    """
    whole = {"format": FORMAT, "sha256": digest(content), "content": content}
    write_atomic(path, lambda file: torch.save(whole, file), size(content))


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint's content onto the CPU and verify it.

    Raises:
        CheckpointError: missing, damaged, or not written by svhn.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint '{path}'", "check the path")
    try:
        whole = torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise CheckpointError(f"cannot read '{path}': {error.strerror}", "check its permissions") from error
    except Exception as error:  # zipfile, pickle, EOF, runtime: torch promises no type
        size = path.stat().st_size
        raise CheckpointError(f"'{path}' ({size:,} bytes) is damaged or not a checkpoint", _OTHER) from error
    if not (isinstance(whole, dict) and {"format", "sha256", "content"} <= whole.keys()):
        raise CheckpointError(f"'{path}' was not written by svhn", "name a .pt file of a run")
    if whole["format"] != FORMAT:
        raise CheckpointError(
            f"'{path}' has format {whole['format']}, but this version of svhn reads format {FORMAT}",
            "use the version of svhn that wrote it",
        )
    try:
        intact = digest(whole["content"]) == whole["sha256"]
    except TypeError:
        intact = False
    if not intact:
        raise CheckpointError(f"'{path}' is damaged: its content does not match its SHA-256", _OTHER)
    return whole["content"]


def load_of_run(path: Path) -> dict[str, Any]:
    """As `load`, of a best.pt, last.pt or snapshot, whose "meta" is a `Description`.

    Raises:
        CheckpointError: as `load`, or it is none of these.
    """
    content = load(path)
    with fitting(path):
        from_plain(Description, content["meta"], "meta")
        return content


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """In the block, what a checkpoint holds is put to use.

    Raises:
        CheckpointError: the block raised anything: the content is not what svhn writes, whoever signed it.
    """
    try:
        yield
    except CheckpointError:
        raise
    except SvhnError as error:  # such as of its config
        raise CheckpointError(f"'{path}' cannot be used: {error.message}", error.hint) from error
    except Exception as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]
        raise CheckpointError(
            f"'{path}' cannot be used: {what}", "another version of svhn wrote it, or another program"
        ) from error


def load_weights(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The description of the run ("meta") in best.pt or last.pt, and the validated weights (EMA's, if on).

    Raises:
        CheckpointError: as `load`, or a file without weights.
    """
    content = load_of_run(path)
    with fitting(path):
        weights = content.get("weights")
        if weights is None:
            state = content["state"]
            weights = state["model"] if state["ema"] is None else state["ema"]["module"]
        if not (
            isinstance(weights, dict) and all(isinstance(item, torch.Tensor) for item in weights.values())
        ):
            raise ValueError("its weights are not tensors by name")
        return content["meta"], weights


_OTHER = "if the run's other .pt file is intact, start a new run from its weights: svhn train init_from=FILE"
