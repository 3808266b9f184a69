"""The table of faults in docs/reliability.md: a row for each mark `fault` on a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
PAGE = REPO / "docs" / "reliability.md"
TABLE = re.compile(r"(<!-- faults: .*? -->\n).*?(<!-- end of faults -->)", re.DOTALL)


def page() -> str:
    """The page with its table as the tests have it."""
    lines = ["", "| fault | what happens | exit code |", "|---|---|---|"]
    lines += [f"| {fault} | {happens} | {code} |" for fault, happens, code in sorted(faults())]
    text = "\n".join([*lines, "", ""])
    return TABLE.sub(lambda match: match[1] + text + match[2], PAGE.read_text(encoding="utf-8"))


def faults() -> Iterator[tuple[str, str, str]]:
    """Of every mark: the fault, what happens, and the exit codes."""
    for path in sorted((REPO / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                        fault, happens, code = map(ast.literal_eval, mark.args)
                        yield fault, happens, str(code)
