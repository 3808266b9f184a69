"""Submissions: valid files pass, and every kind of broken file is refused with a clear message."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from svhncli.cli import main as cli
from svhncli.core.errors import DataError
from svhncli.core.files import write_csv
from svhncli.evaluation import submission

NAMES = [f"{i:06}.png" for i in range(5)]
ROWS = [
    "file_name,file_code",
    *(f"{name},{code}" for name, code in zip(NAMES, ["7", "007", "12", "9", "654321"], strict=True)),
]
names_of_files = st.lists(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0\r"), min_size=1),
    min_size=1,
    unique=True,
)
codes = st.text("0123456789", min_size=1, max_size=8)


def without(line: int) -> list[str]:
    return [row for place, row in enumerate(ROWS) if place != line]


def swapped(first: int, second: int) -> list[str]:
    rows = list(ROWS)
    rows[first], rows[second] = rows[second], rows[first]
    return rows


def changed(line: int, old: str, new: str) -> list[str]:
    assert old in ROWS[line]
    return [row.replace(old, new) if place == line else row for place, row in enumerate(ROWS)]


BROKEN: dict[str, tuple[list[str], str]] = {
    "no header": (without(0), "its first line is '000000.png,7'"),
    "another header": (changed(0, "file_code", "code"), "its first line is 'file_name,code'"),
    "a mark before the header": (
        changed(0, "file_name", "\ufefffile_name"),
        "its first line is '\\ufefffile_name",
    ),
    "nothing": ([], "its first line is ''"),
    "a row is missing": (without(3), "it has 4 rows for 5 images: '000002.png' is missing"),
    "the last row is missing": (without(5), "'000004.png' is missing"),
    "a row too many": ([*ROWS, "000005.png,1"], "line 7: there is no image '000005.png'"),
    "an unknown name": (changed(2, "000001", "1"), "line 3: there is no image '1.png'"),
    "a folder before the name": (
        changed(2, "000001", "test/000001"),
        "there is no image 'test/000001.png'",
    ),
    "a name twice": ([*ROWS, ROWS[1]], "line 7: '000000.png' appears a second time"),
    "another order": (swapped(2, 3), "line 3: '000002.png' where '000001.png' should be"),
    "an empty code": (changed(4, ",9", ","), "line 5: '000003.png' has no code"),
    "a code with a letter": (
        changed(4, ",9", ",9a"),
        "line 5: the code '9a' of '000003.png' is not digits only",
    ),
    "a code with a point": (changed(4, ",9", ",9.0"), "the code '9.0'"),
    "a code with a blank": (changed(4, ",9", ", 9"), "the code ' 9'"),
    "a sign": (changed(4, ",9", ",-9"), "the code '-9'"),
    "digits of another script": (changed(4, ",9", ",٣"), "the code '٣'"),
    "a field too many": (changed(4, ",9", ",9,"), "line 5 has 3 fields, not 2"),
    "a field too few": (changed(4, ",9", ""), "line 5 has 1 fields, not 2"),
    "an empty line": ([*ROWS, ""], "line 7 has 0 fields, not 2"),
    "a quote that is not closed": (changed(4, ",9", ',"9'), "line 6: unexpected end of data"),
}


@pytest.mark.parametrize("breakage", BROKEN)
def test_a_broken_submission_is_refused_with_a_clear_message(tmp_path: Path, breakage: str) -> None:
    rows, message = BROKEN[breakage]
    path = tmp_path / "broken.csv"
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        submission.check(path, NAMES)
    assert caught.value.message.startswith(f"'{path}' is not a valid submission: ")
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_valid_submission_passes_with_any_line_ending(tmp_path: Path, end: str) -> None:
    path = tmp_path / "valid.csv"
    path.write_bytes((end or "\n").join(ROWS).encode() + end.encode())
    submission.check(path, NAMES)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"file_name,file_code\n\x00,1\n", b"file_name,file_code\n\xff,1\n"]
)
def test_bytes_that_are_not_text_are_a_data_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.csv").write_bytes(content)
    with pytest.raises(DataError):
        submission.check(tmp_path / "odd.csv", NAMES)


def test_a_file_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        submission.check(tmp_path / "none.csv", NAMES)


@given(names_of_files, st.data())
def test_a_written_submission_of_any_names_and_codes_passes(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    rows = [{"file_name": name, "file_code": data.draw(codes)} for name in sorted(names)]
    write_csv(path, submission.HEADER, rows, str)
    submission.check(path, sorted(names))


@given(names_of_files, st.data())
def test_no_change_of_names_or_codes_passes(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], data: st.DataObject
) -> None:
    path, names = tmp_path_factory.getbasetemp() / "changed.csv", sorted(names)
    rows = [{"file_name": name, "file_code": "1"} for name in names]
    place = data.draw(st.integers(0, len(names) - 1))
    breaks: list[Callable[[], object]] = [
        lambda: rows.pop(place),
        lambda: rows.append(rows[place]),
        lambda: rows[place].update(
            file_code=data.draw(
                st.text(alphabet="0123456789a. -+e", max_size=6).filter(lambda text: not text.isdigit())
            )
        ),
        lambda: rows[place].update(
            file_name=data.draw(st.text("ab", min_size=3).filter(lambda name: name not in names))
        ),
    ]
    if len(names) > 1:
        breaks.append(lambda: rows.reverse())
    data.draw(st.sampled_from(breaks))()
    write_csv(path, submission.HEADER, rows, str)
    with pytest.raises(DataError):
        submission.check(path, names)


def test_the_command_counts_the_rows_or_refuses(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "my images, [all]").mkdir()
    for name in NAMES:
        Image.new("RGB", (4, 4)).save(folder / "my images, [all]" / name)
    words = ["submission", "sub=1.csv", "my images, [all]"]
    (folder / "sub=1.csv").write_text("".join(f"{row}\n" for row in ROWS))
    assert cli.main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 5
    assert cli.main(words) == 0
    assert "5: a valid submission" in capsys.readouterr().out
    (folder / "sub=1.csv").write_text("".join(f"{row}\n" for row in without(2)))
    assert cli.main(words) == 3
    assert "'000001.png' is missing" in capsys.readouterr().err
    assert cli.main(["submission", "sub=1.csv", "nowhere"]) == 3
    assert cli.main(["submission", "sub=1.csv"]) == 2
    assert "no folder is named" in capsys.readouterr().err
