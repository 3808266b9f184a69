"""How a space is written, on the command line and in a file, and which are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from svhncli.cli import hydra_app, space
from svhncli.cli import main as cli
from svhncli.config.space import Dimension, words
from svhncli.core.errors import UsageError

CHOSEN = {"data": "synth", "model": "cnn", "optim": "adam", "reg": "light"}


def dimension(word: str) -> Dimension:
    texts, others = space.split([word])
    assert not others, "it is a space"
    return space.read(texts, CHOSEN).dimensions[0]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("lr=log(1e-4,1e-2)", {"low": 1e-4, "high": 1e-2, "log": True, "whole": False}),
        ("lr= log( 1e-4 , 1e-2 ) ", {"low": 1e-4, "high": 1e-2, "log": True}),
        ("reg.dropout=(0,0.5)", {"low": 0, "high": 0.5, "log": False, "step": None}),
        ("reg.dropout=(0,0.5,0.1)", {"low": 0, "high": 0.5, "step": 0.1}),
        ("batch_size=log(16,512)", {"low": 16, "high": 512, "log": True, "whole": True}),
        ("epochs=(2,8)", {"low": 2, "high": 8, "whole": True}),
        ("optim=adam,sgd", {"values": ("adam", "sgd")}),
        ("model.width=choice(1,1.5,2)", {"values": (1, 1.5, 2)}),
        ("model.depth=range(1,4)", {"values": (1, 2, 3)}),
        ("model.init_bias=true,false", {"values": (True, False)}),
        ("model.stn_size=[32,32],[48,64]", {"values": ("[32,32]", "[48,64]")}),
        ("reg.position_weights=[],[2,1]", {"values": ("[]", "[2,1]")}),
    ],
)
def test_a_space_is_read(word: str, expected: dict[str, object]) -> None:
    made = dimension(word)
    assert {name: getattr(made, name) for name in expected} == expected


def test_a_plain_word_is_no_space() -> None:
    words = ["lr=1e-3", "model=mlp", "model.widths=[3,4]", "out='a,b'", "name='(1,2)'"]
    assert space.split(words) == ({}, words)


def test_keys_of_other_choices_know_whose_they_are() -> None:
    texts, _ = space.split(["optim=adam,sgd", "optim.momentum=(0,0.9)", "reg.l2=log(1e-6,1e-2)"])
    made = {d.key: d.owners for d in space.read(texts, CHOSEN).dimensions}
    assert made["optim.momentum"] == {"sgd", "rmsprop", "muon"}
    assert made["reg.l2"] == frozenset(), "every preset of reg has all of its keys"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("lr=log(0,1)", "a logarithmic range begins above 0"),
        ("lr=log(1e-4,1e-2,10)", "a logarithmic range begins above 0 and has no step"),
        ("lr=(1e-2,1e-4)", "0.01 is not below 0.0001"),
        ("lr=(1,2,3,4)", "is not a range"),
        ("lr=(a,b)", "is not a range"),
        ("epochs=(1.5,3)", "epochs is an integer"),
        ("lr=(0,1,2)", "the step 2 does not fit"),
        ("lr=1e-3,1e-3", "a single value"),
        ("lr=interval(0,1)", "is not a space"),
        ("init_from=(1,2)", "init_from has no numbers to draw from"),
        ("seed=0,1", "seed cannot be searched"),
        ("trials=10,20", "trials cannot be searched"),
        ("data=synth,svhn", "trials are compared on the same images"),
        ("split.k=(3,5)", "trials are compared on the same images"),
        ("reg.dropuot=(0,0.5)", "unknown key 'reg.dropuot'"),
    ],
)
def test_a_wrong_space_is_refused(word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dimension(word)


def test_a_key_has_one_space_or_one_value() -> None:
    with pytest.raises(UsageError, match="lr has two spaces"):
        space.split(["lr=(1,2)", "lr=1,2"])
    with pytest.raises(UsageError, match="lr has a value and a space"):
        space.split(["lr=(1,2)", "lr=1"])


def test_a_file_lists_spaces_as_text_or_as_lists() -> None:
    file = {
        "lr": "log(1e-4, 1e-2)",
        "optim": ["adam", "sgd"],
        "reg": {"dropout": "(0, 0.5)"},
        "model.depth": [1, 2],
    }
    assert space.texts_of(file) == {
        "lr": "log(1e-4, 1e-2)",
        "optim": "adam,sgd",
        "reg.dropout": "(0, 0.5)",
        "model.depth": "1,2",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no space is named"),
        (["reg.dropout=(0,1.5)"], "reg.dropout=1.5: must be 0 or more, below 1"),
        (["optim=adam,sdg"], "did you mean 'sgd'?"),
        (["space=nope"], "choose from: augmentation, regularisation, small"),
        (["lr=(1,2)", "sampler=grid"], "has no step, which sampler=grid needs"),
        (["lr=(1,2)", "pruner=wilcoxon"], "add split=kfold"),
        (["lr=(1,2)", "pruner=asha", "split=kfold"], "choose wilcoxon or none"),
        (["lr=(1,2)", "storage=nonsense"], "storage=nonsense cannot be used"),
        (["space=small", "-m"], "jobs=N runs N side by side"),
        (["--resume", "nowhere"], "'nowhere' is not a study"),
    ],
)
def test_mistakes_are_refused_before_anything_is_touched(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert cli.main(["tune", *words]) in (2, 4)
    out, err = capsys.readouterr()
    assert message in err
    assert not out
    assert not (folder / "outputs").exists(), "no folder is left"


@pytest.mark.parametrize("name", ["small", "regularisation", "augmentation"])
def test_a_shipped_space_fits_the_default_config(name: str) -> None:
    config = hydra_app.composed("tune", [], [f"space={name}"])
    read = space.read(space.texts_of(config.space), {**CHOSEN, "schedule": "cosine"})
    assert len(read.dimensions) > 2
    *_, last = [*read.probes()]
    hydra_app.composed("tune", [], words(last))
