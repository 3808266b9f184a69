"""Every key of every config: type, default, range and one line of meaning.

Hydra composes YAML and overrides, `from_dict` makes these dataclasses of it, `rules.validate` checks ranges;
after that the rest of the tool sees plain typed Python. The command line's help is generated from here, too.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any

from svhncli.errors import UsageError
from svhncli.rules import UNSET, closest, key, typed

# ----------------------------------------------------------------------------- data


@dataclass
class Rendered:
    """What all rendered pictures share."""

    world: str | None = key(None, "a YAML that changes the renderer's distributions (see svhn render)")
    without: list[str] = key([], "the renderer's factors to leave out, such as [shadow, plate]")
    fonts: str | None = key(None, "folder of fonts of yours, drawn in addition to the installed ones")


@dataclass
class Synth(Rendered):
    """Street-number digits rendered from fonts: the embedded data, nothing to download."""

    name: str = key("synth", "the data source")
    n_train: int = key(40_000, "rendered training pictures", low=20)
    n_test: int = key(4_000, "rendered test pictures; 0 leaves the test part out", low=0)
    size: int = key(32, "side of a picture in pixels", low=16, high=128)
    seed: int = key(0, "which pictures are rendered; independent of the run's seed", low=0)
    fresh: bool = key(False, "every epoch after the first trains on newly rendered pictures")


@dataclass
class Svhn:
    """The official cropped digits: train_32x32.mat, test_32x32.mat and optionally extra_32x32.mat."""

    name: str = key("svhn", "the data source")
    root: str = key("data/svhn", "folder that holds the .mat files, or where they are downloaded to")
    extra: str = key(
        "none",
        "the extra part: unused, more training, or the validation part",
        choices=("none", "train", "val"),
    )
    download: bool = key(True, "fetch files that are missing")
    check_md5: bool = key(True, "insist on the official files; false takes your own files of the same layout")


@dataclass
class Mix(Svhn, Rendered):
    """The pictures of data=svhn, with rendered ones beside them that only train, never validate or test."""

    name: str = key("mix", "the data source")
    share: float = key(0.5, "how much of each training batch is rendered", low=0, below=1)
    n_rendered: int = key(20_000, "rendered training pictures, of the real ones' size", low=20)
    seed: int = key(0, "which pictures are rendered; independent of the run's seed", low=0)
    fresh: bool = key(False, "every epoch after the first draws newly rendered pictures")


@dataclass
class Photographs:
    """What photographs of whole numbers share: which part of them is seen, in how many pixels."""

    height: int = key(64, "rows of pixels that the network sees", low=8, high=1024)
    width: int = key(128, "columns of pixels that the network sees", low=8, high=1024)
    crop: str = key(
        "whole", "what is seen: the whole photograph, or its digits' boxes", choices=("whole", "boxes")
    )
    widen: float = key(
        0.15, "crop=boxes: share of their width and height that is added at each side", low=0, high=4
    )
    jitter: float = key(
        0.1, "crop=boxes: how far the view moves in training, as a share of its sides", low=0, high=1
    )


@dataclass
class Files(Photographs):
    """What photographs in files share."""

    skip_broken: bool = key(False, "leave out pictures that are missing or cannot be read")


@dataclass
class SynthFull(Photographs, Rendered):
    """Photographs of whole street numbers, rendered: sizes, lengths and boxes as the real ones have them."""

    name: str = key("synth_full", "the data source")
    n_train: int = key(20_000, "rendered training photographs", low=20)
    n_test: int = key(2_000, "rendered test photographs; 0 leaves the test part out", low=0)
    seed: int = key(0, "which photographs are rendered; independent of the run's seed", low=0)
    crop: str = key(
        "boxes", "what is seen: the whole photograph, or its digits' boxes", choices=("whole", "boxes")
    )


@dataclass
class SvhnFull(Files):
    """The official whole numbers (format 1): train.tar.gz, test.tar.gz, extra.tar.gz or their folders."""

    name: str = key("svhn_full", "the data source")
    root: str = key("data/svhn_full", "folder that holds the archives or folders, or where they are put")
    extra: str = key(
        "none",
        "the extra part: unused, more training, or the validation part",
        choices=("none", "train", "val"),
    )
    download: bool = key(True, "fetch archives that are missing; false for files of your own")
    crop: str = key(
        "boxes", "what is seen: the whole photograph, or its digits' boxes", choices=("whole", "boxes")
    )


@dataclass
class Mchar(Files):
    """The Tianchi street-character contest: mchar_train/, mchar_train.json, mchar_val/, mchar_val.json."""

    name: str = key("mchar", "the data source")
    root: str = key("data/mchar", "folder that holds the contest's files")


@dataclass
class Folder(Files):
    """Pictures of yours: class folders 0 to 9 or a labels.csv, also in train/, test/ and val/."""

    name: str = key("folder", "the data source")
    root: str = key("data/folder", "folder that holds the pictures")
    height: int = key(32, "rows of pixels that the network sees", low=8, high=1024)
    width: int = key(32, "columns of pixels that the network sees", low=8, high=1024)


# ----------------------------------------------------------------------------- split


@dataclass
class Holdout:
    """One validation part, drawn at random."""

    name: str = key("holdout", "the split")
    fraction: float = key(0.1, "share of the training part that validates", above=0, below=1)
    stratify: bool = key(True, "keep the class shares equal on both sides")
    seed: int | None = key(None, "which draw; null follows the run's seed", low=0)


@dataclass
class Kfold:
    """k runs; every picture validates once."""

    name: str = key("kfold", "the split")
    k: int = key(5, "number of folds", low=2)
    repeats: int = key(1, "repeat with another partition", low=1)
    fold: int | None = key(None, "train this fold alone (counted from 0); null trains all", low=0)
    stratify: bool = key(True, "keep the class shares equal in every fold")
    seed: int | None = key(None, "which partition; null follows the run's seed", low=0)


@dataclass
class Bootstrap:
    """n runs, each trained on a resample; what was not drawn (out of bag) validates."""

    name: str = key("bootstrap", "the split")
    n: int = key(20, "number of replicates", low=1)
    seed: int | None = key(None, "which resamples; null follows the run's seed", low=0)


@dataclass
class Official:
    """A validation part that the data set brings, or a file that you name."""

    name: str = key("official", "the split")
    file: str | None = key(None, "a .mat of the cropped layout that validates (data=svhn)")


@dataclass
class Ordered:
    """The last pictures validate: for data with time in it."""

    name: str = key("ordered", "the split")
    fraction: float = key(0.1, "share at the end that validates", above=0, below=1)


# ----------------------------------------------------------------------------- model


@dataclass
class Network:
    """What all networks share."""

    stn: bool = key(False, "a spatial transformer in front (Jaderberg et al. 2015)")


@dataclass
class Linear(Network):
    """Softmax regression on pixels; degree 2 adds polynomial features."""

    name: str = key("linear", "the network")
    degree: int = key(1, "2 adds all products of pairs of pixels of a pooled grey picture", low=1, high=2)
    pool: int = key(8, "side of the pooled picture that degree 2 multiplies", low=2, high=16)


@dataclass
class Mlp(Network):
    """Fully connected layers with ReLU."""

    name: str = key("mlp", "the network")
    widths: list[int] = key([512, 256], "units of each hidden layer", low=1)


@dataclass
class Cnn(Network):
    """The default: a small convolutional network with batch normalisation, about 0.3M parameters."""

    name: str = key("cnn", "the network")
    width: float = key(1.0, "multiplies the channels of every layer", above=0, high=16)


@dataclass
class Datawhale(Network):
    """The two-block strided network of the Datawhale street-character article."""

    name: str = key("datawhale", "the network")


@dataclass
class Resnet(Network):
    """What torchvision's residual networks share."""

    pretrained: bool = key(False, "start from ImageNet weights (downloaded by torchvision)")
    small_stem: bool = key(True, "3x3 stem without the first pool, for pictures up to 64 pixels")


