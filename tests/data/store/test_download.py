from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served import BODY, MD5, Server, serving

from svhncli.core.errors import DataError, DiskError
from svhncli.data.store import download
from svhncli.data.store.download import fetch, md5_of

NO_WAITS = (0.0, 0.0, 0.0)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as running:
        yield running


def part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_file_arrives_complete_and_reports_progress(server: Server, tmp_path: Path) -> None:
    progress_calls: list[tuple[int, int | None]] = []
    target = tmp_path / "new" / "train_32x32.mat"
    fetch([server.url], target, md5=MD5, progress=lambda done, total: progress_calls.append((done, total)))
    assert target.read_bytes() == BODY
    assert files_in(target.parent) == ["train_32x32.mat"]
    assert progress_calls[0] == (0, len(BODY))
    assert progress_calls[-1] == (len(BODY), len(BODY))
    assert progress_calls == sorted(progress_calls)


def test_an_existing_file_is_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    fetch([server.url], tmp_path / "file", md5=MD5)
    assert (tmp_path / "file").read_text() == "mine"
    assert server.requested_ranges == []


@pytest.mark.fault("a download is cut off", "it goes on where it ended", "0")
def test_an_interrupted_transfer_is_resumed_where_it_ended(server: Server, tmp_path: Path) -> None:
    server.plan = [100_000]
    fetch([server.url], tmp_path / "file", md5=MD5, waits=NO_WAITS)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.requested_ranges == [None, "bytes=100000-"]


def test_a_part_of_an_earlier_process_is_resumed(server: Server, tmp_path: Path) -> None:
    part_of(tmp_path / "file").write_bytes(BODY[:1234])
    progress_calls = []
    fetch(
        [server.url],
        tmp_path / "file",
        md5=MD5,
        progress=lambda done, total: progress_calls.append((done, total)),
    )
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.requested_ranges == ["bytes=1234-"]
    assert progress_calls[0] == (1234, len(BODY))


@settings(deadline=None, max_examples=25)
@given(cuts=st.lists(st.integers(1, 60_000), max_size=12), ranges=st.booleans())
def test_transfers_that_make_progress_always_complete(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], ranges: bool
) -> None:
    # Twelve interruptions exceed the three retries, but each attempt gets further than those before it.
    plan: list[int | str] = [*cuts] if ranges else sorted(set(cuts))
    target = tmp_path_factory.mktemp("cuts") / "file"
    with serving(Server(plan=plan, ranges=ranges)) as server:
        fetch([server.url], target, md5=MD5, waits=NO_WAITS)
    assert target.read_bytes() == BODY


def test_a_server_without_ranges_sends_the_whole_file_again(server: Server, tmp_path: Path) -> None:
    server.plan, server.ranges = [100_000], False
    fetch([server.url], tmp_path / "file", md5=MD5, waits=NO_WAITS)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.requested_ranges == [None, "bytes=100000-"]


def test_a_file_of_unknown_length_is_verified_by_md5(server: Server, tmp_path: Path) -> None:
    progress_calls = []
    server.sends_length = False
    fetch(
        [server.url],
        tmp_path / "file",
        md5=MD5,
        progress=lambda done, total: progress_calls.append((done, total)),
    )
    assert (tmp_path / "file").read_bytes() == BODY
    assert progress_calls[-1] == (len(BODY), None)


def test_a_server_that_sends_another_range_does_not_spoil_the_file(server: Server, tmp_path: Path) -> None:
    part_of(tmp_path / "file").write_bytes(BODY[:1000])
    server.shift = 5
    with pytest.raises(DataError, match="md5"):
        fetch([server.url], tmp_path / "file", md5=MD5, waits=NO_WAITS)
    assert files_in(tmp_path) == []


def test_a_part_of_another_version_is_discarded(server: Server, tmp_path: Path) -> None:
    part_of(tmp_path / "file").write_bytes(b"old" * 1000)
    fetch([server.url], tmp_path / "file", md5=MD5)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.requested_ranges == ["bytes=3000-", None]


