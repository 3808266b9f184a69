"""Errors that users can act on: what went wrong, how to fix it, and an exit code for each kind.

Every error that the user can fix is a `SvhnError`; the command line prints it without a traceback (unless
`--debug`) and exits with its code. Anything else is a bug in svhn and keeps its traceback.
"""

from __future__ import annotations

import errno
import os

from svhncli.core.temporary import lasting

_FULL = "free some space or choose another folder"
_TAKEN = "choose another folder"
_LOST = "look after that disk or server, or choose a folder on another"
_FIXES = {
    "ENOSPC": _FULL,
    "EDQUOT": _FULL,
    "EFBIG": "raise the limit of ulimit -f, or choose another folder",
    "EMFILE": "raise the limit of ulimit -n",
    "EROFS": "choose a folder on a disk that can be written",
    "EACCES": "choose a folder that you have permission to write to",
    "EPERM": "choose a folder that you have permission to write to",
    "ENOTDIR": _TAKEN,
    "EEXIST": _TAKEN,
    "EISDIR": _TAKEN,
    "ELOOP": _TAKEN,
    "ENAMETOOLONG": _TAKEN,
    "EIO": _LOST,
    "ESTALE": _LOST,
    "ENOTCONN": _LOST,
    "EREMOTEIO": _LOST,
}
_DISK = {getattr(errno, name): fix for name, fix in _FIXES.items() if hasattr(errno, name)}
"""What the system answers when a disk is to blame -> how to fix it. Windows does not have all of these."""
_NO_ROOM = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name)}


class SvhnError(Exception):
    """The run failed (exit code 1). `hint` says in one line how to fix it."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)  # both, so that the error survives pickling between processes
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(SvhnError):
    """An error on the command line or in a config (exit code 2)."""

    exit_code = 2


class DataError(SvhnError):
    """Missing or invalid data (exit code 3)."""

    exit_code = 3


class CheckpointError(SvhnError):
    """A checkpoint or run that is missing, damaged or incompatible (exit code 4)."""

    exit_code = 4


class BusyError(SvhnError):
    """Another process is using this run directory (exit code 5)."""

    exit_code = 5


class DiskError(SvhnError):
    """The disk is full or not writable (exit code 6)."""

    exit_code = 6


class NotFiniteError(SvhnError):
    """A loss or metric became NaN or infinite (exit code 7)."""

    exit_code = 7


class CheckFailedError(SvhnError):
    """One of the checks of `svhn check` failed (exit code 8)."""

    exit_code = 8


class Interrupted(SvhnError):
    """A signal stopped the run after its state was saved (exit code 130 for Ctrl-C, 143 for SIGTERM)."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.args = (message, hint, exit_code)
        self.exit_code = exit_code


def reason(error: BaseException, otherwise: str) -> str:
    """Why a file cannot be read: the system's words, or `otherwise` where a parser stumbled over it."""
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number else otherwise


def disk_error(error: BaseException, file: object = "", size: int | None = None) -> DiskError | None:
    """The `DiskError` that caused an exception, or None if the disk is not to blame.

    file: what was written, where the exception does not name it. size: the bytes that it needs, where they
    are known.

    `torch.save` hides the OSError of a full disk in `__context__`, so the whole chain is searched.
    """
    cause: BaseException | None = error
    seen: list[BaseException] = []
    while cause is not None and cause not in seen:  # an error that was raised again can be its own context
        seen.append(cause)
        if isinstance(cause, OSError) and cause.errno in _DISK:
            name = lasting(str(cause.filename or file))
            where = f" '{name}'" if name else ""
            if _is_out_of_reach(cause):
                return DiskError(
                    f"cannot reach{where}: {cause.strerror}",
                    "check the path and the permissions of its folders, or choose another folder",
                )
            needed = f"; it needs {_bytes(size)}" if cause.errno in _NO_ROOM and size is not None else ""
            return DiskError(
                f"cannot write{where}: {cause.strerror}{needed}",
                f"{_DISK[cause.errno]}; everything saved before is intact",
            )
        cause = cause.__cause__ or cause.__context__
    return None


def _bytes(size: int) -> str:
    return f"{size:,} bytes" if size < 100_000 else f"{size / 1e6:,.1f} MB"


def _is_out_of_reach(error: OSError) -> bool:
    """Whether the system does not even tell if there is such a file, be it to read or to write."""
    try:
        os.stat(error.filename or os.curdir)
    except OSError as refused:
        return refused.errno == error.errno and error.errno in (errno.EACCES, errno.ENAMETOOLONG)
    return False
