"""The words of a command line by Hydra's grammar, and text that it would not leave as it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import OverrideParseException

from svhncli.cli import catalog, suggest
from svhncli.config.words import quote
from svhncli.core.errors import UsageError

FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")
"""Hydra's own keys for what `out` names."""


def parse(words: Sequence[str], verb: str) -> list[Override]:
    """Words such as `lr=1e-3` by Hydra's grammar.

    What it refuses or changes (`1e3`, `true`, a space at the end) is taken as it is by a key for any text.

    Raises:
        UsageError: naming the word that cannot be parsed.
    """
    parser = OverridesParser.create()
    keys = catalog.keys(verb)

    def parsed(word: str) -> Override:
        key, _, text = word.partition("=")
        declared = keys.get("out" if key in FOLDERS else key)
        as_is = declared is not None and declared.is_free_text and text[:1] not in ("'", '"')
        try:
            word.encode()
            override = parser.parse_overrides([word])[0]
        except UnicodeEncodeError as error:
            encoding = sys.getfilesystemencoding()
            unicode = encoding.lower().startswith("utf")
            raise UsageError(
                f"{word!r} is not {encoding}",
                "rename it, or name a link to it" if unicode else "set PYTHONUTF8=1, or LC_ALL=C.UTF-8",
            ) from error
        except OverrideParseException as error:
            if not as_is or "," in text:  # of which Hydra would make a sweep
                raise suggest.grammar(word, verb) from error
        else:
            if not as_is or override.is_sweep_override():
                return override
            if text == text.strip() and not isinstance(override.value(), (bool, int, float)):
                return override
        return parser.parse_overrides([f"{key}={quote(text)}"])[0]

    return [parsed(word) for word in words]