@dataclass
class Resnet18(Resnet):
    """torchvision's ResNet-18 (He et al. 2016)."""

    name: str = key("resnet18", "the network")


@dataclass
class Resnet34(Resnet):
    """torchvision's ResNet-34 (He et al. 2016)."""

    name: str = key("resnet34", "the network")


@dataclass
class Resnet50(Resnet):
    """torchvision's ResNet-50 (He et al. 2016), of bottleneck blocks."""

    name: str = key("resnet50", "the network")


@dataclass
class WideResnet(Network):
    """Wide residual network (Zagoruyko & Komodakis 2016)."""

    name: str = key("wide_resnet", "the network")
    depth: int = key(16, "layers: 6n + 4, such as 16 or 28", low=10)
    width: int = key(8, "channels are this many times those of a ResNet", low=1)


# ----------------------------------------------------------------------------- optim


@dataclass
class Optim:
    """What all optimisers share."""

    clip: float = key(0.0, "largest norm of the gradient; 0 does not clip", low=0)
    decay_norm_and_bias: bool = key(False, "apply weight decay to norm layers and biases as well")


@dataclass
class Sgd(Optim):
    """Stochastic gradient descent with (Nesterov) momentum."""

    name: str = key("sgd", "the optimiser")
    momentum: float = key(0.9, "momentum", low=0, below=1)
    nesterov: bool = key(True, "Nesterov's look-ahead")
    weight_decay: float = key(5e-4, "weight decay; for SGD the same as an L2 penalty", low=0)


