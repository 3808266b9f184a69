"""Networks that predict whole numbers from photographs: how fast they train and predict.

    python benchmarks/readers.py [--rounds 3] [--threads 1 2]

Each network is that of `experiment=tianchi` or differs from it as named. It trains for an epoch on a few
rendered photographs, which makes a checkpoint and an ONNX file. Then steps of training, predictions in
batches, and predictions of a single photograph by ONNX Runtime on one core are timed in turn, on photographs
in memory.

Prints a Markdown table: parameters, megabytes of the ONNX file, images per second of training and of
predicting for each number of threads, and milliseconds for a photograph; lowest and highest of the rounds.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from command import argument_parser, run_json, value_range

from svhncli import registry
from svhncli.data.split import Fold
from svhncli.engine import device
from svhncli.engine.batches import Batches
from svhncli.engine.forward import EVAL_BATCH, logits
from svhncli.engine.step import train_step
from svhncli.evaluation import trained
from svhncli.report.terminal import Show
from svhncli.training.assembly import assemble

TRANSFORMER = ("model.stn=true", "model.stn_size=[48,64]")
CNN = ("model=cnn", *TRANSFORMER, "model.depth=2", "model.hidden=512", "reg.dropout=0.2", "optim=adam")
ALONE = ("model.stn=false", "model.stn_size=[]", "reg.box_loss=0")
SMALL = ("data.height=64", "data.width=128", "data.fit=stretch")
NETWORKS = {
    "cnn behind a transformer that learns from labels, 64×128": (*CNN, *SMALL, "reg.box_loss=0"),
    "the same, learning from boxes": (*CNN, *SMALL),
    "and `model.reader=columns`": (*CNN, *SMALL, "model.reader=columns"),
    "spotter alone, 64×128": (*SMALL, *ALONE),
    "spotter alone, 128×256": ALONE,
    "spotter behind a transformer, 128×256 (`tianchi`)": (),
    "the same, wider, and 64×96 pixels for the spotter (`tianchi_long`)": (
        "model.width=1.5",
        "model.stn_size=[64,96]",
    ),
}
COUNT, BATCH, STEPS = 256, 128, 4


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photographs = Path(folder, "mchar")
        run_json("render", "layout=mchar", f"data.n_train={COUNT}", "data.n_test=20", f"out={photographs}")
        timed, rows = {}, {}
        common = ("experiment=tianchi", f"data.root={photographs}", "epochs=1", "report=false", "test=false")
        for number, (name, words) in enumerate(NETWORKS.items()):
            run, exported = Path(folder, str(number)), Path(folder, f"{number}-exported")
            run_json("train", *common, *words, f"out={run}")
            run_json("export", str(run), f"out={exported}")
            onnx = exported / "model.onnx"
            parameters = trained.load(run / "best.pt").network.parameters()
            rows[name] = [f"{sum(map(torch.numel, parameters)):,}", f"{onnx.stat().st_size / 1e6:.1f}"]
            timed[name] = measures(run, onnx, args.threads)
        taken: dict[tuple[str, str], list[float]] = {}
        for _ in range(args.rounds):
            for name, functions in timed.items():
                for what, function in functions.items():
                    taken.setdefault((name, what), []).append(function())
    columns = list(next(iter(timed.values())))
    print("| network | parameters | MB |", " | ".join(columns), "|")
    print("|---|", "---:|" * (2 + len(columns)), sep="")
    for name, cells in rows.items():
        speeds = [value_range(taken[name, what], ".1f" if "ms" in what else ".0f") for what in columns]
        print("|", " | ".join([name, *cells, *speeds]), "|")


def measures(run: Path, onnx: Path, threads: list[int]) -> dict[str, Callable[[], float]]:
    """What is timed of a trained network; each call measures once."""
    loaded = trained.load(run / "best.pt")
    config, preprocess = loaded.config, loaded.preprocess
    data = registry.data(config.data, config.split, None, lambda *_, **__: None, preprocess.framing)
    machine, rows = device.resolve("cpu", "auto", 1), np.arange(len(data.train))
    device.prepare(machine)  # as every command does: it keeps the memory that is freed
    fold = Fold("all", rows, rows[:8])
    batches = Batches(data.train, rows, machine.device, preprocess.framing)
    plan, state = assemble(config, machine, data, fold, batches, Show())
    batch, images = batches.take(rows[:BATCH]), batches.take(rows).images
    session = onnxruntime.InferenceSession(str(onnx), one_core())
    photograph = {session.get_inputs()[0].name: images[:1].numpy()}

    def training() -> float:
        state.model.train()
        return STEPS * BATCH / seconds(lambda: [train_step(plan, state, batch) for _ in range(STEPS)])

    def predicting() -> float:
        network = state.model.eval()
        parts = images.split(EVAL_BATCH)
        return COUNT / seconds(lambda: [logits(network, part, preprocess, machine) for part in parts])

    def single() -> float:
        return 1000 * statistics.median(seconds(lambda: session.run(None, photograph)) for _ in range(30))

    found: dict[str, Callable[[], float]] = {}
    for count in threads:
        found[f"trains, threads={count}"] = with_threads(count, training)
        found[f"predicts, threads={count}"] = with_threads(count, predicting)
    return found | {"ONNX, ms": single}


def one_core() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def with_threads(count: int, function: Callable[[], float]) -> Callable[[], float]:
    def measured() -> float:
        torch.set_num_threads(count)
        return function()

    return measured


def seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
