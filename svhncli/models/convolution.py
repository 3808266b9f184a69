"""Convolution and flattening whose gradients take less time on a CPU than those of torch's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST_OUTPUT = 64
SMALLEST_INPUT = 32
"""Pixels of the output at most, and channels of the input at least, with which the product is the faster."""


class Convolution(nn.Conv2d):
    """`nn.Conv2d` without bias, padded by half its kernel, with gradients that are the same up to rounding.

    In bf16 on a CPU, oneDNN takes two to three times as long for the weights' gradient of a strided
    convolution to a small feature map as a matrix product of the same size. So there the input is unfolded
    into the patches that the kernel sees (im2col: Chellapilla et al. 2006), and the gradient is their product
    with that of the output. For large maps unfolding costs more than that saves.

    Args:
        channels, out: of its input and its output.
        kernel: its side.
    """

    def __init__(self, channels: int, out: int, kernel: int, stride: int) -> None:
        super().__init__(channels, out, kernel, stride, padding=kernel // 2, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        if not self._is_product(images):
            return super().forward(images)
        dtype = torch.get_autocast_dtype("cpu")
        output: Tensor = _Product.apply(images.to(dtype), self.weight.to(dtype), self.stride[0])
        return output

    def _is_product(self, images: Tensor) -> bool:
        step = self.stride[0]
        height, width = (-(-side // step) for side in images.shape[2:])
        return (
            images.device.type == "cpu"
            and images.requires_grad
            and torch.is_grad_enabled()
            and torch.is_autocast_enabled("cpu")
            and step > 1
            and height * width <= LARGEST_OUTPUT
            and self.in_channels >= SMALLEST_INPUT
        )


class _Product(torch.autograd.Function):
    """(B, C, H, W), weight (O, C, k, k) and stride -> (B, O, H', W'), all of one dtype."""

    @staticmethod
    def forward(context: Any, images: Tensor, weight: Tensor, stride: int) -> Tensor:
        context.save_for_backward(images, weight)
        context.stride = stride
        return functional.conv2d(images, weight, None, stride, weight.shape[2] // 2)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        images, weight = context.saved_tensors
        stride, kernel = context.stride, weight.shape[2]
        room = kernel // 2
        of_images = torch.ops.aten.convolution_backward(
            gradient, images, weight, None, 2 * [stride], 2 * [room], [1, 1], False, [0, 0], 1,
            [True, False, False],
        )[0]  # fmt: skip
        padded = functional.pad(images.permute(0, 2, 3, 1), (0, 0, room, room, room, room))
        by_image, by_row, by_column, by_channel = padded.stride()
        patches = padded.as_strided(
            (len(images), *gradient.shape[2:], kernel, kernel, images.shape[1]),
            (by_image, by_row * stride, by_column * stride, by_row, by_column, by_channel),
        )
        rows = gradient.permute(0, 2, 3, 1).flatten(0, 2)  # (B H' W', O)
        of_weight = rows.T @ patches.flatten(3).flatten(0, 2)
        return of_images, of_weight.view(-1, kernel, kernel, images.shape[1]).permute(0, 3, 1, 2), None


def flattened(features: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C H W), whose gradient comes back in the memory format channels_last.

    That of `flatten` does not, and where the backward pass of the layer before it meets two formats at once
    it takes ten times as long.
    """
    flat: Tensor = _Flattened.apply(features) if features.requires_grad else features.flatten(1)
    return flat


class _Flattened(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, features: Tensor) -> Tensor:
        context.shape = features.shape
        return features.flatten(1)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return gradient.view(context.shape).contiguous(memory_format=torch.channels_last)