@dataclass
class Adam(Optim):
    """Adam (Kingma & Ba 2015); its weight decay is added to the gradient."""

    name: str = key("adam", "the optimiser")
    beta1: float = key(0.9, "decay of the gradient's mean", low=0, below=1)
    beta2: float = key(0.999, "decay of the squared gradient's mean", low=0, below=1)
    eps: float = key(1e-8, "added to the denominator", above=0)
    weight_decay: float = key(0.0, "added to the gradient (not decoupled)", low=0)


@dataclass
class Adamw(Optim):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: str = key("adamw", "the optimiser")
    beta1: float = key(0.9, "decay of the gradient's mean", low=0, below=1)
    beta2: float = key(0.999, "decay of the squared gradient's mean", low=0, below=1)
    eps: float = key(1e-8, "added to the denominator", above=0)
    weight_decay: float = key(0.01, "decoupled from the gradient, multiplied by lr", low=0)


@dataclass
class Rmsprop(Optim):
    """RMSprop (Tieleman & Hinton 2012)."""

    name: str = key("rmsprop", "the optimiser")
    alpha: float = key(0.99, "decay of the squared gradient's mean", low=0, below=1)
    eps: float = key(1e-8, "added to the denominator", above=0)
    momentum: float = key(0.0, "momentum", low=0, below=1)
    weight_decay: float = key(0.0, "added to the gradient", low=0)


# ----------------------------------------------------------------------------- schedule


@dataclass
class Schedule:
    """What all schedules share."""

    warmup: float = key(0.0, "epochs in which lr rises linearly from near 0 at the start", low=0)


@dataclass
class Constant(Schedule):
    """lr stays as it is."""

    name: str = key("constant", "the schedule")


@dataclass
class Cosine(Schedule):
    """lr falls along half a cosine to the end (Loshchilov & Hutter 2017)."""

    name: str = key("cosine", "the schedule")
    final: float = key(0.0, "share of lr that is left at the end", low=0, high=1)


@dataclass
class OneCycle(Schedule):
    """lr rises to its peak and falls to almost nothing (Smith & Topin 2019); momentum is not cycled."""

    name: str = key("one_cycle", "the schedule")
    peak: float = key(0.3, "share of the run after which lr is at its peak", above=0, below=1)
    start_div: float = key(25.0, "it starts at the peak divided by this", low=1)
    end_div: float = key(1e4, "and ends at the peak divided by this", low=1)


@dataclass
class Step(Schedule):
    """lr is multiplied by gamma every few epochs."""

    name: str = key("step", "the schedule")
    every: int = key(10, "epochs between two drops", low=1)
    at: list[int] = key([], "epochs after which lr drops, such as [80, 120]; they replace every", low=1)
    gamma: float = key(0.1, "factor of a drop", above=0, high=1)


