"""Checkpoints are complete, verified and plain; two with the same digest hold the same bits."""

import pickle

import pytest
import torch

from svhncli.core.errors import CheckpointError, DiskError
from svhncli.core.files import write_atomic
from svhncli.runs import checkpoint

CONTENT = {
    "meta": {"name": "x", "sizes": [1, 2], "none": None},
    "state": {
        "weights": torch.arange(6, dtype=torch.float32).reshape(2, 3),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "empty": torch.zeros(0),
        0: {"step": torch.tensor(3.0)},
    },
}


def test_a_loaded_checkpoint_equals_the_saved_content(tmp_path):
    checkpoint.save(tmp_path / "a.pt", CONTENT)
    loaded = checkpoint.load(tmp_path / "a.pt")
    assert checkpoint.digest(loaded) == checkpoint.digest(CONTENT)
    assert torch.equal(loaded["state"]["weights"], CONTENT["state"]["weights"])
    assert loaded["meta"] == CONTENT["meta"]


def test_a_checkpoint_can_be_loaded_with_torch_alone(tmp_path):
    checkpoint.save(tmp_path / "a.pt", CONTENT)
    whole = torch.load(tmp_path / "a.pt", weights_only=True)
    assert whole["sha256"] == checkpoint.digest(whole["content"])


def test_a_flipped_bit_in_the_content_is_detected(tmp_path):
    path = tmp_path / "a.pt"
    checkpoint.save(path, {"weights": torch.zeros(50_000)})
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle] ^= 1
    path.write_bytes(raw)
    torch.load(path, weights_only=True)  # torch itself loads it without a complaint
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.load(path)


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, keep):
    path = tmp_path / "a.pt"
    checkpoint.save(path, CONTENT)
    raw = path.read_bytes()
    path.write_bytes(raw[: keep if isinstance(keep, int) else int(len(raw) * keep)])
    with pytest.raises(CheckpointError, match="damaged or not a checkpoint"):
        checkpoint.load(path)


@pytest.mark.fault("a checkpoint holds a pickle that runs code", "refused; nothing is run", "4")
def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "pwned"), "w"))

    path = tmp_path / "a.pt"
    path.write_bytes(pickle.dumps({"format": 1, "sha256": "", "content": Evil()}))
    with pytest.raises(CheckpointError):
        checkpoint.load(path)
    torch.save({"format": 1, "sha256": "", "content": Evil()}, path)
    with pytest.raises(CheckpointError):
        checkpoint.load(path)
    assert not (tmp_path / "pwned").exists()


def test_a_file_of_another_program_is_refused(tmp_path):
    torch.save({"weights": torch.zeros(2)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="not written by svhn"):
        checkpoint.load(tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoint.load(tmp_path / "b.pt")


@pytest.mark.parametrize(
    "other",
    [
        {"w": torch.zeros(2, 3), "n": 2},
        {"w": torch.zeros(3, 2), "n": 1},
        {"w": torch.zeros(2, 3, dtype=torch.float64), "n": 1},
        {"w": torch.full((2, 3), -0.0), "n": 1},
        {"w": torch.zeros(2, 3), "n": 1.0},
        {"w": torch.zeros(2, 3), "n": "1"},
        {"w": torch.zeros(2, 3), "m": 1},
    ],
)
def test_any_difference_changes_the_digest(other):
    assert checkpoint.digest({"w": torch.zeros(2, 3), "n": 1}) != checkpoint.digest(other)


def test_memory_layout_does_not_change_the_digest():
    plain = torch.rand(2, 3, 4, 5)
    assert checkpoint.digest(plain) == checkpoint.digest(plain.contiguous(memory_format=torch.channels_last))


def test_values_that_are_not_plain_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match="plain values"):
        checkpoint.save(tmp_path / "a.pt", {"path": tmp_path})
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path):
    path = tmp_path / "a.pt"
    checkpoint.save(path, CONTENT)
    before = path.read_bytes()

    def fill_up(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskError, match="No space left"):
        write_atomic(path, fill_up)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_a_disk_that_is_really_full_gives_a_disk_error(tmp_path):
    """torch.save hides the OSError of a full disk behind an error of its own."""

    def write(_):
        with open("/dev/full", "wb") as full:
            torch.save({"w": torch.zeros(100_000)}, full)

    with pytest.raises(DiskError, match="No space left"):
        write_atomic(tmp_path / "a.pt", write)


def test_a_folder_that_is_gone_is_named_and_another_missing_file_is_not_taken_for_it(tmp_path):
    with pytest.raises(DiskError, match="its folder is gone"):
        write_atomic(tmp_path / "gone" / "a.pt", lambda file: file.write(b""))
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "a.pt", lambda file: file.write((tmp_path / "missing").read_bytes()))
