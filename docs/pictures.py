"""Makes the images of the README: python docs/pictures.py [strip] [terminal] [report] [drawn=RUN]

It trains `experiment=quick`, takes a minute or two, and needs svhn installed; the report also needs chromium.
`drawn` needs no training but a run of `experiment=tianchi`.
The times that the images show are real, so run it on a quiet machine, or on one core with taskset.
Everything is made with the command line alone, in a temporary folder.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

IMAGES = Path(__file__).resolve().parent / "images"
TRAIN = ("train", "experiment=quick")
WIDTH = 1000
"""Of the strip and the report, in pixels."""
CARD, GREY, RED = (41, 41, 41), (197, 200, 198), (255, 96, 82)
"""The background, that of the terminal, and the text on it."""
SHADES = 8


def svhn(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
    """Run a command in the temporary folder; it must end well."""
    return subprocess.run([sys.executable, "-m", "svhncli", *words], check=True, text=True, **more)


def train() -> str:
    """Train, and return what stood on the terminal: progress as plain lines, then the table in colour.

    Standard output is a terminal and standard error is not, so there are no progress bars that come and go.
    """
    import pty

    svhn(*TRAIN, "epochs=1", "report=false", "hydra.run.dir=warm", capture_output=True)  # renders the data
    control, terminal = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    with subprocess.Popen(
        [sys.executable, "-m", "svhncli", *TRAIN], stdout=terminal, stderr=subprocess.PIPE, text=True, env=env
    ) as process:
        os.close(terminal)
        assert process.stderr is not None
        progress = process.stderr.read()
        table = b""
        while True:
            try:
                if not (piece := os.read(control, 65536)):
                    break
            except OSError:  # the other end was closed
                break
            table += piece
    os.close(control)
    assert process.returncode == 0, progress
    return progress + table.decode().replace("\r\n", "\n")


# ----------------------------------------------------------------------------- the strip


def strip() -> Image.Image:
    """A row of rendered photographs, two rows of crops, and under each crop what was predicted."""
    photographs = rendered()
    svhn("render", "layout=mat", "part=test", "out=crops")
    svhn("predict", "latest", "crops/test_32x32.mat", "out=read.csv")
    gap, height, side, columns, text = 8, 84, 73, 12, 34
    inside = WIDTH - 2 * gap
    sheet = Image.new("RGB", (WIDTH, height + 3 * gap + 2 * (side + text)), CARD)
    paste_row(sheet, photographs, height, gap, gap)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(26)
    step = (inside - side) / (columns - 1)
    for number, (image, label, prediction) in enumerate(crops(2 * columns)):
        x = round(gap + number % columns * step)
        y = height + 2 * gap + number // columns * (side + text)
        sheet.paste(image.resize((side, side), Image.Resampling.BICUBIC), (x, y))
        colour = GREY if prediction == label else RED
        pen.text((x + side / 2, y + side + text / 2 - 2), prediction, colour, font, anchor="mm")
    return sheet


def rendered() -> list[Path]:
    """Photographs that are not too small, from a part that no training sees."""
    svhn("render", "layout=mchar", "part=val", "out=photos", "data.n_test=120", "data.n_train=20")
    files = [
        Path("photos/mchar_val", name)
        for name in sorted(json.loads(Path("photos/mchar_val.json").read_text()))
    ]
    return [file for file in files if Image.open(file).height >= 48]


def paste_row(sheet: Image.Image, files: list[Path], height: int, top: int, gap: int) -> None:
    """Paste the first images that fit into a row, and take them from the list."""
    row: list[Image.Image] = []
    left = float(gap)
    for file in list(files):
        image = Image.open(file).convert("RGB")
        across = round(image.width * height / image.height)
        if left + sum(other.width + gap for other in row) + across <= sheet.width - gap:
            row.append(image.resize((across, height), Image.Resampling.LANCZOS))
            files.remove(file)
    # the gaps take what is left of the row
    spare = (sheet.width - 2 * gap - sum(image.width for image in row)) / (len(row) - 1)
    for image in row:
        sheet.paste(image, (round(left), top))
        left += image.width + spare


def drawn(run: Path) -> Image.Image:
    """Two rows of rendered photographs, with the boxes and numbers that a network predicts."""
    names = [file.name for file in rendered()]
    svhn("predict", str(run), "photos/mchar_val", "draw=boxes", "out=boxes.csv")
    files, gap, height = [Path("boxes", name) for name in names], 8, 170
    sheet = Image.new("RGB", (WIDTH, 2 * height + 3 * gap), "white")
    for number in range(2):
        paste_row(sheet, files, height, gap + number * (height + gap), gap)
    return sheet


def crops(count: int) -> list[tuple[Image.Image, str, str]]:
    """The first crops of the test part: the image, what it shows, and what the network made of it."""
    from scipy.io import loadmat

    file = loadmat("crops/test_32x32.mat")
    labels = [str(label % 10) for label in file["y"].ravel()[:count].tolist()]
    with Path("read.csv").open(newline="") as table:
        predictions = [row["prediction"] for row in csv.DictReader(table)][:count]
    images = [Image.fromarray(file["X"][..., i]) for i in range(count)]
    return list(zip(images, labels, predictions, strict=True))


# ----------------------------------------------------------------------------- the terminal


def terminal(text: str) -> str:
    """What stood on the terminal, as an SVG that loads nothing from elsewhere."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "green"), ("svhn " + " ".join(TRAIN), "bold")))
    for line in text.rstrip("\n").split("\n"):
        console.print(Text.from_ansi(line.rstrip()), soft_wrap=True, highlight=False)
    console.print()  # or the last line would lose its underscores
    svg = console.export_svg(title="svhn", unique_id="svhn")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!-- .*? -->\s*", "", svg)
    return svg.replace("Fira Code, monospace", "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace")


