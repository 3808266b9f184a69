"""The process `svhn`; `python -m svhncli` is the same."""

import atexit
import gc
import signal

from svhncli.cli.main import main

atexit.register(gc.freeze)  # else Python's end looks through all that torch made, for a third of a second

atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # it would only stop the ending

if __name__ == "__main__":
    raise SystemExit(main())