@dataclass
class Plateau(Schedule):
    """lr is multiplied by gamma when the validation loss stops falling."""

    name: str = key("plateau", "the schedule")
    gamma: float = key(0.1, "factor of a drop", above=0, below=1)
    patience: int = key(3, "epochs without a better validation loss before a drop", low=0)
    threshold: float = key(1e-4, "relative fall that counts as better", low=0, below=1)
    min_factor: float = key(1e-4, "lr never falls below this share of its start", low=0, high=1)


# ----------------------------------------------------------------------------- regularisation


@dataclass
class Augment:
    """Random changes of the training pictures, drawn anew for each picture; 0 switches one off."""

    policy: str = key(
        "none",
        "operations drawn for each picture, before the changes below",
        choices=("none", "randaugment", "trivialaugment"),
    )
    policy_ops: int = key(3, "RandAugment's number of operations a picture", low=1, high=16)
    policy_magnitude: float = key(9.0, "RandAugment's magnitude of every operation", low=0, high=10)
    rotate: float = key(0.0, "degrees, at most, to either side", low=0, high=180)
    translate: float = key(0.0, "shift, at most, as a share of the side", low=0, below=1)
    scale: float = key(0.0, "zoom, at most: 0.1 is 1/1.1 to 1.1", low=0, high=4)
    shear: float = key(0.0, "slant in degrees, at most", low=0, below=90)
    crop: int = key(0, "random crop after padding by this many pixels", low=0, high=64)
    elastic: float = key(0.0, "elastic distortion in pixels (Simard et al. 2003)", low=0, high=32)
    elastic_sigma: float = key(4.0, "smoothness of the elastic distortion in pixels", above=0, high=64)
    brightness: float = key(0.0, "change, at most, as a share of the range", low=0, high=1)
    contrast: float = key(0.0, "relative change of contrast, at most", low=0, high=1)
    saturation: float = key(0.0, "relative change of saturation, at most", low=0, high=1)
    noise: float = key(
        0.0, "standard deviation of Gaussian noise, at most (1 is the whole range)", low=0, high=1
    )
    blur: float = key(0.0, "sigma of a Gaussian blur in pixels, at most", low=0, high=8)
    erase: float = key(0.0, "side of an erased square as a share of the picture's (cutout)", low=0, high=1)
    hflip: bool = key(False, "mirror half the pictures; a mirrored digit is another digit or none")
    vflip: bool = key(False, "turn half the pictures upside down; 6 becomes 9 or no digit")


@dataclass
class Reg:
    """Against over-fitting."""

    name: str = key("custom", "the preset")
    l1: float = key(0.0, "L1 penalty in the loss: l1 * sum |w|", low=0)
    l2: float = key(
        0.0, "L2 penalty in the loss: l2 / 2 * sum w^2; optim.weight_decay is the other way", low=0
    )
    dropout: float = key(0.0, "share of activations dropped before the head", low=0, below=1)
    label_smoothing: float = key(0.0, "probability spread over all classes", low=0, below=1)
    position_weights: list[float] = key(
        [],
        "how much each position counts in the training loss, such as [2, 1, 1]; [] counts all alike",
        above=0,
    )
    mixup: float = key(0.0, "alpha of mixup's beta distribution (Zhang et al. 2018)", low=0)
    cutmix: float = key(
        0.0, "alpha of cutmix's beta distribution (Yun et al. 2019); beside mixup, half of the batches", low=0
    )
    ema: float = key(
        0.0, "decay of an average of the weights that is used for validation; 0 is off", low=0, below=1
    )
    patience: int = key(10, "early stopping: epochs without improvement; 0 never stops early", low=0)
    min_delta: float = key(0.0, "a smaller gain of the metric does not count as improvement", low=0)
    augment: Augment = key(Augment, "random changes of the training pictures")


# ----------------------------------------------------------------------------- a run

METRICS = ("val_accuracy", "val_loss")