# ----------------------------------------------------------------------------- the report


def report(page: Path, dark: bool) -> Image.Image:
    """Two parts of the report, side by side: scores and diagnosis; the confusion matrix and the mistakes."""
    gap, height = 24, 1000
    panels = [
        shot(page, dark, ("summary", "diagnosis"), height),
        shot(page, dark, ("confusion", "mistakes"), height),
    ]
    sheet = Image.new("RGB", (sum(panel.width for panel in panels) + gap, height), panels[0].getpixel((0, 0)))
    left = 0
    for panel in panels:
        sheet.paste(panel, (left, 0))
        left += panel.width + gap
    return faded(sheet)


def faded(image: Image.Image, rows: int = 90) -> Image.Image:
    """The same image, whose last rows turn into its background, to show that the page goes on."""
    plain = Image.new("RGB", image.size, image.getpixel((0, 0)))
    ramp = Image.linear_gradient("L").resize((image.width, rows))
    mask = Image.new("L", image.size, 0)
    mask.paste(ramp, (0, image.height - rows))
    return Image.composite(plain, image, mask)


def shot(page: Path, dark: bool, sections: tuple[str, ...], height: int) -> Image.Image:
    """The page with only some of its sections, as a browser shows it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("chromium is not installed; python docs/pictures.py strip terminal works without it")
    others = "".join(f":not(#{name})" for name in sections)
    top = "" if "summary" in sections else "header, "
    hidden = f"{top}nav, section{others}, #confusion h3, #confusion h3 ~ * {{display: none}}"
    part = page.with_name("part.html")
    part.write_text(page.read_text().replace("</head>", f"<style>{hidden}</style></head>"))
    words = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--screenshot=shot.png")
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    size = f"--window-size=640,{height}"
    subprocess.run([browser, *words, scheme, size, part.as_uri()], check=True, capture_output=True)
    return Image.open("shot.png").convert("RGB")


# ----------------------------------------------------------------------------- all of them


def few_colours(image: Image.Image, *texts: tuple[int, int, int]) -> Image.Image:
    """The same image with a palette of 256 colours, so that its file is small.

    texts: colours of text on the card, whose edges would otherwise be speckled.
    """
    found = image.quantize(256 - SHADES * len(texts), dither=Image.Dither.NONE)
    if not texts:
        return found
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(found.getpalette() or []), *(value for text in texts for value in ramp(text))])
    return image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def ramp(colour: tuple[int, int, int]) -> list[int]:
    """Shades from the card to a colour of its text."""
    steps = [number / (SHADES - 1) for number in range(SHADES)]
    return [round(a + (b - a) * step) for step in steps for a, b in zip(CARD, colour, strict=True)]


def main(names: list[str]) -> None:
    IMAGES.mkdir(exist_ok=True)
    runs = [Path(name.removeprefix("drawn=")).resolve() for name in names if name.startswith("drawn=")]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for run in runs:
            few_colours(drawn(run)).save(IMAGES / "drawn.png", optimize=True)
        if len(runs) == len(names):
            return
        text = train()
        (run,) = Path(folder, "outputs", "train").iterdir()
        if "strip" in names:
            few_colours(strip(), GREY, RED).save(IMAGES / "strip.png", optimize=True)
        if "terminal" in names:
            (IMAGES / "terminal.svg").write_text(terminal(text))
        if "report" in names:
            for name, dark in (("report", False), ("report-dark", True)):
                few_colours(report(run / "report.html", dark)).save(IMAGES / f"{name}.png", optimize=True)
        os.chdir(IMAGES)


if __name__ == "__main__":
    main(sys.argv[1:] or ["strip", "terminal", "report"])
