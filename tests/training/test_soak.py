"""A few of the kills of `make soak`, which takes half an hour: nothing that was finished is lost."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import REPO
from forked import environment

pytestmark = pytest.mark.e2e


@pytest.mark.fault(
    "kills at random and inside saves, of every command",
    "`make soak`: no epoch, trial or file is lost, and all bits are those of an undisturbed command",
    "137",
)
@pytest.mark.skipif(sys.platform == "win32", reason="it forks")
def test_commands_that_are_killed_and_gone_on_with_lose_nothing() -> None:
    words = [sys.executable, "benchmarks/soak.py", "--kills", "4", "--only", "train"]
    done = subprocess.run(words, cwd=REPO, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 kills" in done.stdout
    assert "nothing was lost" in done.stdout
