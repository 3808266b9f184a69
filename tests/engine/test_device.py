"""The machine: which GPU and precision, and how a process is prepared, whatever its C library offers."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from svhncli.config.verbs.training import TrainConfig
from svhncli.core.errors import UsageError
from svhncli.engine import device
from svhncli.evaluation import trained

CPU = device.Machine(torch.device("cpu"), "fp32", 1)


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32
    products = torch.get_float32_matmul_precision()
    yield
    torch.set_num_threads(threads)
    cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32 = before
    torch.set_float32_matmul_precision(products)
    torch.use_deterministic_algorithms(False)


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


# ----------------------------------------------------------------------------- GPUs, which need not be there


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let torch count so many GPUs."""

    def there_are(count: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "device", nullcontext)

    return there_are


@pytest.mark.parametrize(
    ("count", "name", "message", "hint"),
    [
        (2, "cuda:2", "device=cuda:2: there is no such GPU", "there are 2: cuda:0 to cuda:1"),
        (1, "cuda:1", "device=cuda:1: there is no such GPU", "there is 1: cuda:0"),
        (0, "cuda:0", "device=cuda:0, but torch finds no CUDA GPU", "device=cpu"),
    ],
)
def test_a_gpu_that_is_not_there_is_refused(
    gpus: Callable[[int], None], count: int, name: str, message: str, hint: str
) -> None:
    gpus(count)
    with pytest.raises(UsageError) as error:
        device.resolve(name, "fp32", 1)
    assert error.value.message == message
    assert hint in error.value.hint


def test_each_gpu_that_is_there_can_be_chosen(gpus: Callable[[int], None]) -> None:
    gpus(2)
    assert [str(device.resolve(name, "fp32", 1).device) for name in ("auto", "cuda", "cuda:0", "cuda:1")] == [
        "cuda",
        "cuda",
        "cuda:0",
        "cuda:1",
    ]


@pytest.mark.parametrize("has_bf16", [True, False])
def test_a_gpu_without_bf16_computes_in_fp16(
    gpus: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, has_bf16: bool
) -> None:
    gpus(1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **options: has_bf16)
    assert device.resolve("cuda", "auto", 1).precision == ("bf16" if has_bf16 else "fp16")
    assert device.resolve("cuda", "fp32", 1).precision == "fp32"


def test_fp16_on_the_cpu_is_refused() -> None:
    with pytest.raises(UsageError, match="precision=fp16 is for GPUs"):
        device.resolve("cpu", "fp16", 1)


def test_a_network_trained_in_fp16_is_evaluated_on_a_cpu_in_what_that_computes_in() -> None:
    for wanted in ("auto", "cuda:1"):
        config = TrainConfig(device=wanted, precision="fp16")
        assert trained.machine("cpu", "auto", config).precision == device.resolve("cpu", "auto", 1).precision


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_gpu_repeats_its_bits_unless_that_is_traded_for_speed(
    monkeypatch: pytest.MonkeyPatch, deterministic: bool
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    device.prepare(device.Machine(torch.device("cuda:1"), "fp32", 1, deterministic))
    cudnn = torch.backends.cudnn
    assert chosen == [torch.device("cuda:1")]
    assert torch.are_deterministic_algorithms_enabled() == deterministic
    assert (cudnn.deterministic, cudnn.benchmark) == (deterministic, not deterministic)
    assert (cudnn.allow_tf32, torch.get_float32_matmul_precision() == "high") == (not deterministic,) * 2
    assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) == deterministic


@pytest.mark.parametrize("deterministic", [True, False])
def test_determinism_changes_nothing_on_a_cpu(deterministic: bool) -> None:
    device.prepare(replace(CPU, deterministic=deterministic))
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize(
    ("slot", "where", "gpus"),
    [(0, "auto", "3"), (1, "cuda", "5"), (2, "cuda", "3"), (0, "cuda:1", "3,5"), (1, "cuda:1", "3,5")],
)
def test_processes_take_turns_with_the_gpus_that_they_may_use(
    slot: int, where: str, gpus: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    device.take_gpu(slot, where)
    device.take_gpu(slot, where)  # before the next job of the same process
    assert os.environ["CUDA_VISIBLE_DEVICES"] == gpus


def test_without_a_gpu_there_is_none_to_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    device.take_gpu(1, "auto")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
