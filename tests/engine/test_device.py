"""Preparing a process works on every system, whatever its C library offers."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator

import pytest
import torch

from svhncli.core.errors import UsageError
from svhncli.engine import device

CPU = device.Machine(torch.device("cpu"), "fp32", 1)


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    yield
    torch.set_num_threads(threads)
    cudnn.deterministic, cudnn.benchmark = before


class Library:
    """A C library that records its calls; without mallopt if it has none."""

    def __init__(self, has_mallopt: bool) -> None:
        self.calls: list[tuple[int, int]] = []
        if has_mallopt:
            self.mallopt = lambda parameter, value: self.calls.append((parameter, value))


def test_windows_needs_no_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def windows(name: str | None) -> None:
        raise TypeError("the name of a library cannot be None on Windows")

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "CDLL", windows)
    device.prepare(CPU)
    assert torch.get_num_threads() == 1
    assert torch.backends.cudnn.deterministic


@pytest.mark.parametrize(("platform", "has_mallopt"), [("linux", True), ("linux", False), ("darwin", False)])
def test_freed_memory_is_kept_where_the_c_library_allows_it(
    platform: str, has_mallopt: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(has_mallopt)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    device.prepare(CPU)
    assert library.calls == ([(-3, 1 << 30), (-1, (1 << 31) - 1)] if has_mallopt else [])


def test_cuda_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="device=cuda"):
        device.resolve("cuda", "fp32", 1)
    assert device.resolve("auto", "fp32", 1).device.type == "cpu"


@pytest.mark.parametrize(("slot", "gpu"), [(0, "3"), (1, "5"), (2, "3")])
def test_processes_take_turns_with_the_gpus_that_they_may_use(
    slot: int, gpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    device.take_gpu(slot)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == gpu


def test_without_a_gpu_there_is_none_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    device.take_gpu(1)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
