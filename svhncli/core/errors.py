"""Errors that a person can act on: what went wrong, how to mend it, and the exit code that says which kind.

Every error that is the user's to mend is a `SvhnError`; the command line prints it without a traceback
(unless `--debug`) and exits with its code. Anything else is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import errno

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.EIO}


class SvhnError(Exception):
    """The run failed (exit code 1). `hint` is one line on how to mend it."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)  # both, so that the error survives pickling between processes
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(SvhnError):
    """A wrong word on the command line or in a config (exit code 2)."""

    exit_code = 2


class DataError(SvhnError):
    """Data that is missing or bad (exit code 3)."""

    exit_code = 3


class CheckpointError(SvhnError):
    """A checkpoint or run that is missing, damaged or does not fit (exit code 4)."""

    exit_code = 4


class BusyError(SvhnError):
    """Another process works in this run directory (exit code 5)."""

    exit_code = 5


class DiskError(SvhnError):
    """The disk is full or cannot be written (exit code 6)."""

    exit_code = 6


class NotFiniteError(SvhnError):
    """The loss became NaN or infinite (exit code 7)."""

    exit_code = 7


class CheckFailedError(SvhnError):
    """A check of the training failed (exit code 8)."""

    exit_code = 8


class Interrupted(SvhnError):
    """A signal stopped the run after its state was saved (exit code 130 for Ctrl-C, 143 for SIGTERM)."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.args = (message, hint, exit_code)
        self.exit_code = exit_code


def disk_error(error: BaseException) -> DiskError | None:
    """The `DiskError` behind an exception, or None where the disk is not to blame.

    `torch.save` hides the OSError of a full disk in `__context__`, so the chain is walked.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _DISK:
            where = f" '{seen.filename}'" if seen.filename else ""
            full = seen.errno in (errno.ENOSPC, errno.EDQUOT)
            mend = (
                "free some space or choose another folder"
                if full
                else "choose a folder that you may write to"
            )
            return DiskError(
                f"cannot write{where}: {seen.strerror}", f"{mend}; what was saved before is still whole"
            )
        seen = seen.__cause__ or seen.__context__
    return None
