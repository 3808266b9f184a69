"""Flip bits of a data set's files and cut their ends off, and read them as svhn does.

    python benchmarks/fuzz_inputs.py [--flips 1000] [--cuts 1000] [--jobs 2] [--seed 0] [FORMAT ...]

For each format a small valid input is written, and every trial damages one of its files in a copy and reads
that in a process of its own, with limits on its time and memory. The table says how often the result was the
same; was another one ("unknowable": no reader can know a pixel or a digit); was refused with the file's name;
or was a finding: refused without it (unnamed), a traceback, a crash, or a process that did not end (hang).
FORMAT is one of the names in the table; without any, all are read. HDF5 takes half a second for each trial,
most of it to start the process in which svhn reads it.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import random
import re
import resource
import shutil
import signal
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from command import argument_parser
from damaging import Damage, damage, damages, forked
from input_formats import FORMATS, Format

from svhncli.cli import main as cli

MEMORY = 2 << 30
"""Bytes that a process may take beside those with which it starts."""
KNOWN = ("same", "unknowable", "named")


def main() -> int:
    parser = argument_parser(__doc__)
    parser.add_argument("--flips", type=int, default=1000, help="single bits flipped")
    parser.add_argument("--cuts", type=int, default=1000, help="ends cut off")
    parser.add_argument("--jobs", type=int, default=2, help="trials at once")
    parser.add_argument("--seed", type=int, default=0, help="of the random places")
    parser.add_argument("--log", type=Path, help="a file for the messages of findings")
    parser.add_argument("formats", nargs="*", metavar="FORMAT")
    options = parser.parse_args()
    findings = 0
    # the processes of a multiprocessing.Pool may not start those that read HDF5
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(options.jobs, fork) as pool:
        for number, kind in enumerate(options.formats or FORMATS):
            place = Path(name) / str(number)  # a message must name the file itself
            (place / "whole").mkdir(parents=True)
            file = FORMATS[kind].make(place / "whole").relative_to(place / "whole")
            whole, shown = _outcome(kind, place, file, None)
            if whole[0] != "read":
                raise RuntimeError(f"{kind}: the whole file cannot be read: {shown}")
            size, rng = (place / "whole" / file).stat().st_size, random.Random(f"{options.seed} {kind}")
            harms = damages(size, options.flips, options.cuts, rng)
            judged = partial(_judged, kind, place, file, whole[1], options.log)
            counts = Counter(pool.map(judged, harms, chunksize=8))
            findings += sum(count for outcome, count in counts.items() if outcome not in KNOWN)
            print(f"{kind:16} {size:7,} bytes  {dict(sorted(counts.items()))}", flush=True)
    print(f"{findings} findings")
    return int(findings > 0)


def _judged(kind: str, place: Path, file: Path, whole: str, log: Path | None, harm: Damage) -> str:
    (outcome, value), shown = _outcome(kind, place, file, harm)
    if outcome == "read":
        outcome = "same" if value == whole else "unknowable"
    if log is not None and outcome not in KNOWN:
        with log.open("a") as lines:
            lines.write(f"{kind} {harm} {outcome}\n{shown[-1500:]}\n")
    return outcome


def _outcome(kind: str, place: Path, file: Path, harm: Damage | None) -> tuple[tuple[str, str], str]:
    """What became of reading an input, with a digest of what was read; and what was printed."""
    form = FORMATS[kind]
    with tempfile.TemporaryDirectory(dir=place) as name:
        trial = Path(name)
        shutil.copytree(place / "whole", trial / "data")
        if harm is not None:
            damage(trial / "data" / file, *harm)
        code = forked(lambda: _read(form, trial / "data"), trial, trial / "errors", trial / "out")
        errors = (trial / "errors").read_text(errors="replace")
        out = (trial / "out").read_text(errors="replace")
    if code == 0:
        return ("read", out), errors
    if code == -signal.SIGALRM:
        return ("hang", ""), errors
    if code < 0:
        return ("crash", ""), f"{errors}\nended by signal {-code}"
    if "Traceback" in errors or "bug in svhn" in errors or code not in (2, 3):
        return ("traceback", ""), errors
    return ("named" if form.is_named(errors, file.name) else "unnamed", ""), errors


def _read(form: Format, data: Path) -> int:
    soft = int(re.findall(r"\d+", Path("/proc/self/statm").read_text())[0]) * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (soft, soft))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        print(hashlib.sha256(repr(form.read(data)).encode(errors="surrogatepass")).hexdigest())
    except Exception as error:
        return cli.explain(error, debug=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
