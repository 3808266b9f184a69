"""Every recipe composes, and trains to its end, with every data source of its kind and with debug=fast."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import write_mat

from svhncli.cli import catalog
from svhncli.cli import main as cli

MAT = ["data.root=mat", "data.check_md5=false", "data.download=false"]
FEW = ["data.n_train=60", "data.n_test=20"]
DIGITS = {
    "synth": FEW,
    "tiny": FEW,
    "svhn": MAT,
    "mix": [*MAT, "data.n_rendered=60"],
    "folder": ["data.root=digits"],
}
NUMBERS = {
    "synth_full": FEW,
    "svhn_full": ["data.root=official", "data.download=false"],
    "mchar": ["data.root=mchar"],
    "folder": ["data.root=numbers"],
}
LOCATED = {"tianchi", "tianchi_long"}
OF_NUMBERS = {"numbers", "datawhale_full", *LOCATED}
SMALLER = {
    "svhn_wrn16_8": ["model.depth=10", "model.width=1", "data.extra=none"],
    "svhn_wrn28_10": ["model.depth=10", "model.width=1"],
    "finetune_small": ["init_from=base"],
    **{recipe: ["model.width=0.25", "data.height=32", "data.width=64"] for recipe in LOCATED},
    "numbers": ["model.hidden=16", "model.width=0.25"],
}
"""Words with which a recipe is tried, beside those of its data."""
PAIRS = [
    (recipe, source)
    for recipe in catalog.choices("experiment")
    for source in (NUMBERS if recipe in OF_NUMBERS else DIGITS)
    if recipe not in LOCATED or source != "folder"  # which has no boxes
]


def composed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(["train", *words, "--cfg", "job"]) == 0
    return yaml.safe_load(capsys.readouterr().out)


OFTEN = {"digits", "finetune_small", "numbers", "tianchi", "svhn_wrn16_8"}
"""Recipes with data of their own, or with keys of one data source; the full tier tries all."""


@pytest.mark.parametrize(
    ("recipe", "source"),
    [pytest.param(*pair, marks=[] if pair[0] in OFTEN else pytest.mark.full) for pair in PAIRS],
)
def test_a_recipe_composes_with_all_data_of_its_kind_and_with_debug(
    capsys: pytest.CaptureFixture[str], recipe: str, source: str
) -> None:
    words = [f"experiment={recipe}", f"data={source}"]
    alone, short = composed(capsys, *words), composed(capsys, *words, "debug=fast")
    assert (short["epochs"], short["data"]["limit"]) == (2, 1000)
    assert short | {"epochs": alone["epochs"], "data": alone["data"]} == alone
    assert short["data"] | {"limit": None} == alone["data"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Small data of every kind, and a run to start from, in the current folder."""
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_mat(folder / "mat", "train", 120, 0)
        write_mat(folder / "mat", "test", 40, 1)
        for layout, out in (("folder", "digits"), ("mchar", "mchar"), ("svhn_full", "official")):
            assert cli.main(["render", f"layout={layout}", f"out={out}", *FEW]) == 0
        labels = json.loads(Path("mchar/mchar_train.json").read_text())
        rows = [f"{name},{''.join(map(str, value['label']))}" for name, value in labels.items()]
        Path("mchar/mchar_train").joinpath("labels.csv").write_text("\n".join(["file,label", *rows]))
        Path("numbers").mkdir()
        Path("numbers/train").symlink_to(folder / "mchar" / "mchar_train")
        base = ["experiment=finetune_small", "init_from=null", "data=synth", *FEW, "debug=fast", "threads=1"]
        assert cli.main(["train", *base, "device=cpu", "watch=0", "report=false", "out=base"]) == 0
        yield folder


@pytest.mark.full
@pytest.mark.parametrize(("recipe", "source"), PAIRS)
def test_a_recipe_trains_with_all_data_of_its_kind_and_with_debug(
    place: Path, capsys: pytest.CaptureFixture[str], recipe: str, source: str
) -> None:
    words = [f"experiment={recipe}", f"data={source}", *(NUMBERS | DIGITS | _own(recipe))[source]]
    words += [word for word in SMALLER.get(recipe, []) if source in ("svhn", "mix") or "extra" not in word]
    out = f"runs/{recipe}-{source}"
    run = ["debug=fast", "threads=1", "device=cpu", "watch=0", f"out={out}", "--json"]
    capsys.readouterr()
    assert cli.main(["train", *words, *run]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["status"], summary["epochs"]) == ("done", 2)
    assert Path(out, "report.html").is_file()
    assert cli.main(["eval", out, "part=val"]) == 0


def _own(recipe: str) -> dict[str, list[str]]:
    """The words of the data that both kinds have, such as a folder."""
    return NUMBERS if recipe in OF_NUMBERS else DIGITS
