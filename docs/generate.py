"""Write what follows from the config dataclasses: conf/, the text of `svhn --help` and docs/reference.md; and
what follows from the tests: the table of faults in docs/reliability.md.

    python docs/generate.py [--check]

Files of conf/ that belong to one dataclass are written whole. Presets and recipes are written by hand: their
headers and values stay, comments are generated. --check writes nothing and fails if a file is stale.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import faults
from reference import KEY, reference, values

from svhncli.cli import catalog, overview
from svhncli.cli.main import FLAGS, SHORT
from svhncli.config import rules
from svhncli.config.choices import CHOICES
from svhncli.config.declare import ROOT_VALUES, Verb, name_of, summary
from svhncli.config.verbs import VERBS
from svhncli.config.verbs.training import TrainingConfig

REPO = Path(__file__).resolve().parent.parent
CONF = REPO / "conf"
LOGGING = ["  - override hydra/job_logging: warnings", "  - override hydra/hydra_logging: disabled"]


def generated() -> dict[Path, str]:
    """Every generated file and what belongs in it."""
    files = {REPO / "svhncli" / "cli" / "overview.txt": overview.overview(FLAGS, SHORT) + "\n"}
    for group, choices in CHOICES.items():
        if group != "reg":  # its choices are presets of one dataclass
            own = {name: choice_file(group, kind) for name, kind in choices.items()}
            files |= {CONF / group / f"{name}.yaml": text for name, text in own.items()}
    files |= {CONF / f"{name}.yaml": verb_file(verb) for name, verb in VERBS.items()}
    files[CONF / "training.yaml"] = training_file()
    for folder, text in (
        ("data", preset),
        ("reg", preset),
        ("experiment", recipe),
        ("debug", recipe),
        ("experiment_data", recipe),
        ("space", recipe),
    ):
        by_hand = [path for path in sorted((CONF / folder).glob("*.yaml")) if path not in files]
        files |= {path: text(path) for path in by_hand}
    presets = {path.stem: text for path, text in files.items() if path.parent == CONF / "reg"}
    return files | {REPO / "docs" / "reference.md": reference(presets), faults.PAGE: faults.page()}


# ----------------------------------------------------------------------------- YAML


def choice_file(group: str, kind: type) -> str:
    """The file of a choice: every key of its dataclass."""
    lines = [f"# {summary(kind)}."]
    root = ROOT_VALUES.get(kind, {})
    keys = aligned([*name_line(kind), *key_lines(own_first(kind))], "  " * bool(root))
    if not root:
        return "\n".join([*lines, *keys, ""])
    at_root = {key.path: key for key in catalog.walk(TrainingConfig)}
    above = aligned([(0, f"{name}: {yaml(value)}", comment(at_root[name])) for name, value in root.items()])
    return "\n".join(["# @package _global_", *lines, *above, "", f"{group}:", *keys, ""])


def verb_file(verb: Verb) -> str:
    """The root config of a verb. Those that train include training.yaml."""
    trains = issubclass(verb.config, TrainingConfig)
    included = {line for _, line, _ in defaults(VERBS["train"])} if trains else set()
    groups = [line for line in defaults(verb) if line[1] not in included]
    keys = [key for key in catalog.walk(verb.config) if key.path not in verb.groups]
    if trains:
        shared = {key.path for key in catalog.walk(TrainingConfig)}
        keys = [key for key in keys if key.path not in shared]
    return "\n".join(
        [
            f"# {verb.usage}",
            f"# {verb.meaning}.",
            "defaults:",
            *aligned(groups, "  "),
            "  - _self_",
            *["  - training"] * trains,
            *LOGGING,
            "",
            *aligned(key_lines(keys)),
            "",
        ]
    )


def training_file() -> str:
    """What all verbs that train include."""
    verb = VERBS["train"]
    groups = defaults(verb)
    at = next(place for place, (_, text, _) in enumerate(groups) if "experiment" in text)
    keys = [key for key in catalog.walk(TrainingConfig) if key.path not in verb.groups]
    return "\n".join(
        [
            "# Keys of every verb that trains. Change any on the command line: epochs=20 model=mlp",
            "defaults:",
            *aligned(groups[:at], "  "),
            "  - _self_",
            *aligned(groups[at : at + 1], "  "),
            "  - optional experiment_data@_global_: ${experiment}_${data}",
            *aligned(groups[at + 1 :], "  "),
            "",
            *aligned(key_lines(keys)),
            "",
        ]
    )


def preset(path: Path) -> str:
    """Other values for the keys of a dataclass, written by hand; keys that are missing get their defaults."""
    text = path.read_text(encoding="utf-8")
    header = [line for line in text.splitlines() if line.startswith("#")]
    own = values(text)
    kind = CHOICES[path.parent.name]["custom" if path.parent.name == "reg" else own["name"]]
    name = (0, f"name: {own['name']}", name_meaning(kind))
    return "\n".join([*header, *aligned([name, *key_lines(own_first(kind), own)]), ""])


def recipe(path: Path) -> str:
    """A hand-written file that sets keys of several groups, with their meanings beside them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    keys = meanings(with_included(path))
    out: list[str] = []
    block: list[tuple[int, str, str]] = []
    parents: list[str] = []
    in_defaults = False
    for line in lines:
        in_defaults = line == "defaults:" or (in_defaults and line.startswith(" "))
        match = None if in_defaults else KEY.fullmatch(line)
        if match is None:
            out += [*aligned(block), line]
            block = []
            continue
        depth = len(match[1]) // 2
        parents = [*parents[:depth], match[2]]
        written = f"{match[2]}: {match[3]}" if match[3] else f"{match[2]}:"
        known = keys.get(".".join(parents))
        block.append((depth, written, known if known is not None and match[3] else ""))
    return "\n".join([*out, *aligned(block), ""])


