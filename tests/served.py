"""HTTP servers on this machine alone, for tests of downloads."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from svhncli.core.rng import numpy_generator


@contextmanager
def served(handler: Callable[..., Any]) -> Iterator[str]:
    """The address of a server that runs while the block does. Its handler says what it answers."""
    with pytest.MonkeyPatch.context() as patch, ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        patch.setenv("no_proxy", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def folder_served(folder: Path) -> Any:
    """As `served`, of the files in a folder."""
    return served(partial(_Quiet, directory=str(folder)))


# ----------------------------------------------------------------------------- faults

BODY = numpy_generator(0, "download").bytes(300_000)
MD5 = hashlib.md5(BODY).hexdigest()


@dataclass
class Server:
    """Serves a file, and handles each request as the next entry of `plan` specifies:

    an int: a response that ends after that many bytes; "503", "404": that status; "whole", or no entry: all;
    "silent": a few bytes, and nothing more before the test ends; "loop": a redirect to the same address.

    headers: beside those of the file's length and range.
    """

    body: bytes = BODY
    plan: list[int | str] = field(default_factory=list)
    ranges: bool = True
    sends_length: bool = True
    shift: int = 0
    requested_ranges: list[str | None] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    conditions: list[str | None] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        range_header = request.headers["Range"]
        self.requested_ranges.append(range_header)
        self.conditions.append(request.headers["If-Range"])
        action = self.plan.pop(0) if self.plan else "whole"
        if request.headers["If-Range"] not in (
            None,
            self.headers.get("ETag"),
            self.headers.get("Last-Modified"),
        ):
            range_header = None
        if action == "loop":
            request.send_response(302)
            request.send_header("Location", self.url)
            request.end_headers()
            return
        if action in ("404", "503"):
            request.send_error(int(action))
            return
        start = (
            int(range_header.removeprefix("bytes=").removesuffix("-")) if range_header and self.ranges else 0
        )
        if start >= len(self.body):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(self.body)}")
            request.end_headers()
            return
        start += self.shift
        request.send_response(206 if range_header and self.ranges else 200)
        if range_header and self.ranges:
            request.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        if self.sends_length:
            request.send_header("Content-Length", str(len(self.body) - start))
        for name, value in self.headers.items():
            request.send_header(name, value)
        request.end_headers()
        if action == "silent":
            request.wfile.write(self.body[start : start + 1000])
            self.ended.wait()
            return
        end = start + action if isinstance(action, int) else None
        request.wfile.write(self.body[start:end])


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with served(Handler) as server.url:
        try:
            yield server
        finally:
            server.ended.set()
