"""YAML from outside, whose anchors cannot grow without limit: a few lines of aliases can name 10^9 values.

PyYAML shares what an alias names, but whoever copies or prints the values takes them one by one.
"""

from __future__ import annotations

from typing import Any

import yaml

LARGEST, DEEPEST = 100_000, 50
"""Values, with those of an alias each time that it is written; and how deep they lie in each other. Configs
have some hundreds, four deep."""


class Bounded(yaml.SafeLoader):
    """Refuses more values than `LARGEST`, deeper ones than `DEEPEST`, and an alias of what it lies in."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._values = 0
        self._depth = 0
        self._sizes: dict[str | None, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As yaml's own, and count."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._values
        self._depth += 1
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in self.anchors and event.anchor not in self._sizes:
                raise self._refused("an alias of what it lies in", event)
            self._values += self._sizes.get(event.anchor, 1)
        else:
            self._values += 1
        if self._values > LARGEST or self._depth > DEEPEST:
            raise self._refused(f"more than {LARGEST:,} values, or {DEEPEST} levels", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent) and (anchor := getattr(event, "anchor", None)):
            self._sizes[anchor] = self._values - before
        return node

    @staticmethod
    def _refused(what: str, event: Any) -> yaml.composer.ComposerError:
        return yaml.composer.ComposerError(None, None, what, event.start_mark)


def load(text: str | bytes) -> Any:
    """The content of a YAML text: plain values alone.

    Raises:
        YAMLError: it is none, has other tags, or is too large; see `Bounded`.
        ValueError: a value is none of its kind, such as a date.
    """
    return yaml.load(text, Bounded)
