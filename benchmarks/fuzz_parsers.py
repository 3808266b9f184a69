"""Let libFuzzer search inputs that reach new branches of svhn's readers.

    python benchmarks/fuzz_parsers.py FORMAT [-max_total_time=60] [OPTION ...]

Needs `pip install atheris`. FORMAT is one of input_formats.py, whose small valid input is the first of the
corpus. An input is a finding if its reader raises anything but an error that a person can act on and that
names the file; libFuzzer then ends, prints it and keeps it. OPTION are those of libFuzzer.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import sys
import tempfile
from pathlib import Path

import atheris
from command import argument_parser

with atheris.instrument_imports(include=["svhncli"]):
    from input_formats import FORMATS

    from svhncli.core.errors import SvhnError


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("kind", metavar="FORMAT", choices=FORMATS)
    options, more = parser.parse_known_args()
    logging.disable()
    with tempfile.TemporaryDirectory() as name:
        folder, corpus = Path(name) / "whole", Path(name) / "corpus"
        folder.mkdir()
        corpus.mkdir()
        file = FORMATS[options.kind].make(folder)
        shutil.copy(file, corpus)

        def read(content: bytes) -> None:
            file.write_bytes(content)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                try:
                    FORMATS[options.kind].read(folder)
                except SvhnError as error:
                    if not FORMATS[options.kind].is_named(error.message, file.name):
                        raise RuntimeError(f"it does not name '{file.name}'") from error

        atheris.Setup([sys.argv[0], *more, str(corpus)], read)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
