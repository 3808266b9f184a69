"""`main` called from a program whose standard streams are other objects, or none at all."""

from __future__ import annotations

import csv
import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import write_run
from PIL import Image

from svhncli.cli import main as cli
from svhncli.config.groups.model import LinearConfig
from svhncli.data.framing import Framing

STREAMS = ("stdin", "stdout", "stderr")


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Hydra's handlers would write to a stream that is gone."""
    before = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = before


@pytest.fixture
def images(folder: Path) -> list[str]:
    """Two images, with a run that can predict them."""
    write_run(folder / "run", Framing(16, 16), 1, LinearConfig())
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(name)
    return ["a.png", "b.png"]


def call(monkeypatch: pytest.MonkeyPatch, streams: list[io.StringIO | None], *words: str) -> int:
    with monkeypatch.context() as patch:
        for name, stream in zip(STREAMS, streams, strict=True):
            patch.setattr(sys, name, stream)
        code = cli.main(list(words))
        assert [getattr(sys, name) for name in STREAMS] == streams, "they are the caller's again"
        return code


@pytest.mark.parametrize("listed", [False, True])
def test_predictions_go_to_a_stream_without_bytes_below_it(
    listed: bool, images: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed, out, err = io.StringIO("\n".join(images)), io.StringIO(), io.StringIO()
    words = ["-"] if listed else images
    assert call(monkeypatch, [typed, out, err], "predict", "run", *words) == 0, err.getvalue()
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert [row["file"] for row in rows] == images


def test_a_program_without_streams_gets_exit_codes_and_files(
    images: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: list[io.StringIO | None] = [None, None, None]
    assert call(monkeypatch, nothing, "predict", "run", *images, "out=p.csv") == 0
    assert len(Path("p.csv").read_text().splitlines()) == 3
    assert call(monkeypatch, nothing, "predict", "run", *images) == 0
    assert call(monkeypatch, nothing, "predict", "run", "-") == 3
    assert call(monkeypatch, nothing, "train", "--cfg", "job") == 0
    assert call(monkeypatch, nothing, "--help") == 0
    assert call(monkeypatch, nothing, "nonsense") == 2