def with_included(path: Path) -> str:
    """A recipe's text after those of the recipes that it starts from."""
    text = path.read_text(encoding="utf-8")
    included = [name for name in re.findall(r"^  - (\w+)$", text, re.MULTILINE) if name != "_self_"]
    return "\n".join([*(with_included(path.with_name(f"{name}.yaml")) for name in included), text])


def meanings(text: str) -> dict[str, str]:
    """Key -> comment, for the keys of all choices of a recipe."""
    chosen = catalog.defaults("train") | dict(re.findall(r"override /(\w+): (\w+)", text))
    at_root = {group: catalog.group_meaning("train", group) for group in CHOICES}
    at_root |= {path: comment(key) for path, key in catalog.keys("train").items()}
    for name, kinds in CHOICES.items():
        if (kind := kinds.get("custom" if name == "reg" else chosen[name])) is not None:
            at_root |= {key.path: comment(key) for key in catalog.walk(kind, f"{name}.")}
    return at_root


def defaults(verb: Verb) -> list[tuple[int, str, str]]:
    """The entries of a defaults list, with what each group chooses."""
    return [
        (0, f"- {group}: {choice or 'null'}", catalog.group_meaning(verb.name, group))
        for group, choice in verb.groups.items()
    ]


def own_first(kind: type) -> list[catalog.Key]:
    """The keys of a choice: its own before those that it shares with others."""
    own = set(kind.__annotations__)
    return sorted(catalog.walk(kind), key=lambda key: key.path.partition(".")[0] not in own)


def name_line(kind: type) -> list[tuple[int, str, str]]:
    return [(0, f"name: {name_of(kind)}", name_meaning(kind))]


def name_meaning(kind: type) -> str:
    return str(next(item.metadata["meaning"] for item in fields(kind) if item.name == "name"))


def key_lines(
    keys: Iterable[catalog.Key], given: Mapping[str, str] = MappingProxyType({})
) -> list[tuple[int, str, str]]:
    """Indent, `key: value` and comment of each key; a group of keys has a line of its own.

    given: values that replace the defaults.
    """
    lines: list[tuple[int, str, str]] = []
    parents: list[str] = []
    for key in keys:
        *above, name = key.path.split(".")
        if above != parents:
            lines += [(len(above) - 1, f"{above[-1]}:", "")] if above else []
            parents = above
        lines.append((len(above), f"{name}: {given.get(key.path, yaml(key.default))}", comment(key)))
    return lines


def aligned(lines: Iterable[tuple[int, str, str]], indent: str = "") -> list[str]:
    """Lines with their comments in one column."""
    rows = [(f"{indent}{'  ' * depth}{text}", about) for depth, text, about in lines]
    width = max((len(text) for text, about in rows if about), default=0)
    return [f"{text:{width}}  # {about}" if about else text for text, about in rows]


def comment(key: catalog.Key) -> str:
    """What a key means and may be, on one line."""
    allowed = "; ".join(filter(None, (", ".join(key.rule["choices"]), rules.range_text(key.rule))))
    return f"{key.rule['meaning']} ({allowed})" if allowed else str(key.rule["meaning"])


def yaml(value: Any) -> str:
    """A default value in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{', '.join(map(yaml, value))}]"
    return re.sub(r"e([+-])0*(\d)", r"e\1\2", repr(value)) if isinstance(value, float) else str(value)


# ----------------------------------------------------------------------------- the command


def stale(files: Mapping[Path, str]) -> list[Path]:
    """The files that are missing or differ from what belongs in them."""
    return [
        path for path, text in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is stale")
    check = parser.parse_args().check
    files = generated()
    for path in stale(files):
        print(f"{'stale' if check else 'wrote'} {path.relative_to(REPO)}")
        if not check:
            path.write_text(files[path], encoding="utf-8")
    if check and stale(files):
        print("run `make docs`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
