"""Every command that the README and docs/ show works. Each page starts in a folder of its own."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from doc_pages import PAGES, blocks, examples, name
from PIL import Image
from scipy.io import savemat

from svhncli.cli.main import main
from svhncli.data.formats import hub_parquet
from svhncli.data.render.world import STREET, load

TRAINS = ("train", "check", "lr-find", "learning-curve")
ON_FILES = {
    "data=svhn",
    "data=mix",
    "data=folder",
    "data=arrays",
    "data=mchar",
    "data=parquet",
    "experiment=finetune_small",
    "experiment=tianchi",
}
"""Words that choose data lying in the page's folder, which is small already."""
LAUNCHER = ("hydra/launcher=", "hydra.launcher.")
"""How words begin that need an extra, and most of them a cluster."""
FACTORS = list(load(STREET).factors)


def smaller(words: list[str]) -> list[str]:
    """The same command on little data, with one thread and a small network."""
    verb = words[0]
    if verb == "render":
        few = [f"data.without=[{','.join(FACTORS[2:])}]"] if "sheet=true" in words else []  # a sheet for each
        return [*words, *few, "data.size=16", "data.n_train=60", "data.n_test=30"]
    if verb == "inspect":
        return [*words, "data.check_md5=false"] if "data=svhn" in words else words
    if verb == "human":
        return [*words, "data.n_train=100", "data.n_test=0"]
    if verb == "tune":
        few = [word for word in words if not word.startswith(("trials=", "repeats=", "model.width="))]
        few += ["jobs=1", "repeats=1", "report=false"]
        if "--resume" in words:
            return [*few, "trials=2", "finalists=1"]
        small = ["model=linear", "data.n_train=100", "data.n_test=30", "threads=1", "epochs=1"]
        return [*few, "trials=1", "finalists=0", *small]
    if "--resume" in words:
        return [word for word in words if not word.startswith(("jobs=", *LAUNCHER))]
    if verb == "predict":  # a network that was hardly trained reaches no high accuracy
        return [re.sub(r"^coverage=.*", "coverage=0.01", word) for word in words]
    if verb not in TRAINS:
        return words
    shrunk = [re.sub(r"^(epochs|model\.width)=\d+$", r"\1=1", word) for word in words]
    fewest = "repeats=1" if verb == "learning-curve" else "repeats=2"
    shrunk = [re.sub(r"^repeats=\d+$", fewest, word) for word in shrunk]
    shrunk = [re.sub(r"^split\.k=3$", "split.k=2", word) for word in shrunk]
    shrunk = [re.sub(r"^split\.fold=0,1,2$", "split.fold=0,1", word) for word in shrunk]
    shrunk = [word.replace("range(0,3)", "range(0,2)") for word in shrunk]
    # without a launcher, it is a sweep like those before it
    if "model=cnn,mlp" in words or any(word.startswith(LAUNCHER) for word in words):
        shrunk = [re.sub(r"^lr=(\S+?),.*", r"lr=\1", word) for word in shrunk]
    # a process takes longer to start than such a run takes; tests/training starts some
    shrunk = [word for word in shrunk if not word.startswith("jobs=")]
    shrunk = [word for word in shrunk if not word.startswith(LAUNCHER)]
    if verb in ("train", "learning-curve"):
        shrunk.append("jobs=1")
    if verb == "train":
        shrunk.append("report=false")
    # a network of two epochs suspects the labels of whole classes
    few = "few_photos.txt" if "data.root=photos" in words else "few.txt"
    shrunk = [re.sub(r"^data\.exclude=.*", f"data.exclude={few}", word) for word in shrunk]
    if "experiment=tianchi" in words:
        shrunk += ["model.width=0.25", "data.height=32", "data.width=64"]
    if "data.root=photos" in words:
        shrunk.append("split.k=2")
    is_cnn = not any(word.startswith(("model=", "experiment=")) for word in words) or "model=cnn" in words
    if is_cnn or {"data.root=photos", "out=outputs/renders"} & {*words}:
        shrunk.append("model.width=0.25")
    if "model=wide_resnet" in words:
        shrunk = [word for word in shrunk if not word.startswith("model.depth")]
        shrunk += ["model.depth=10", "model.width=1"]
    if {"data=svhn", "data=mix"} & {*words}:
        shrunk.append("data.check_md5=false")
    elif not ON_FILES & {*words}:
        shrunk.append("data.n_train=100")
    if "data=mix" in words:
        shrunk.append("data.n_rendered=100")
    if "data=synth_full" in words:
        shrunk.append("data.n_test=30")
    if verb == "check":
        shrunk.append("check.steps=20")
    if verb == "lr-find":
        shrunk.append("steps=20")
    if not any(word.startswith("threads=") for word in words):
        shrunk.append("threads=1")
    if not any(word.startswith("epochs=") for word in words) and verb != "learning-curve":
        shrunk.append("epochs=1")
    return [*shrunk, "debug=fast", "device=cpu"]


