"""New images for every epoch: which they are, and that no files are left over, however a run ends."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import link_faces, shared_cache
from forked import Forked

from svhncli.cli import main as cli
from svhncli.core.errors import SvhnError
from svhncli.data.digits import Digits
from svhncli.data.render.fresh import FreshImages
from svhncli.data.render.renderer import render
from svhncli.data.sources.synth import load
from svhncli.data.store.cache import Cache
from svhncli.engine.batches import training_images

pytestmark = pytest.mark.engine

Spawn = Callable[..., Forked]
CPU = torch.device("cpu")
SIDE = 16
SMALL = ["data.n_train=150", "data.n_test=0", "threads=1", "device=cpu", "model=linear"]


def rendered(part: str, n: int, seed: int = 0) -> np.ndarray:
    images = np.empty((n, 3, SIDE, SIDE), np.uint8)
    render(
        images, np.empty((n, 1), np.int64), np.empty(n, np.int64), seed=seed, part=part, cache=shared_cache()
    )
    return images


def image_bytes(images: np.ndarray | torch.Tensor) -> set[bytes]:
    return {bytes(np.asarray(image).tobytes()) for image in images}


@pytest.fixture(autouse=True)
def _known_faces(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "cache"):
        link_faces(root)


def leftovers(cache: Path) -> list[Path]:
    return list(cache.glob(".fresh-*"))


def make_images(root: Path, epochs: int) -> list[set[bytes]]:
    """The images of each epoch of a fold of 30 images."""
    data = load(n_train=40, n_test=0, seed=0, size=SIDE, fresh=True, cache=Cache(root))
    epochs_images = []
    with training_images(data, np.arange(10, 40), epochs, CPU) as training:
        for epoch in range(epochs):
            for _ in training.prepare(epoch):
                pass
            assert len(list(leftovers(root)[0].glob("[0-9]*"))) <= 2
            epochs_images.append(image_bytes(training.of_epoch(0, epoch)(0, len(training))[0]))
    return epochs_images


def test_the_first_epoch_trains_on_the_fold_and_later_ones_on_as_many_new_images(
    tmp_path: Path,
) -> None:
    epochs_images = make_images(tmp_path, 4)
    assert epochs_images[0] == image_bytes(rendered("train", 40)[10:])
    assert epochs_images[1] == image_bytes(rendered("fresh-1", 30))
    assert epochs_images[3] == image_bytes(rendered("fresh-3", 30))
    assert not leftovers(tmp_path)


def test_rendering_can_start_at_any_epoch(tmp_path: Path) -> None:
    with FreshImages(Cache(tmp_path), 5, SIDE).open(30, 9) as ahead:
        for _ in ahead.turn_to(7):
            pass
        digits = ahead.digits(7)
        assert isinstance(digits, Digits)
        np.testing.assert_array_equal(digits.images, rendered("fresh-7", 30, seed=5))


def test_nothing_is_rendered_after_the_last_epoch(tmp_path: Path) -> None:
    with FreshImages(Cache(tmp_path), 0, SIDE).open(30, 2) as ahead:
        for epoch in (0, 1):
            for _ in ahead.turn_to(epoch):
                pass
        assert [path.name for path in leftovers(tmp_path)[0].glob("[0-9]*")] == ["1"]


def test_a_renderer_that_dies_is_an_error(tmp_path: Path) -> None:
    with FreshImages(Cache(tmp_path), 0, SIDE).open(30, 3) as ahead:
        assert list(ahead.turn_to(0)) == []
        ahead.close()  # as the system would if memory ran out
        with pytest.raises(SvhnError, match="exit code -9"):
            list(ahead.turn_to(1))


def renderer() -> multiprocessing.Process:
    """The one that was started last; another test may have started the process that reads HDF5."""
    return max(multiprocessing.active_children(), key=lambda child: child.pid or 0)


def test_the_caller_gets_control_while_it_waits(tmp_path: Path) -> None:
    """So that a waiting run can be stopped; this renderer never finishes."""
    with FreshImages(Cache(tmp_path), 0, SIDE).open(30, 2) as ahead:
        assert list(ahead.turn_to(0)) == []
        child = renderer()
        os.kill(child.pid or 0, signal.SIGSTOP)
        waiting = ahead.turn_to(1)
        assert [next(waiting), next(waiting)] == [None, None]
    assert not child.is_alive()


def test_ctrl_c_is_handled_by_the_parent(tmp_path: Path) -> None:
    """A terminal sends it to the renderer as well, even one that has just started; the renderer continues."""
    with FreshImages(Cache(tmp_path), 0, SIDE).open(30, 2) as ahead:
        assert list(ahead.turn_to(0)) == []
        os.kill(renderer().pid or 0, signal.SIGINT)
        for _ in ahead.turn_to(1):
            pass
        np.testing.assert_array_equal(ahead.digits(1).images, rendered("fresh-1", 30))


def test_a_folder_in_use_is_left_alone_and_a_leftover_is_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with cache.scratch("fresh") as in_use:
        leftover = tmp_path / ".fresh-left"
        leftover.mkdir()
        (leftover / "file").write_text("")
        with cache.scratch("fresh") as second:
            assert in_use.is_dir()
            assert second.is_dir()
            assert not leftover.exists()
        assert in_use.is_dir()
        assert not second.exists()
    assert not leftovers(tmp_path)


# ----------------------------------------------------------------------------- on the command line


def test_the_first_epoch_is_bit_identical_to_a_fixed_set_and_the_second_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("true", "false"):
        args = [f"hydra.run.dir={tmp_path / name}", f"data.fresh={name}", "epochs=2"]
        assert cli.main(["train", *SMALL, *args]) == 0
    assert "newly rendered images" in capsys.readouterr().err
    fresh, fixed = (
        (tmp_path / name / "metrics.csv").read_text().splitlines()[1:] for name in ("true", "false")
    )
    assert fresh[0] == fixed[0]
    assert fresh[1] != fixed[1]


@pytest.mark.parametrize(
    "split",
    ["kfold split.k=2 jobs=1", pytest.param("bootstrap split.n=2 jobs=2", marks=pytest.mark.full)],
)
def test_every_fold_has_its_own_number_of_new_images(
    folder: Path, capsys: pytest.CaptureFixture[str], split: str
) -> None:
    cache = folder / "cache"
    args = [*f"split={split}".split(), "data.fresh=true", "epochs=2", f"cache={cache}", "--json"]
    assert cli.main(["train", *SMALL, *args]) == 0
    assert len(json.loads(capsys.readouterr().out)["folds"]) == 2
    assert not leftovers(cache)


PLUGIN = """
import multiprocessing, os, signal, torch