def test_without_an_md5_nothing_is_resumed(server: Server, tmp_path: Path) -> None:
    part_of(tmp_path / "file").write_bytes(b"old" * 1000)
    server.plan = [100_000]
    fetch([server.url], tmp_path / "file", md5=None, waits=NO_WAITS)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.requested_ranges == [None, None]


VERSIONS = {"ETag": '"5f2-6"', "Last-Modified": "Tue, 29 Nov 2011 19:45:11 GMT"}


@pytest.mark.parametrize("header", VERSIONS)
def test_without_an_md5_only_the_same_version_is_resumed(header: str, server: Server, tmp_path: Path) -> None:
    server.headers = {header: VERSIONS[header]}
    server.plan = [100_000, "404"]
    with pytest.raises(DataError, match="HTTP 404"):
        fetch([server.url], tmp_path / "file", md5=None, waits=NO_WAITS)
    fetch([server.url], tmp_path / "file", md5=None, waits=NO_WAITS)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.requested_ranges == [None, "bytes=100000-", "bytes=100000-"]
    assert server.conditions == [None, VERSIONS[header], VERSIONS[header]]
    assert files_in(tmp_path) == ["file"]


def test_without_an_md5_a_part_of_another_version_is_discarded(server: Server, tmp_path: Path) -> None:
    server.headers, server.plan = {"ETag": '"old"'}, [100_000, "404"]
    with pytest.raises(DataError, match="HTTP 404"):
        fetch([server.url], tmp_path / "file", md5=None, waits=NO_WAITS)
    part_of(tmp_path / "file").write_bytes(b"old" * 1000)
    server.headers = {"ETag": '"new"'}
    fetch([server.url], tmp_path / "file", md5=None, waits=NO_WAITS)
    assert (tmp_path / "file").read_bytes() == BODY


@pytest.mark.parametrize(("kept", "requests"), [(BODY, 1), (BODY + b"more", 2)])
def test_a_part_that_nothing_follows_is_whole_if_it_is_as_long_as_the_file(
    kept: bytes, requests: int, server: Server, tmp_path: Path
) -> None:
    server.headers, server.plan = {"ETag": '"a"'}, [1000, "404"]
    with pytest.raises(DataError, match="HTTP 404"):
        fetch([server.url], tmp_path / "file", md5=None, waits=NO_WAITS)
    part_of(tmp_path / "file").write_bytes(kept)
    server.requested_ranges.clear()
    fetch([server.url], tmp_path / "file", md5=None, waits=NO_WAITS)
    assert (tmp_path / "file").read_bytes() == BODY
    assert len(server.requested_ranges) == requests


def test_without_an_md5_another_range_does_not_spoil_the_file(server: Server, tmp_path: Path) -> None:
    server.headers, server.plan = {"ETag": '"a"'}, [1000, "404"]
    with pytest.raises(DataError, match="HTTP 404"):
        fetch([server.url], tmp_path / "file", md5=None, waits=NO_WAITS)
    server.shift = 5
    with pytest.raises(DataError, match="another range than the one that was requested"):
        fetch([server.url], tmp_path / "file", md5=None, waits=())
    assert not part_of(tmp_path / "file").exists()


