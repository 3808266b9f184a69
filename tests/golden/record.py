"""Write the golden files anew: python tests/golden/record.py

Do so after an intended change, and read the diff. Several seeds are run, since some values are null only by
chance, such as the precision of a digit that was never predicted.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from forked import serving
from golden.cases import HERE, observed
from golden.shapes import merged

SEEDS = range(3)
WIDTH = 110


def text(value: Any, indent: str = "") -> str:
    """JSON with a line for whatever fits into one."""
    line = json.dumps(value)
    if len(indent) + len(line) <= WIDTH or not isinstance(value, (dict, list)):
        return line
    more = f"{indent} "
    if isinstance(value, list):
        parts, ends = [text(item, more) for item in value], "[]"
    else:
        parts, ends = [f"{json.dumps(key)}: {text(item, more)}" for key, item in value.items()], "{}"
    return ends[0] + ",".join(f"\n{more}{part}" for part in parts) + f"\n{indent}{ends[1]}"


def record() -> None:
    recordings = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder, serving() as server:
            os.environ["SVHN_CACHE"] = f"{folder}/cache"
            recordings.append(observed(server, Path(folder), seed))
    for old in HERE.glob("*.json"):
        old.unlink()
    for name in recordings[0]:
        (HERE / f"{name}.json").write_text(text(merged(recording[name] for recording in recordings)) + "\n")


if __name__ == "__main__":
    record()