def act(module, _):
    children = multiprocessing.active_children()
    if module.training and type(module).__name__ == "Linear" and children:
        {action}

torch.nn.modules.module.register_module_forward_pre_hook(act)
"""

ENDS = {
    # A process that is stopped does not end by itself: without SIGKILL the run would wait forever.
    "SIGTERM": ("os.kill(children[0].pid, signal.SIGSTOP); os.kill(os.getpid(), signal.SIGTERM)", 143),
    "Ctrl-C": ("os.killpg(0, signal.SIGINT)", 130),  # which a terminal sends to both
    "SIGKILL": ("os.kill(os.getpid(), signal.SIGKILL)", -9),
    "an error": ("raise RuntimeError", 1),
}


def wait_for(process: Forked) -> tuple[int, str]:
    """Wait for the last process that holds the pipe, including a renderer."""
    _, err = process.communicate(timeout=120)
    return process.returncode, err


@pytest.mark.parametrize(
    "ending", [pytest.param(end, marks=[pytest.mark.full] * (end == "SIGTERM")) for end in ENDS]
)
def test_files_and_process_are_removed_however_a_run_ends(spawn: Spawn, folder: Path, ending: str) -> None:
    """The run ends in the first step, just after the renderer of the second epoch has started."""
    action, code = ENDS[ending]
    (folder / "ends.py").write_text(PLUGIN.format(action=action))
    cache = folder / "cache"
    args = ["plugins=[ends]", "data.fresh=true", "epochs=2", f"cache={cache}", "hydra.run.dir=run"]
    exit_code, err = wait_for(spawn("train", *SMALL, *args, start_new_session=True))
    assert exit_code == code, err
    assert ("Traceback" in err) == (ending == "an error"), err
    if ending == "SIGKILL":
        (leftover,) = leftovers(cache)
        assert not np.load(leftover / "1" / "train_images.npy")[-1].any(), "the renderer did not end at once"
    else:
        assert not leftovers(cache)
    (folder / "ends.py").write_text("")
    exit_code, err = wait_for(spawn("train", "--resume", "run"))
    assert exit_code == 0, err
    assert not leftovers(cache)