@dataclass
class Train:
    """`svhn train`: data, split, model, optimiser, schedule and regularisation in one run."""

    epochs: int = key(20, "passes over the training part", low=1)
    batch_size: int = key(128, "pictures a step", low=1)
    lr: float = key(UNSET, "learning rate; each optimiser brings its own default", above=0)
    seed: int = key(0, "of the split, the start weights, the order and the augmentation", low=0)
    device: str = key("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    precision: str = key(
        "auto", "bf16 where the machine gains from it, or as you say", choices=("auto", "fp32", "bf16")
    )
    threads: int = key(0, "CPU threads; 0 takes all. Another number gives other bits", low=0)
    grey: bool = key(False, "train on the pictures' brightness alone, in one channel")
    metric: str = key("val_accuracy", "what chooses best.pt and stops early", choices=METRICS)
    test: bool = key(True, "score the best weights on the test part, once, at the end")
    save_minutes: float = key(
        5.0, "last.pt is also saved within an epoch when this much time has passed", above=0
    )
    init_from: str | None = key(None, "start from the weights of this run or file (fine-tuning)")
    resume: str | None = key(None, "go on with this run (folder, file, or latest); the same as --resume")
    cache: str | None = key(None, "folder of prepared data; null is $SVHN_CACHE or ~/.cache/svhn")
    plugins: list[str] = key([], "modules of yours that register data sources, models, ...")
    data: Any = key(UNSET, "the data source")
    split: Any = key(UNSET, "how validation pictures are chosen")
    model: Any = key(UNSET, "the network")
    optim: Any = key(UNSET, "the optimiser")
    schedule: Any = key(UNSET, "how lr changes over the run")
    reg: Any = key(UNSET, "regularisation")


