"""The output of --json and the files of run folders keep their keys, their order and their types.

They are recorded in tests/golden/. An intended change is recorded with:

    python tests/golden/record.py
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from forked import Server
from golden.cases import observed
from golden.shapes import differences, merged, shape

GOLDEN = Path(__file__).parent
RECORDED = {path.stem: json.loads(path.read_text()) for path in sorted(GOLDEN.glob("*.json"))}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("golden")


@pytest.fixture(scope="module")
def now(server: Server, workspace: Path) -> dict[str, Any]:
    """The output and files of all commands, run once in `workspace`."""
    return observed(server, workspace)


def test_every_command_is_recorded(now: dict[str, Any]) -> None:
    assert now.keys() == RECORDED.keys()


@pytest.mark.parametrize("name", RECORDED)
def test_keys_and_types_are_those_recorded(name: str, now: dict[str, Any]) -> None:
    if name.startswith("export") and find_spec("onnxscript") is None:
        pytest.skip("svhncli[export] is not installed")
    if changed := [*differences(RECORDED[name], now[name])]:
        pytest.fail("\n".join([f"svhn {RECORDED[name]['command']}", *changed]), pytrace=False)


def test_a_run_of_version_0_1_is_evaluated_and_resumed(now: dict[str, Any], workspace: Path) -> None:
    assert {result["exit"] for name, result in now.items() if name.startswith("old-")} == {"0"}
    test = json.loads((GOLDEN / "run-0.1" / "summary.json").read_text())["test"]
    evaluated = json.loads((workspace / "old" / "eval" / "svhn-test" / "results.json").read_text())
    assert (evaluated["n"], evaluated["accuracy"]) == (test["n"], test["accuracy"])
    assert evaluated["loss"] == pytest.approx(test["loss"], rel=1e-4)
    before = (GOLDEN / "run-0.1" / "metrics.csv").read_text()
    after = (workspace / "old" / "metrics.csv").read_text()
    assert after.startswith(before)
    assert len(after.splitlines()) == len(before.splitlines()) + 1


# ----------------------------------------------------------------------------- changes

ROW = {"n": 1, "interval": {"low": 0.1, "high": 0.2}, "test": None}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"n": 1, "interval": {"low": 0.1}, "test": None}, ".interval.high: the key is missing"),
        (ROW | {"more": "x"}, ".more: a new key, str"),
        (ROW | {"n": 1.0}, ".n: was int, is float"),
        (ROW | {"n": None}, ".n: was int, is null"),
        (ROW | {"interval": [0.1, 0.2]}, '.interval: was {"low": "float", "high": "float"}, is ["float"]'),
        (ROW | {"test": {"n": 1}}, '.test: was null, is {"n": "int"}'),
        ({"interval": ROW["interval"], "n": 1, "test": None}, "the order of keys was n, interval, test, is"),
    ],
)
def test_a_change_is_reported_with_its_key(value: Any, message: str) -> None:
    (line,) = differences(shape(ROW), shape(value))
    assert message in line
    (line,) = differences(shape({"folds": [ROW]}), shape({"folds": [value]}))
    assert line.startswith(".folds[]")


def test_a_renamed_key_is_reported_as_a_missing_key_and_a_new_key() -> None:
    assert [*differences(shape({"best": 1}), shape({"top": 1}))] == [
        ".best: the key is missing",
        ".top: a new key, int",
    ]


def test_a_key_that_only_some_dicts_have_is_optional() -> None:
    some = shape([{"a": 1, "b": None, "c": 1}, {"a": 1, "c": 1, "b": 0.5}, {"a": 1, "extra": [], "b": 0.5}])
    assert some == [{"a": "int", "extra?": [], "b": ["null", "float"], "c?": "int"}]
    assert not [*differences(some, shape([{"a": 1, "b": 0.5}]))]
    assert not [*differences(some, shape([]))]
    assert [*differences(some, shape([{"b": 0.5, "c": 1}]))] == ["[].a: the key is missing"]
    assert [*differences(shape([]), shape([1]))] == ["[]: the list was always empty, has int"]


def test_keys_that_are_numbers_are_data() -> None:
    by_length = shape({"1": {"n": 3}, "2": {"n": 4}})
    assert by_length == {"*": {"n": "int"}}
    assert not [*differences(by_length, shape({"6": {"n": 1}}))]
    assert merged([by_length, shape({})]) == {"*?": {"n": "int"}}
