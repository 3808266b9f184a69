"""The spatial transformer: it starts as the identity, applies an affine map, and learns where to look."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

from svhncli import registry
from svhncli.config.choices import CHOICES
from svhncli.config.groups.model import CnnConfig
from svhncli.core.errors import UsageError
from svhncli.models.linear import Linear
from svhncli.models.stn import (
    CAUTION,
    LIMITS,
    Located,
    Regression,
    SpatialTransformer,
    in_pixels,
    of_image,
    wanted,
)

CLASSIFIERS = [name for name in CHOICES["model"] if name != "spotter"]


def random_images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def transformer_of(channels: int, size: tuple[int, int]) -> SpatialTransformer:
    return SpatialTransformer(Regression(channels), size)


def fixed(channels: int, size: tuple[int, int], parameters: tuple[float, ...]) -> SpatialTransformer:
    """A transformer with constant parameters before tanh: turn, zoom along x and y, shift right and down."""
    transformer = transformer_of(channels, size)
    with torch.no_grad():
        transformer.localise[-1].bias.copy_(torch.tensor(parameters) / CAUTION)
    return transformer


@pytest.mark.parametrize(("size", "tolerance"), [((32, 32), 0), ((64, 128), 0), ((37, 51), 1e-5)])
def test_an_untrained_transformer_is_the_identity(size: tuple[int, int], tolerance: float) -> None:
    batch = random_images(3, 3, *size)
    torch.testing.assert_close(transformer_of(3, size)(batch), batch, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_transformer_does_not_change_the_initial_weights_and_logits(name: str) -> None:
    networks = []
    for stn in (False, True):
        torch.manual_seed(0)
        config = CHOICES["model"][name]()
        config.stn = stn
        networks.append(registry.model(config, (3, 32, 32), 2, 11, 0.1).eval())
    plain, transformed = networks[0], networks[1].network
    assert plain.state_dict().keys() == transformed.state_dict().keys()
    assert all(torch.equal(value, transformed.state_dict()[key]) for key, value in plain.state_dict().items())
    with torch.no_grad():
        assert torch.equal(*(network(random_images(2, 3, 32, 32)) for network in networks))


@pytest.mark.parametrize("size", [(16, 16), (12, 30)])
def test_the_affine_map_matches_scipy(size: tuple[int, int]) -> None:
    height, width = size
    parameters = (0.5, -0.2, 0.3, 0.4, -0.25)
    turn, zoom_x, zoom_y, right, down = np.tanh(parameters) * LIMITS
    zoom = np.diag(np.exp([zoom_y, zoom_x]))
    matrix = zoom @ np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    center = (np.array(size) - 1) / 2
    offset = center - matrix @ center + np.array([down * height / 2, right * width / 2])
    batch = random_images(2, 3, height, width)
    expected = [
        [affine_transform(plane, matrix, offset, order=1, mode="nearest") for plane in image]
        for image in batch.double().numpy()
    ]
    with torch.no_grad():
        output = fixed(3, size, parameters)(batch)
    np.testing.assert_allclose(output.numpy(), expected, atol=2e-5)


def test_a_smaller_output_shows_the_same_region_in_fewer_pixels() -> None:
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(128) + 0.5, indexing="ij")
    ramps = torch.stack((x / 128, y / 64))[None]  # bilinear sampling gives a point its own coordinates
    parameters = (0.0, -0.2, -0.1, 0.1, -0.1)
    _, zoom_x, zoom_y, right, down = np.tanh(parameters) * LIMITS
    with torch.no_grad():
        output = fixed(2, (24, 32), parameters)(ramps)[0].double().numpy()
    columns, rows = (((np.arange(side) + 0.5) / side - 0.5) for side in (32, 24))
    assert output.shape == (2, 24, 32)
    np.testing.assert_allclose(output[0, 0], 0.5 + columns * math.exp(zoom_x) + right / 2, atol=1e-5)
    np.testing.assert_allclose(output[1, :, 0], 0.5 + rows * math.exp(zoom_y) + down / 2, atol=1e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_network_is_built_for_the_transformers_output_size(name: str) -> None:
    config = CHOICES["model"][name](stn=True, stn_size=[32, 48])
    network = registry.model(config, (3, 64, 128), 2, 11, 0.1).eval()
    with torch.no_grad():
        assert network.stn(random_images(1, 3, 64, 128)).shape == (1, 3, 32, 48)
        assert network(random_images(1, 3, 64, 128)).shape == (1, 2, 11)


@pytest.mark.parametrize(("stn", "size"), [(False, [32, 48]), (True, [32]), (True, [32, 48, 3])])
def test_an_invalid_output_size_is_refused(stn: bool, size: list[int]) -> None:
    with pytest.raises(UsageError, match=r"model\.stn_size"):
        registry.model(CnnConfig(stn=stn, stn_size=size), (3, 64, 128), 2, 11, 0.0)


def test_reduced_precision_does_not_change_the_transformed_image() -> None:
    batch, transformer = random_images(2, 3, 64, 128), fixed(3, (64, 128), (0.5, -0.25, 0.25, 0.5, -0.5))
    with torch.no_grad():
        exact = transformer(batch)
        with torch.autocast("cpu", torch.bfloat16):
            reduced = transformer(batch)
    assert reduced.dtype == torch.float32
    assert torch.equal(reduced, exact)


def test_a_copied_network_uses_its_own_transformer() -> None:
    model = Located(transformer_of(3, (8, 8)), Linear((3, 8, 8), 1, 10))
    copied = copy.deepcopy(model)  # as for the average of the weights
    with torch.no_grad():
        model.stn.localise[-1].bias.fill_(0.5)
    batch = random_images(2, 3, 8, 8)
    assert not torch.equal(model(batch), copied(batch))


def test_after_its_first_step_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    model = Located(transformer_of(3, (32, 32)), Linear((3, 32, 32), 2, 11))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(random_images(3, 3, 32, 32)).square().sum().backward()
        optimizer.step()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.full
@pytest.mark.engine
def test_a_transformer_improves_a_linear_model_on_shifted_digits() -> None:
    digits = load_digits()
    labels, draw = torch.from_numpy(digits.target), torch.Generator().manual_seed(0)
    images = torch.zeros(len(labels), 1, 8, 24)
    left = torch.randint(24 - 8 + 1, (len(labels),), generator=draw)
    for image, digit, column in zip(images, torch.from_numpy(digits.images), left.tolist(), strict=True):
        image[0, :, column : column + 8] = digit
    images = (images - images.mean()) / images.std()

    def accuracy_after_training(model: nn.Module) -> float:
        """Accuracy on held-out digits."""
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(200):
            batch = torch.randint(1400, (64,), generator=draw)
            optimizer.zero_grad()
            functional.cross_entropy(model(images[batch])[:, 0], labels[batch]).backward()
            optimizer.step()
        with torch.no_grad():
            return (model(images[1400:])[:, 0].argmax(1) == labels[1400:]).float().mean().item()

    torch.manual_seed(0)
    plain, behind = Linear((1, 8, 24), 1, 10), Linear((1, 8, 24), 1, 10)
    transformed = Located(transformer_of(1, (8, 24)), behind)
    assert accuracy_after_training(transformed) > accuracy_after_training(plain) + 0.1
    with torch.no_grad():
        shift_right = transformed.stn.localise(images[1400:])[:, 3]
    assert (
        torch.corrcoef(torch.stack((shift_right, left[1400:].float())))[0, 1] > 0.8
    )  # it looks where the digit is


def frames_of(count: int) -> Tensor:
    """Upright frames of a twentieth to twice the image, anywhere in it."""
    draw = torch.rand(count, 4, generator=torch.Generator().manual_seed(0))
    zoom = math.log(0.05) + draw[:, :2] * math.log(40)
    return torch.cat([torch.zeros(count, 1), zoom, 2 * draw[:, 2:] - 1], 1)


def test_a_frame_in_pixels_is_turned_back() -> None:
    frames = frames_of(100)
    torch.testing.assert_close(of_image(in_pixels(frames, 64, 200), 64, 200), frames)


def test_the_wanted_frame_holds_all_digits_in_the_shape_of_the_output() -> None:
    nan = [math.nan] * 4
    boxes = torch.tensor([[[10.0, 5, 20, 25], [30, 15, 40, 35]], [[10, 5, 12, 65], nan], [nan, nan]])
    around, there = wanted(boxes, (48, 64))
    assert there.tolist() == [[True], [True], [False]]
    # 30 wide and 30 high, 2 wide and 60 high; both are widened by 0.15 on each side
    expected = [[25, 20, 1.3 * 15 * 4 / 3, 1.3 * 15], [11, 35, 1.3 * 30 * 4 / 3, 1.3 * 30]]
    got = torch.cat([around[:2, :2], around[:2, 2:].exp()], 1)
    torch.testing.assert_close(got, torch.tensor(expected))
