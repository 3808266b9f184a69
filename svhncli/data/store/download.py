"""Downloads files over HTTP from several servers: resumes, retries, verifies, and keeps no bad file."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from svhncli.core.errors import DataError, DiskError, disk_error
from svhncli.data.store.disk import PIECE, Count, digest, hold, require_space, silent

log = logging.getLogger(__name__)

TIMEOUT = 30.0  # seconds without receiving a byte
WAITS = (1.0, 5.0, 20.0)  # seconds before the second, third and fourth attempt
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)  # HTTP codes after which another attempt can succeed


def md5_of(path: Path, progress: Count = silent) -> str:
    """The md5 of a file in hex."""
    return digest(path, "md5", progress)


def fetch(
    folders: Sequence[str],
    target: Path,
    *,
    md5: str | None,
    progress: Count = silent,
    waits: Sequence[float] = WAITS,
) -> None:
    """Download `target` from the first folder that has a file of its name; an existing target is left alone.

    The folders are tried in order, and again in the same order after each wait; one that lacks the file, or
    has another, is not tried again. The partial file, `<target>.part`, is resumed from whichever is next.
    Without an md5 to verify the whole, each folder is tried again before the next, and its server sends the
    rest only of the very version that the part is of; one that does not tell versions apart sends all again.

    folders: their addresses.
    md5: the expected md5 of the file, in hex.
    progress: gets the bytes received so far and, if the server reports it, their total.
    waits: seconds before each further round after transient failures; a round that gets further than all
        before it restarts the sequence.

    Raises:
        DataError: no server can be reached, has the file, or sends the one with this md5.
        DiskError: there is no space or no permission to write.
    """
    part = target.with_name(f"{target.name}.part")
    urls = [f"{folder.rstrip('/')}/{target.name}" for folder in folders]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with hold(target.with_name(f".{target.name}.lock"), f"download {target}"):
            if target.exists():
                return
            _fetch_part(urls, part, md5, progress, waits)
            os.replace(part, target)
            _version_of(part).unlink(missing_ok=True)
    except DataError as error:
        hint = f"set data.urls to a server that has it, or save it as {target} yourself"
        raise DataError(error.message, hint) from error
    except OSError as error:
        disk = disk_error(error) or DiskError(
            f"cannot write '{target}': {error.strerror}", "check its folder"
        )
        raise disk from error


def _fetch_part(
    urls: Sequence[str], part: Path, md5: str | None, progress: Count, waits: Sequence[float]
) -> None:
    """Download into `part`, with retries."""
    if not urls:
        raise DataError("data.urls names no server to download from")
    failures: dict[str, Exception] = {}
    # without an md5, a part can only be continued by the server that it came from
    for group in [urls] if md5 is not None else [[url] for url in urls]:
        failed = _fetch_in_turn(group, part, md5, progress, waits)
        if not failed:
            return
        failures |= failed
        if group[-1] != urls[-1]:
            log.warning("cannot download %s; trying the next server", _reasons(failed))
    raise DataError(f"cannot download {_reasons(failures)}")


def _fetch_in_turn(
    urls: Sequence[str], part: Path, md5: str | None, progress: Count, waits: Sequence[float]
) -> dict[str, Exception]:
    """Download into `part` from the addresses in turn, with retries.

    Returns: the last error of each; none at all if the file is complete.
    """
    farthest, left = _size(part), list(waits)
    failures: dict[str, Exception] = {}
    while True:
        for url in [url for url in urls if url not in failures or _is_transient(failures[url])]:
            if (error := _attempt(url, part, md5, progress)) is None:
                return {}
            failures[url] = error
        if (size := _size(part)) > farthest:
            farthest, left = size, list(waits)
        again = {url: error for url, error in failures.items() if _is_transient(error)}
        if not left or not again:
            return failures
        wait = left.pop(0)
        log.warning("cannot download %s; trying again in %g s", _reasons(again), wait)
        time.sleep(wait)


def _reasons(failures: Mapping[str, Exception]) -> str:
    return "; ".join(f"{url}: {_reason(error)}" for url, error in failures.items())


def _is_transient(error: Exception) -> bool:
    """Whether another attempt at the same address can succeed."""
    return error.code in TRANSIENT if isinstance(error, HTTPError) else not isinstance(error, ValueError)


def _attempt(url: str, part: Path, md5: str | None, progress: Count) -> Exception | None:
    """Try once; None if the file is complete and the right one, otherwise the error."""
    continued = md5 is not None and part.exists()
    try:
        _receive(url, part, md5 is not None, progress)
    except HTTPError as error:
        error.close()
        if error.code != 416 or not (size := _size(part)):
            return error
        # nothing follows what the part ends with
        if md5 is None and error.headers.get("Content-Range") != f"bytes */{size}":
            part.unlink()
            return _attempt(url, part, md5, progress)
    except (OSError, HTTPException, ValueError) as error:  # a ValueError is a malformed url
        if not isinstance(error, URLError) and disk_error(error) is not None:
            raise
        return error
    if md5 is None or (received := md5_of(part)) == md5:
        return None
    part.unlink()
    if continued:  # what was there before may be of another version
        return _attempt(url, part, md5, progress)
    return ValueError(f"the file there has the md5 {received}, not {md5}; nothing was kept")


def _receive(url: str, part: Path, verified: bool, progress: Count) -> None:
    version = _version_of(part)
    start = _size(part) if verified or version.is_file() else 0
    headers = {"User-Agent": "svhn"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if not verified:
            headers["If-Range"] = version.read_text(encoding="latin-1")
    with urlopen(Request(url, headers=headers), timeout=TIMEOUT) as answer:
        if answer.headers.get_content_type() == "text/html":
            raise ValueError("a web page came instead of the file, such as the login page of a network")
        if answer.status != 206:  # the server sends the whole file, whatever was requested
            start = 0
        elif not verified and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            part.unlink()
            raise ConnectionError("the server sent another range than the one that was requested")
        if not verified and not start:
            _note_version(part, answer.headers)
        length = answer.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        require_space(part.parent, 0 if total is None else total - start)
        done = start
        progress(done, total)
        with part.open("ab" if start else "wb") as file:
            while piece := answer.read1(PIECE):
                file.write(piece)
                done += len(piece)
                progress(done, total)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done != total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")


def _version_of(part: Path) -> Path:
    """The file that says which version of the file on the server a part is of."""
    return part.with_name(f"{part.name}.version")


def _note_version(part: Path, headers: Message) -> None:
    """Keep the server's name for a version: an ETag, or the time of the last change (RFC 9110, 13.1.5)."""
    part.unlink(missing_ok=True)  # it may be of another version than the one that is noted
    etag = headers.get("ETag", "")
    name = headers.get("Last-Modified") if not etag or etag.startswith("W/") else etag
    if name:
        _version_of(part).write_text(name, encoding="latin-1")
    else:
        _version_of(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        reason = str(error.reason).partition("\n")[0]  # that of a redirect loop has several lines
        return f"HTTP {error.code} {reason}"
    return str(error.reason if isinstance(error, URLError) else error) or type(error).__name__
