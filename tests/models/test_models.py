"""Networks: shapes, sizes against the papers, and properties specific to each network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from svhncli.core.errors import DataError, UsageError
from svhncli.models.cnn import Cnn
from svhncli.models.datawhale import Datawhale
from svhncli.models.linear import Linear
from svhncli.models.mlp import Mlp
from svhncli.models.resnet import Depth, ResNet
from svhncli.models.wide_resnet import Block, WideResNet

DIGIT = (3, 32, 32)

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "linear": Linear,
    "polynomial": lambda *shape, **options: Linear(*shape, degree=2, **options),
    "mlp": Mlp,
    "cnn": Cnn,
    "deep cnn": lambda *shape, **options: Cnn(*shape, depth=2, hidden=32, **options),
    "datawhale": Datawhale,
    "resnet18": ResNet,
    "resnet50": lambda *shape, **options: ResNet(*shape, depth=50, **options),
    "wide_resnet": lambda *shape, **options: WideResNet(*shape, depth=10, width=1, **options),
}

every_network = pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def random_images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@every_network
@pytest.mark.parametrize(
    ("in_shape", "positions", "classes"), [(DIGIT, 1, 10), ((1, 28, 30), 1, 10), ((3, 40, 72), 5, 11)]
)
def test_logits_are_batch_by_positions_by_classes(
    make: Callable[..., nn.Module], in_shape: tuple[int, int, int], positions: int, classes: int
) -> None:
    logits = make(in_shape, positions, classes)(random_images(2, *in_shape))
    assert logits.shape == (2, positions, classes)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@every_network
def test_every_parameter_gets_a_gradient(make: Callable[..., nn.Module]) -> None:
    model = make(DIGIT, 2, 11)
    model(random_images(3, *DIGIT)).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@every_network
def test_only_the_head_depends_on_the_labels(make: Callable[..., nn.Module]) -> None:
    single_digit, number = make(DIGIT, 1, 10).state_dict(), make(DIGIT, 5, 11).state_dict()
    differing = {name for name in single_digit if single_digit[name].shape != number[name].shape}
    assert single_digit.keys() == number.keys()
    assert differing == {"head.linear.weight", "head.linear.bias"}


@every_network
def test_dropout_is_active_in_training_mode_only(make: Callable[..., nn.Module]) -> None:
    model = make(DIGIT, 1, 10, dropout=0.5)
    batch = random_images(4, *DIGIT)
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


@every_network
def test_channels_last_does_not_change_the_logits(make: Callable[..., nn.Module]) -> None:
    model, batch = make(DIGIT, 1, 10).eval(), random_images(4, *DIGIT)
    plain = model(batch)
    last = model.to(memory_format=torch.channels_last)(batch.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(last, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (lambda: Linear(DIGIT, 1, 10), 3072 * 10 + 10),
        (lambda: Linear(DIGIT, 1, 10, degree=2, pool=4), (3072 + 16 * 17 // 2) * 10 + 10),
        (lambda: Mlp(DIGIT, 1, 10), 3072 * 512 + 512 + 512 * 256 + 256 + 256 * 10 + 10),
        # the tutorial's network on its own 64×128 images: 32 channels of 3×7 cells before the head
        (lambda: Datawhale((3, 64, 128), 5, 11), 448 + 4640 + (32 * 3 * 7 + 1) * 55),
    ],
)
def test_the_parameter_count_matches_a_count_by_hand(model: Callable[[], nn.Module], expected: int) -> None:
    assert parameters(model()) == expected


@pytest.mark.parametrize(("depth", "width", "millions"), [(16, 8, 11.0), (28, 10, 36.5), (40, 4, 8.9)])
def test_wide_resnet_has_the_papers_parameter_count(depth: int, width: int, millions: float) -> None:
    with torch.device("meta"):
        model = WideResNet(DIGIT, 1, 10, depth=depth, width=width)
    assert round(parameters(model) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("depth", "imagenet", "features"), [(18, 11_689_512, 512), (34, 21_797_672, 512), (50, 25_557_032, 2048)]
)
def test_resnet_has_torchvisions_parameter_count_except_in_stem_and_head(
    depth: Depth, imagenet: int, features: int
) -> None:
    stem, head = 64 * 3 * (7 * 7 - 3 * 3), (features + 1) * (1000 - 10)
    with torch.device("meta"):
        assert parameters(ResNet(DIGIT, 1, 10, depth=depth)) == imagenet - stem - head


def test_datawhale_accepts_the_images_of_its_tutorial_in_their_original_shape() -> None:
    model = Datawhale((3, 64, 128), 6, 11)
    assert model.head.linear.in_features == 32 * 3 * 7
    assert model(random_images(2, 3, 64, 128)).shape == (2, 6, 11)


def test_default_cnn_has_about_300_000_parameters() -> None:
    assert parameters(Cnn(DIGIT, 1, 10)) == 293_050


def test_cnn_width_scales_every_layer() -> None:
    def channels(width: float) -> list[int]:
        return [m.out_channels for m in Cnn(DIGIT, 1, 10, width=width).modules() if isinstance(m, nn.Conv2d)]

    assert channels(2) == [2 * count for count in channels(1)]
    assert channels(0.01) == [8] * len(channels(1))


def test_cnn_depth_adds_convolutions_that_keep_the_size_and_hidden_adds_a_layer() -> None:
    model = Cnn(DIGIT, 2, 10, depth=3, hidden=64)
    convolutions = [m for m in model.body if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [16, *[48] * 3, *[128] * 3, *[192] * 3]
    assert [m.stride[0] for m in convolutions] == [2, 2, 1, 1, 2, 1, 1, 2, 1, 1]
    assert model.head.linear.in_features == 64
    assert (
        model.body(random_images(1, *DIGIT)).shape == Cnn(DIGIT, 2, 10).body(random_images(1, *DIGIT)).shape
    )


def test_degree_2_has_every_product_of_pooled_pixels_once() -> None:
    model = Linear((1, 2, 2), 1, 1, degree=2, pool=2)
    with torch.no_grad():
        model.head.linear.weight.copy_(torch.arange(1.0, 15.0))
        model.head.linear.bias.zero_()
    a, b, c, d = 2.0, 3.0, 5.0, 7.0
    features = [a, b, c, d, a * a, a * b, a * c, a * d, b * b, b * c, b * d, c * c, c * d, d * d]
    logits = model(torch.tensor([a, b, c, d]).view(1, 1, 2, 2))
    assert logits.item() == pytest.approx(sum(i * f for i, f in enumerate(features, 1)))
    assert model.state_dict().keys() == {"head.linear.weight", "head.linear.bias"}


def test_mlp_without_hidden_layers_is_the_linear_model() -> None:
    assert parameters(Mlp(DIGIT, 1, 10, widths=[])) == parameters(Linear(DIGIT, 1, 10))


@pytest.mark.parametrize(
    ("make", "smallest"),
    [
        (NETWORKS["polynomial"], 8),
        (NETWORKS["cnn"], 8),
        (NETWORKS["datawhale"], 21),
        (NETWORKS["resnet18"], 8),
        (lambda *shape: ResNet(*shape, small_stem=False), 32),
        (NETWORKS["wide_resnet"], 8),
    ],
)
def test_the_smallest_image_works_and_a_smaller_image_is_refused(
    make: Callable[..., nn.Module], smallest: int
) -> None:
    assert make((3, smallest, 40), 1, 10)(random_images(2, 3, smallest, 40)).isfinite().all()
    with pytest.raises(UsageError, match=f"{smallest}×{smallest}"):
        make((3, 40, smallest - 1), 1, 10)


@pytest.mark.parametrize(("depth", "nearest"), [(15, 16), (4, 10), (20, 22), (-1, 10)])
def test_wide_resnet_refuses_a_depth_that_is_not_6n_plus_4(depth: int, nearest: int) -> None:
    with pytest.raises(UsageError, match=f"not {depth}") as caught:
        WideResNet(DIGIT, 1, 10, depth=depth)
    assert f"model.depth={nearest}" in caught.value.hint


def test_wide_resnet_activates_before_a_shortcut_only_if_it_changes_the_shape() -> None:
    negative = -random_images(2, 4, 8, 8)  # no value passes a ReLU
    assert torch.equal(Block(4, 4, 1, 0.0).eval()(negative), negative)
    assert not Block(4, 8, 2, 0.0).eval()(negative).any()


def test_linear_refuses_degree_3() -> None:
    with pytest.raises(UsageError, match=r"model\.degree"):
        Linear(DIGIT, 1, 10, degree=3)


def test_the_resnet_stem_depends_on_the_height_unless_it_is_set() -> None:
    def stem(height: int, small: bool | None = None) -> int:
        model = ResNet((3, height, 64), 1, 10, small_stem=small)
        return model.state_dict()["body.conv1.weight"].shape[-1]

    assert [stem(64), stem(65), stem(64, False), stem(65, True)] == [3, 7, 7, 3]


def save_as_downloaded(depth: Depth, folder: Path) -> dict[str, Tensor]:
    """Random weights where torchvision keeps the weights that it has downloaded."""
    from torchvision import models

    state = models.get_model(f"resnet{depth}").state_dict()
    path = (
        folder
        / "hub"
        / "checkpoints"
        / Path(models.get_model_weights(f"resnet{depth}")["IMAGENET1K_V1"].url).name
    )
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    return state


@pytest.mark.parametrize(
    ("depth", "in_shape", "reinitialized"),
    [
        (18, (3, 96, 96), set()),
        (18, DIGIT, {"conv1.weight"}),
        (18, (1, 96, 96), {"conv1.weight"}),
        (34, (3, 96, 96), set()),
        (50, DIGIT, {"conv1.weight"}),
    ],
)
def test_pretrained_weights_are_kept_except_a_head_or_stem_that_does_not_fit(
    depth: Depth,
    in_shape: tuple[int, int, int],
    reinitialized: set[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    imagenet = save_as_downloaded(depth, tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    state = ResNet(in_shape, 1, 10, depth=depth, pretrained=True).state_dict()
    ours = {name.removeprefix("body."): value for name, value in state.items() if name.startswith("body.")}
    kept = {name for name, value in ours.items() if torch.equal(value, imagenet[name])}
    assert kept == imagenet.keys() - {"fc.weight", "fc.bias"} - reinitialized


def test_pretrained_weights_that_cannot_be_downloaded_are_a_data_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")  # a port without a server
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DataError, match="ImageNet weights of resnet50") as caught:
        ResNet(DIGIT, 1, 10, depth=50, pretrained=True)
    assert "TORCH_HOME" in caught.value.hint


@pytest.mark.e2e
def test_no_network_imports_torchvision_before_it_is_built() -> None:
    modules = "cnn", "datawhale", "linear", "mlp", "resnet", "stn", "wide_resnet"
    imports = "; ".join(f"import svhncli.models.{name}" for name in modules)
    code = f"import sys; {imports}; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_default_cnn_memorizes_a_batch() -> None:
    torch.manual_seed(0)  # initial weights
    model, batch, labels = Cnn(DIGIT, 1, 10), random_images(32, *DIGIT), torch.arange(32) % 10
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(15):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch)[:, 0], labels).backward()
        optimizer.step()
    assert (model(batch)[:, 0].argmax(1) == labels).all()
