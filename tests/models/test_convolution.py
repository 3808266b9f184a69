"""Convolution and flattening with gradients of our own, against torch's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from svhncli.models.convolution import Convolution, flattened

LAYER = (32, 24, 3, 2)
"""Channels in and out, side of the kernel, stride: a layer whose gradient is a product."""


def images_for(layer: nn.Conv2d, height: int = 8, width: int = 8) -> Tensor:
    drawn = torch.randn(3, layer.in_channels, height, width, generator=torch.Generator().manual_seed(0))
    return drawn.contiguous(memory_format=torch.channels_last).requires_grad_()


def in_bf16(layer: nn.Conv2d, images: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return layer(images)


def is_product(output: Tensor) -> bool:
    assert output.grad_fn is not None
    return "Product" in output.grad_fn.name()


@settings(deadline=None, max_examples=40)
@given(
    kernel=st.integers(1, 5),
    stride=st.integers(2, 3),
    height=st.integers(5, 11),
    width=st.integers(5, 11),
)
def test_its_gradients_are_those_of_a_convolution_in_float64(
    kernel: int, stride: int, height: int, width: int
) -> None:
    torch.manual_seed(0)
    layer = Convolution(32, 24, kernel, stride).to(memory_format=torch.channels_last)
    images = images_for(layer, height, width)
    output = in_bf16(layer, images)
    assert is_product(output)
    gradient = torch.randn_like(output)
    ours = torch.autograd.grad(output, (images, layer.weight), gradient)

    rounded = [tensor.detach().bfloat16().double().requires_grad_() for tensor in (images, layer.weight)]
    exact = functional.conv2d(*rounded, None, stride, kernel // 2)
    for own, theirs in zip(ours, torch.autograd.grad(exact, rounded, gradient.double()), strict=True):
        assert own.dtype == torch.float32
        torch.testing.assert_close(own.double(), theirs, rtol=0.01, atol=0.01 * theirs.abs().max().item())


def test_its_outputs_and_parameters_are_those_of_torch() -> None:
    torch.manual_seed(0)
    ours = Convolution(*LAYER)
    theirs = nn.Conv2d(*LAYER, padding=1, bias=False)
    theirs.load_state_dict(ours.state_dict())
    images = images_for(ours)
    assert is_product(in_bf16(ours, images))
    assert torch.equal(in_bf16(ours, images), in_bf16(theirs, images))


@pytest.mark.parametrize("what", ["in fp32", "without gradients", "stride 1", "few channels", "large map"])
def test_elsewhere_it_is_torchs_own(what: str) -> None:
    channels, out, kernel, stride = LAYER
    channels = 16 if what == "few channels" else channels
    layer = Convolution(channels, out, kernel, 1 if what == "stride 1" else stride)
    images = images_for(layer, *((24, 32) if what == "large map" else (8, 8)))
    if what == "without gradients":
        with torch.inference_mode():
            assert in_bf16(layer, images).grad_fn is None
        return
    output = layer(images) if what == "in fp32" else in_bf16(layer, images)
    assert not is_product(output)


def test_flattening_hands_back_gradients_in_channels_last() -> None:
    features = torch.randn(4, 6, 3, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    flat = flattened(features)
    assert torch.equal(flat, features.flatten(1))
    (gradient,) = torch.autograd.grad(flat, features, weights := torch.randn(4, 90))
    assert torch.equal(gradient, weights.view(4, 6, 3, 5))
    assert gradient.is_contiguous(memory_format=torch.channels_last)
