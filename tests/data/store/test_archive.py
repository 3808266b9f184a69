"""Archives: unpacked whole or not at all, and never outside their folder."""

from __future__ import annotations

import gzip
import io
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svhncli.core.errors import DataError
from svhncli.core.rng import numpy_generator
from svhncli.data.store import archive, disk
from svhncli.data.store.archive import unpack

CONTENT = {f"{i}.png": numpy_generator(i, "content").bytes(300) for i in range(4)}


def write_zip(path: Path, content: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as zipped:
        for name, data in content.items():
            zipped.writestr(name, data)
    return path


def write_tar(path: Path, content: Mapping[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tarred:  # type: ignore[call-overload]
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tarred.addfile(member, io.BytesIO(data))
    return path


def below(folder: str, content: Mapping[str, bytes] = CONTENT) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in content.items()}


def unpacked(path: Path) -> dict[str, bytes]:
    """What becomes of an archive of the folder `part`."""
    unpack(path, "part", is_content=lambda folder: any(folder.glob("*.png")))
    folder = path.parent / "part"
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def assert_refused(path: Path, message: str) -> DataError:
    """An archive is refused with one message, and leaves nothing behind."""

    def files() -> list[Path]:
        return sorted(file for file in path.parent.parent.rglob("*") if file.suffix != ".lock")

    before = files()
    with pytest.raises(DataError, match=message) as caught:
        unpacked(path)
    assert str(path) in caught.value.message
    assert files() == before
    return caught.value


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar"])
@pytest.mark.parametrize("folder", ["part", "."])
def test_an_archive_holds_the_folder_or_what_belongs_into_it(place: Path, kind: str, folder: str) -> None:
    content = below(folder) | {
        f"__MACOSX/{folder}/._0.png": b"x",
        "__MACOSX/a.txt": b"x",
        f"{folder}/._1.png": b"x",
        f"{folder}/deeper/a.png": b"a",
    }
    path = place / f"part.{kind}"
    if kind == "zip":
        write_zip(path, content)
    else:
        write_tar(path, content, "w:gz" if kind == "tar.gz" else "w")
    assert unpacked(path) == CONTENT | {"deeper/a.png": b"a"}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zips_of_every_compression_are_read(place: Path, compression: int) -> None:
    assert unpacked(write_zip(place / "part.zip", below("part"), compression)) == CONTENT


def test_backslashes_of_old_windows_tools_separate_folders(place: Path) -> None:
    path = write_zip(place / "part.zip", {"part#0.png": b"0"})
    path.write_bytes(path.read_bytes().replace(b"part#0.png", b"part\\0.png"))
    assert unpacked(path) == {"0.png": b"0"}


def test_an_existing_folder_is_left_alone(place: Path) -> None:
    (place / "part").mkdir()
    (place / "part.zip").write_bytes(b"not read")
    assert unpacked(place / "part.zip") == {}


@pytest.mark.fault("an archive holds `..` or absolute names", "refused; nothing is written", "3")
@pytest.mark.parametrize("name", ["../../escaped.png", "part/../../../escaped.png", "/tmp/escaped.png"])
def test_a_zip_cannot_write_outside_its_folder(place: Path, name: str) -> None:
    assert_refused(write_zip(place / "part.zip", below("part") | {name: b"x"}), "is not a file or folder")
    assert not Path("/tmp/escaped.png").exists()


def test_a_link_in_a_zip_is_refused(place: Path) -> None:
    link = zipfile.ZipInfo("part/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(place / "part.zip", "w") as zipped:
        zipped.writestr(link, "/")
    assert_refused(place / "part.zip", "'part/link' is not a file or folder")


def test_an_archive_of_something_else_is_refused(place: Path) -> None:
    assert_refused(write_zip(place / "part.zip", {"other/a.txt": b"x"}), "has no folder part/")


def test_an_encrypted_zip_is_named(place: Path) -> None:
    path = write_zip(place / "part.zip", below("part"))
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert "password" in assert_refused(path, "is encrypted").hint


def test_a_compression_that_python_lacks_is_named(place: Path) -> None:
    path = write_zip(place / "part.zip", {"part/0.png": b"0" * 99})
    content = path.read_bytes()
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = content.index(mark) + offset
        content = content[:at] + b"\x09\x00" + content[at + 2 :]  # Deflate64, of Windows for large files
    path.write_bytes(content)
    assert "unpack it yourself" in assert_refused(path, "Python does not know").hint


@pytest.mark.fault(
    "an archive unpacks to far more than its size, or to far more files", "refused; nothing stays", "3"
)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_no_archive_unpacks_to_far_more_than_its_size(
    place: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = below("part", {"0.png": bytes(200_000), "1.png": bytes(200_000)})
    write = write_zip if kind == "zip" else write_tar
    path = write(place / f"part.{kind}", content)
    assert path.stat().st_size * disk.RATIO < 400_000
    monkeypatch.setattr(disk, "FREE", 400_000)
    assert len(unpacked(path)) == 2
    (place / "part").rename(place / "moved")
    monkeypatch.setattr(disk, "FREE", 399_999)
    assert_refused(path, "unpacks to far more")


def test_a_plain_tar_that_ends_between_two_files_is_refused(place: Path) -> None:
    path = write_tar(place / "part.tar", below("part"), "w")
    content = path.read_bytes()
    for length in (2 * 1024, 2 * 1024 + 512, 1024):  # a header and a file take 1,024 bytes
        path.write_bytes(content[:length])
        assert_refused(path, "damaged")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_no_archive_unpacks_to_far_more_files_than_its_size(
    place: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty files take blocks and places in the list of files, too."""
    content = below("part", {f"{i}.png": b"" for i in range(100)})
    path = (write_zip if kind == "zip" else write_tar)(place / f"part.{kind}", content)
    monkeypatch.setattr(disk, "RATIO", 1)
    monkeypatch.setattr(disk, "FREE", 100 * archive.BLOCK)
    assert len(unpacked(path)) == 100
    (place / "part").rename(place / "moved")
    monkeypatch.setattr(disk, "FREE", 100 * archive.BLOCK - 1)
    assert_refused(path, "unpacks to far more")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_damaged_entry_is_not_the_end_of_a_tar(place: Path, mode: str) -> None:
    """tarfile stops there in silence, and half of the images would be missing."""
    path = write_tar(place / ("part.tar" if mode == "w" else "part.tar.gz"), below("part"), mode)
    content = bytearray(path.read_bytes() if mode == "w" else gzip.decompress(path.read_bytes()))
    content[2 * 1024] ^= 1  # in the name of the third file
    path.write_bytes(content if mode == "w" else gzip.compress(content))
    assert_refused(path, "damaged")


@pytest.mark.parametrize("kind", archive.DESCRIPTIONS)
def test_a_tar_cannot_fill_the_memory_with_a_name(place: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("part/a.png")
    member.type, member.size = kind, 1 << 40
    end = bytes(2 * tarfile.BLOCKSIZE)
    (place / "part.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + end)
    assert_refused(place / "part.tar", "describes a file in 1,099,511,627,776 bytes")


OUTSIDE = ("../canary.png", "part/../../canary.png", "/{place}/canary.png")


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_tar_cannot_write_outside_its_folder(place: Path, name: str) -> None:
    content = {name.format(place=place.parent): b"written"}
    assert_refused(
        write_tar(place / "part.tar", below("part") | content, "w"), "is not a file or folder inside"
    )
    assert not list(place.parent.rglob("canary.png"))


@pytest.mark.fault("an archive holds links or devices", "refused; nothing is written", "3")
@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(place: Path, kind: bytes) -> None:
    with tarfile.open(place / "part.tar", "w") as tarred:
        member = tarfile.TarInfo("part/a.png")
        member.type, member.linkname = kind, "/etc/passwd"
        tarred.addfile(member)
    assert_refused(place / "part.tar", "is not a file or folder inside")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_zip_is_refused_or_read_rightly(place: Path, data: st.DataObject) -> None:
    compression = data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]))
    whole = write_zip(place / "part.zip", below("part"), compression).read_bytes()
    content = bytearray(whole)
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (place / "part.zip").write_bytes(content)
    try:
        files = unpacked(place / "part.zip")
    except DataError as error:
        assert "part.zip" in error.message  # noqa: PT017
        assert not (place / "part").exists()
    else:
        assert files == CONTENT
        shutil.rmtree(place / "part")
    assert not list(place.glob(".writing-*"))
