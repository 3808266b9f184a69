"""Results as JSON and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svhncli.core.plain import from_plain, inlined, keyed, optional, to_plain


@dataclass(frozen=True)
class Inner:
    low: float
    of: str = keyed("class")


@dataclass(frozen=True)
class Outer:
    n: int
    share: float | None
    inner: Inner | None = optional()
    rows: tuple[Inner, ...] = ()
    named: dict[str, float] | None = optional()
    path: Path | None = None


INNER = st.builds(Inner, low=st.floats(allow_nan=False), of=st.text())
OUTER = st.builds(
    Outer,
    n=st.integers(),
    share=st.none() | st.floats(allow_nan=False),
    inner=st.none() | INNER,
    rows=st.lists(INNER).map(tuple),
    named=st.none() | st.dictionaries(st.text(), st.floats(allow_nan=False)),
    path=st.none() | st.just(Path("runs/a")),
)


@given(OUTER)
def test_a_written_value_is_read_back_unchanged(outer: Outer) -> None:
    assert from_plain(Outer, json.loads(json.dumps(to_plain(outer)))) == outer


def test_keys_are_the_fields_in_their_order_but_for_optional_and_renamed_ones() -> None:
    assert list(to_plain(Outer(1, None))) == ["n", "share", "rows", "path"]
    assert to_plain(Inner(0.5, "x")) == {"low": 0.5, "class": "x"}


@dataclass(frozen=True)
class Around:
    name: str
    inner: Inner = inlined()


def test_an_inlined_field_puts_its_keys_among_the_others_and_is_read_back() -> None:
    around = Around("a", Inner(0.5, "x"))
    assert to_plain(around) == {"name": "a", "low": 0.5, "class": "x"}
    assert from_plain(Around, to_plain(around)) == around
    with pytest.raises(ValueError, match="it has no 'low'"):
        from_plain(Around, {"name": "a", "class": "x"})


def test_a_key_of_a_later_version_is_ignored() -> None:
    assert from_plain(Inner, {"low": 1, "class": "x", "new": []}) == Inner(1.0, "x")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"share": 1}, "it has no 'n'"),
        ({"n": "1", "share": 1}, "'n' is '1', not int"),
        ({"n": True, "share": 1}, "'n' is True, not int"),
        ({"n": 1, "share": "x"}, "'share' is 'x', not float"),
        ({"n": 1, "share": 1, "rows": [{"low": 1}]}, r"it has no 'rows\[0\].class'"),
        ({"n": 1, "share": 1, "inner": {"low": [], "class": ""}}, r"'inner.low' is \[\], not float"),
        ([], r"'' is \[\], not Outer"),
    ],
)
def test_a_missing_key_or_a_wrong_type_is_refused_with_the_key(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_plain(Outer, value)