@dataclass
class Eval:
    """`svhn eval RUN`: scores, calibration and worst mistakes of a trained run."""

    run: str = key(UNSET, "a run's folder, a .pt file, or latest")
    part: str = key("test", "which part of the data", choices=("train", "val", "test"))
    tta: int = key(1, "views of a picture that are averaged; 1 is the picture alone", low=1, high=13)
    out: str | None = key(None, "folder for the report; null is RUN/eval/DATA-PART")
    device: str = key("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    cache: str | None = key(None, "folder of prepared data; null is $SVHN_CACHE or ~/.cache/svhn")
    plugins: list[str] = key([], "modules of yours that register data sources, models, ...")
    data: Any = key(None, "another data source; null is the run's own")


@dataclass
class Render:
    """`svhn render`: look at what the renderer draws, or write a data set of it."""

    layout: str = key(
        "none",
        "none draws sheets to look at; else a data set is written as SVHN or Tianchi lay theirs out",
        choices=("none", "mat", "svhn_full", "mchar", "folder"),
    )
    part: str = key("all", "which part of the data set is written", choices=("all", "train", "val", "test"))
    labels: str | None = key(
        None, "an mchar JSON or a digitStruct.mat whose numbers and boxes are drawn; the part is its own"
    )
    sheet: bool = key(False, "also a sheet for each factor: the same scenes without it and with it")
    beside: str | None = key(None, "a .mat of the cropped layout whose pictures are drawn beside the renders")
    out: str = key("outputs/render", "folder for the sheets or the data set")
    cache: str | None = key(None, "folder of prepared data; null is $SVHN_CACHE or ~/.cache/svhn")
    plugins: list[str] = key([], "modules of yours that register data sources, models, ...")
    data: Any = key(UNSET, "what is rendered")


@dataclass
class Predict:
    """`svhn predict`: what a trained run reads in pictures."""

    run: str = key(UNSET, "a run's folder, a .pt file, or latest; folds are averaged")
    paths: list[str] = key([], "files, folders, globs, a .mat; - for a list of files on standard input")
    out: str | None = key(None, "the file to write; null is standard output")
    format: str = key("csv", "what is written; tianchi: a submission", choices=("csv", "tianchi"))
    strict: bool = key(False, "end at the first picture that cannot be read")
    crop: str | None = key(
        None, "whole: the pictures are the numbers themselves; null: cut as in training", choices=("whole",)
    )
    tta: int = key(1, "views of a picture that are averaged; 1 is the picture alone", low=1, high=13)
    batch: int = key(256, "pictures that are read at once", low=1)
    device: str = key("auto", "where to compute", choices=("auto", "cpu", "cuda"))
    plugins: list[str] = key([], "modules of yours that register data sources, models, ...")


@dataclass
class Submission:
    """`svhn submission`: whether a file is a valid submission to the Tianchi contest."""

    file: str = key(UNSET, "the file: file_name,file_code")
    folder: str = key(UNSET, "the folder of the pictures")


@dataclass
class Export:
    """`svhn export`: a trained network as ONNX and safetensors, with a model card."""

    run: str = key(UNSET, "a run's or fold's folder, a .pt file, or latest")
    out: str | None = key(None, "the folder to write; null is RUN/export")
    cache: str | None = key(None, "folder of prepared data; null is $SVHN_CACHE or ~/.cache/svhn")
    plugins: list[str] = key([], "modules of yours that register data sources, models, ...")


VERBS: dict[str, type] = {
    "train": Train,
    "eval": Eval,
    "predict": Predict,
    "submission": Submission,
    "export": Export,
    "render": Render,
}

CHOICES: dict[str, dict[str, type]] = {
    "data": {
        "synth": Synth,
        "synth_full": SynthFull,
        "svhn": Svhn,
        "mix": Mix,
        "svhn_full": SvhnFull,
        "mchar": Mchar,
        "folder": Folder,
    },
    "split": {
        "holdout": Holdout,
        "kfold": Kfold,
        "bootstrap": Bootstrap,
        "official": Official,
        "ordered": Ordered,
    },
    "model": {
        "linear": Linear,
        "mlp": Mlp,
        "cnn": Cnn,
        "datawhale": Datawhale,
        "resnet18": Resnet18,
        "resnet34": Resnet34,
        "resnet50": Resnet50,
        "wide_resnet": WideResnet,
    },
    "optim": {"sgd": Sgd, "adam": Adam, "adamw": Adamw, "rmsprop": Rmsprop},
    "schedule": {
        "constant": Constant,
        "cosine": Cosine,
        "one_cycle": OneCycle,
        "step": Step,
        "plateau": Plateau,
    },
    "reg": {"custom": Reg},
}
"""Group -> name -> dataclass. A plugin adds its own (see build.register)."""


# ----------------------------------------------------------------------------- from plain values


def from_dict(kind: type, values: Mapping[str, Any], path: str = "") -> Any:
    """A config dataclass from plain values, as saved in a run or a checkpoint.

    A saved config is data from outside: unknown keys, wrong types and interpolations are refused, and the
    choice of a group is looked up by its `name` in `CHOICES`, never imported.

    Raises:
        UsageError: naming the key.
    """
    hints = typing.get_type_hints(kind)
    known = {item.name: item for item in fields(kind)}
    for name in values:
        if name not in known:
            near = closest(name, known)
            raise UsageError(f"unknown key '{path}{name}'", f"did you mean '{path}{near}'?" if near else "")
    made = {}
    for name, item in known.items():
        where = f"{path}{name}"
        if name not in values:
            if item.default is MISSING and item.default_factory is MISSING:
                raise UsageError(f"'{where}' is missing")
            continue
        value = values[name]
        if not path and name in CHOICES and value is not None:
            made[name] = _choice(name, value)
        elif is_dataclass(hints[name]) and isinstance(value, Mapping):
            made[name] = from_dict(typing.cast(type, hints[name]), value, f"{where}.")
        else:
            made[name] = typed(value, hints[name], where)
    return kind(**made)


def _choice(group: str, value: Any) -> Any:
    name = value.get("name") if isinstance(value, Mapping) else None
    kinds = CHOICES[group]
    if group == "reg":
        return from_dict(Reg, value, "reg.")
    if name not in kinds:
        raise UsageError(
            f"unknown {group} '{name}'; there are: {', '.join(kinds)}",
            "a part of your own needs its plugins=[module] on this command line, too",
        )
    return from_dict(kinds[name], value, f"{group}.")
