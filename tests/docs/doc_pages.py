"""The README and the pages of docs/: their examples, links, headings and tables, read as text."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
REFERENCE = REPO / "docs" / "reference.md"
PAGES = [REPO / "README.md", *sorted(page for page in (REPO / "docs").glob("*.md") if page != REFERENCE)]
"""The pages that are written by hand; the reference is generated."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """One command of an `sh` block: where it stands, and the words after `svhn`."""

    page: str
    line: int
    words: list[str]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: svhn {shlex.join(self.words)}"


def name(page: Path) -> str:
    return page.relative_to(REPO).as_posix()


def examples(page: Path) -> list[Example]:
    """Every command of the page's `sh` blocks, from top to bottom, without comments."""
    text, commands = page.read_text(encoding="utf-8"), []
    for block in FENCE.finditer(text):
        if block[1] != "sh":
            continue
        first = text.count("\n", 0, block.start(2)) + 1
        for number, line in enumerate(block[2].splitlines(), first):
            if words := shlex.split(line, comments=True):
                assert words[0] == "svhn", f"{name(page)}:{number}: sh blocks hold svhn commands alone"
                commands.append(Example(name(page), number, words[1:]))
    return commands


def blocks(page: Path) -> list[tuple[str, str]]:
    """The kind and the text of every block of code; one that is indented has no kind."""
    text = page.read_text(encoding="utf-8")
    indented = re.findall(r"(?:^ {4}.*\n)+", FENCE.sub("", text), re.MULTILINE)
    return [(block[1], block[2]) for block in FENCE.finditer(text)] + [("", block) for block in indented]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def code_spans(page: Path) -> list[str]:
    """The texts between backticks in the page's prose."""
    return [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", prose(page))]


def table_names(page: Path, head: str) -> list[str]:
    """The names in the first column of the table whose head is `head=`."""
    rows = page.read_text(encoding="utf-8").split(f"| `{head}=`")[1].split("\n\n")[0].splitlines()[2:]
    return [choice for row in rows for choice in re.findall(r"`(\w+)`", row.split("|")[1])]


def links(page: Path) -> list[str]:
    """The targets of links and images, in Markdown and in HTML."""
    text = prose(page)
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)


ELSEWHERE = {"https://pytorch.org/get-started/locally/"}
"""Pages of others that may be linked to."""


def broken(page: Path) -> list[str]:
    """The links of a page that lead to no file, to no heading, or away from the repository."""
    broken_links = []
    for link in links(page):
        if link in ELSEWHERE:
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        if "://" in link or not file.exists() or (anchor and anchor not in anchors(file)):
            broken_links.append(link)
    return broken_links


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub forms them."""
    seen: dict[str, int] = {}
    slugs = set()
    for heading in re.findall(r"^#{1,6} (.+)$", prose(page), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        again = seen.get(slug, 0)
        seen[slug] = again + 1
        slugs.add(f"{slug}-{again}" if again else slug)
    return slugs