def write_arrays(folder: Path, draw: np.random.Generator) -> None:
    """An .npz, and the Hub's two data sets."""
    images, labels = draw.integers(0, 256, (120, 32, 32, 3), dtype=np.uint8), np.arange(120) % 10
    np.savez(folder / "svhn.npz", x_train=images, y_train=labels, verified_train=labels)
    rows = [(png(image), "", (label,), ()) for image, label in zip(images, labels.tolist(), strict=True)]
    for kind in ("cropped_digits", "full_numbers"):
        (folder / "svhn-hub" / kind).mkdir(parents=True)
    hub_parquet.write(folder / "svhn-hub/cropped_digits/train-0.parquet", rows, boxed=False)
    boxed = [(image, name, label, ((2.0, 2.0, 20.0, 30.0),)) for image, name, label, _ in rows]
    hub_parquet.write(folder / "svhn-hub/full_numbers/train-0.parquet", boxed, boxed=True)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def page_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which files of the official layout, and images, lie where the pages look for them."""
    (tmp_path / "data" / "svhn").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for part, count in (("train", 120), ("test", 40)):
        savemat(
            tmp_path / "data" / "svhn" / f"{part}_32x32.mat",
            {
                "X": draw.integers(0, 256, (32, 32, 3, count), dtype=np.uint8),
                "y": draw.integers(1, 11, (count, 1)),
            },
        )
    write_arrays(tmp_path / "data", draw)
    (tmp_path / "digits").mkdir()
    for file in ("a", "b"):
        Image.fromarray(draw.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(
            tmp_path / f"digits/{file}.png"
        )
    for digit, meter in ((digit, meter) for digit in range(10) for meter in range(6)):
        file = tmp_path / "photos" / str(digit) / f"meter{10 * meter + digit:02}_a.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(file)
    (tmp_path / "few_photos.txt").write_text("# none of these images has a wrong label\n")
    shutil.copytree(tmp_path / "digits", tmp_path / "new")
    (tmp_path / "my_world.yaml").write_text("plate: {chance: 1}\n")
    (tmp_path / "few.txt").write_text("train/3\ntrain/5\n")
    (tmp_path / "my_fonts").mkdir()
    shutil.copy(
        Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf"),
        tmp_path / "my_fonts" / "Mine.ttf",
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)], ids=name)
def test_the_examples_of_a_page_run_in_order(
    page_folder: Path, quick_checks: None, capsys: pytest.CaptureFixture[str], page: Path
) -> None:
    for example in examples(page):
        codes = (0, 8) if example.words[0] == "check" else (0,)  # so little data cannot pass every check
        code = main(smaller(example.words))
        assert code in codes, f"{example}\nexit code {code}\n{capsys.readouterr().err}"


def test_every_feature_has_an_example() -> None:
    lines = [" ".join(example.words) for page in PAGES for example in examples(page)]
    for command in (
        "train model=cnn optim=adam lr=3e-4",
        "train -m",
        "--resume",
        "init_from",
        "split=kfold",
        "eval",
        "compare",
        "inspect latest",
        "predict",
        "export",
        "experiment=tianchi",
    ):
        assert any(command in line for line in lines), command


def test_every_verb_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    verbs = re.findall(r"^  ([a-z-]+)(?: |$)", capsys.readouterr().out.split("examples")[0], re.MULTILINE)
    shown = {example.words[0] for page in PAGES for example in examples(page)}
    assert len(verbs) > 15
    assert set(verbs) - shown == {"help", "completion"}  # they only print text and are described in prose


def test_every_svhn_command_is_in_a_block_that_is_run() -> None:
    for page in PAGES:
        for kind, text in blocks(page):
            assert kind == "sh" or not re.search(r"^\s*(\$ )?svhn ", text, re.MULTILINE), name(page)