@pytest.mark.fault(
    "a server falls silent", "given up after a while; what came stays for the next attempt", "3"
)
def test_a_silent_server_is_given_up_and_the_part_is_kept(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    server.plan = ["silent", "silent"]
    with pytest.raises(DataError, match="timed out") as caught:
        fetch([server.url], tmp_path / "file", md5=MD5, waits=())
    assert server.url in caught.value.message
    assert part_of(tmp_path / "file").read_bytes() == BODY[:1000]


@pytest.mark.fault("a server sends a web page instead of the file", "refused by name", "3")
@pytest.mark.parametrize("md5", [MD5, None])
def test_a_web_page_in_place_of_the_file_is_named(md5: str | None, server: Server, tmp_path: Path) -> None:
    server.headers = {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(DataError, match="a web page came instead of the file"):
        fetch([server.url], tmp_path / "file", md5=md5, waits=NO_WAITS)
    assert files_in(tmp_path) == []
    assert len(server.requested_ranges) == 1


def test_redirects_in_a_loop_are_one_line(server: Server, tmp_path: Path) -> None:
    server.plan = ["loop"] * 20
    with pytest.raises(DataError, match=r"HTTP 302 .*infinite loop\.$"):
        fetch([server.url], tmp_path / "file", md5=MD5, waits=NO_WAITS)


def test_a_length_that_is_no_number_is_not_believed(server: Server, tmp_path: Path) -> None:
    server.sends_length, server.headers = False, {"Content-Length": "many"}
    fetch([server.url], tmp_path / "file", md5=MD5, waits=NO_WAITS)
    assert (tmp_path / "file").read_bytes() == BODY


@pytest.mark.parametrize("whole", [True, False])
def test_a_part_as_long_as_the_file_is_verified_by_md5(server: Server, tmp_path: Path, whole: bool) -> None:
    part_of(tmp_path / "file").write_bytes(BODY if whole else bytes(len(BODY)))
    fetch([server.url], tmp_path / "file", md5=MD5)
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.requested_ranges == [f"bytes={len(BODY)}-"] + [None] * (not whole)


@pytest.mark.fault("a download is not the file", "refused; nothing stays", "3")
def test_a_wrong_md5_keeps_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        fetch([server.url], tmp_path / "file", md5="0" * 32)
    assert MD5 in caught.value.message
    assert "0" * 32 in caught.value.message
    assert files_in(tmp_path) == []
    assert len(server.requested_ranges) == 1


def test_a_file_that_the_server_lacks_is_an_error_at_once(server: Server, tmp_path: Path) -> None:
    server.plan = ["404"]
    with pytest.raises(DataError, match="HTTP 404") as caught:
        fetch([server.url], tmp_path / "file", md5=MD5, waits=NO_WAITS)
    assert len(server.requested_ranges) == 1
    assert f"{server.url}/file" in caught.value.message
    assert str(tmp_path / "file") in caught.value.hint
    assert files_in(tmp_path) == []


def test_a_busy_server_is_retried(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server.plan = ["503", "503", "503"]
    fetch([server.url], tmp_path / "file", md5=MD5, waits=NO_WAITS)
    again = f"cannot download {server.url}/file: HTTP 503 Service Unavailable; trying again in 0 s"
    assert caplog.messages == [again] * 3
    assert (tmp_path / "file").read_bytes() == BODY


def test_after_three_retries_it_gives_up_and_keeps_the_part(server: Server, tmp_path: Path) -> None:
    server.plan = [50_000, "503", "503", "503", "503"]
    with pytest.raises(DataError, match="HTTP 503"):
        fetch([server.url], tmp_path / "file", md5=MD5, waits=NO_WAITS)
    assert len(server.requested_ranges) == 4
    assert part_of(tmp_path / "file").read_bytes() == BODY[:50_000]
    server.plan = []
    fetch([server.url], tmp_path / "file", md5=MD5)
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_body_that_always_ends_early_never_counts_as_complete(server: Server, tmp_path: Path) -> None:
    server.plan, server.ranges = [len(BODY) - 1] * 10, False
    with pytest.raises(DataError, match="299999 of 300000"):
        fetch([server.url], tmp_path / "file", md5=None, waits=NO_WAITS)
    assert not (tmp_path / "file").exists()


@pytest.mark.fault("a server cannot be reached or lacks the file", "the next of `data.urls` is asked", "0")
@pytest.mark.parametrize(
    ("first", "requests"),
    [
        (Server(plan=["404", "404"]), [None]),
        (Server(plan=["503", "503"]), [None]),
        (Server(headers={"Content-Type": "text/html"}), [None]),
        (Server(body=BODY[::-1]), [None]),
    ],
    ids=["lacks it", "is busy", "sends a web page", "has another file"],
)
def test_the_next_server_is_asked(
    first: Server, requests: list[str | None], server: Server, tmp_path: Path
) -> None:
    with serving(first):
        fetch([first.url, f"{server.url}/"], tmp_path / "file", md5=MD5, waits=())
    assert (tmp_path / "file").read_bytes() == BODY
    assert first.requested_ranges == server.requested_ranges == requests


def test_the_next_server_sends_the_rest(server: Server, tmp_path: Path) -> None:
    with serving(Server(plan=[50_000])) as first:
        fetch([first.url, server.url], tmp_path / "file", md5=MD5, waits=())
    assert (tmp_path / "file").read_bytes() == BODY
    assert server.requested_ranges == ["bytes=50000-"]


def test_without_an_md5_a_server_is_tried_again_before_the_next(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What it has sent already could not be continued by another one."""
    cut = [50_000, 50_000]
    with serving(Server(plan=[*cut], headers={"ETag": '"1"'})) as first:
        fetch([first.url, server.url], tmp_path / "file", md5=None, waits=NO_WAITS)
        assert server.requested_ranges == []
        (tmp_path / "file").unlink()
        first.plan[:] = ["503"] * 4
        caplog.clear()
        fetch([first.url, server.url], tmp_path / "file", md5=None, waits=NO_WAITS)
    assert (tmp_path / "file").read_bytes() == BODY
    reason = f"cannot download {first.url}/file: HTTP 503 Service Unavailable"
    assert caplog.messages == [*[f"{reason}; trying again in 0 s"] * 3, f"{reason}; trying the next server"]


def test_servers_are_asked_in_order_until_they_fail_for_good(server: Server, tmp_path: Path) -> None:
    server.plan = ["503", "503", "404"]
    with serving(Server(plan=["404"])) as first, pytest.raises(DataError) as caught:
        fetch([first.url, server.url], tmp_path / "file", md5=MD5, waits=NO_WAITS)
    assert len(first.requested_ranges) == 1
    assert len(server.requested_ranges) == 3
    for url in (first.url, server.url):
        assert f"{url}/file: HTTP 404" in caught.value.message


def test_no_address_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.urls names no server"):
        fetch([], tmp_path / "file", md5=MD5)


@pytest.mark.fault("the network is down", "one message with the address", "3")
def test_a_server_that_cannot_be_reached_is_a_data_error(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file"
        with pytest.raises(DataError, match="refused") as caught:
            fetch([url], tmp_path / "file", md5=MD5, waits=NO_WAITS)
    assert url in caught.value.message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("url", ["", "no-scheme/file", "http://127.0.0.1:port/file", "http://"])
def test_a_malformed_url_is_a_data_error(url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot download"):
        fetch([url], tmp_path / "file", md5=MD5, waits=NO_WAITS)


@pytest.mark.fault(
    "the disk fills up during a download", "what came so far stays, and the download goes on later", "6"
)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, which stands in for a full disk")
def test_a_full_disk_is_a_disk_error(server: Server, tmp_path: Path) -> None:
    part_of(tmp_path / "file").symlink_to("/dev/full")
    with pytest.raises(DiskError):
        fetch([server.url], tmp_path / "file", md5=MD5, waits=NO_WAITS)
    assert len(server.requested_ranges) == 1


def test_a_folder_that_is_a_file_is_a_disk_error(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(DiskError, match="data': File exists"):
        fetch([server.url], tmp_path / "data" / "file", md5=MD5, waits=NO_WAITS)


def test_concurrent_calls_download_a_file_once(server: Server, tmp_path: Path) -> None:
    calls = [
        threading.Thread(target=fetch, args=([server.url], tmp_path / "file"), kwargs={"md5": MD5})
        for _ in range(4)
    ]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert (tmp_path / "file").read_bytes() == BODY
    assert len(server.requested_ranges) == 1


def test_md5_matches_hashlib(tmp_path: Path) -> None:
    body = BODY * 10
    (tmp_path / "file").write_bytes(body)
    progress_calls = []
    digest = md5_of(tmp_path / "file", lambda done, total: progress_calls.append((done, total)))
    assert digest == hashlib.md5(body).hexdigest()
    assert progress_calls[-1] == (len(body), len(body))
