"""A network as an ONNX file, with its preprocessing inside, and what that file computes.

The packages that this takes are an extra, `svhncli[export]`, and are imported where they are needed.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from torch import nn

from svhncli.core.errors import UsageError
from svhncli.core.files import write_bytes
from svhncli.engine.preprocess import Preprocess

PACKAGES = ("onnx", "onnxscript", "onnxruntime", "safetensors")
INPUT, OUTPUT = "images", "probabilities"


def require_packages() -> None:
    """Raise a UsageError unless everything that an export takes is installed."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise UsageError(
            f"an export needs {', '.join(missing)}, not installed here", 'pip install "svhncli[export]"'
        )


class ExportedModel(nn.Module):
    """Stored images, uint8 (N, 3, *framing.stored) -> probabilities float32 (N, L, K)."""

    def __init__(self, network: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        self.network = network
        self.preprocess = preprocess

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(self.preprocess(images)).softmax(-1)


def write(path: Path, network: nn.Module, preprocess: Preprocess) -> None:
    """Write `ExportedModel` of a network on the CPU; the number of images is free.

    Raises:
        DiskError: the file cannot be written.
    """
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    whole = ExportedModel(network, preprocess).eval()
    example = torch.zeros(2, 3, *preprocess.framing.stored, dtype=torch.uint8)
    program = torch.onnx.export(
        whole,
        (example,),
        dynamo=True,
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes={INPUT: {0: torch.export.Dim("n")}},
        verbose=False,
    )
    if program is None:
        raise TypeError("torch.onnx.export gives a program where dynamo=True")
    ClearMetadataAndDocStringPass()(program.model)  # stack traces, with the paths of this machine
    written = program.model_proto.SerializeToString(deterministic=True)
    write_bytes(path, written)


def probabilities(path: Path, images: np.ndarray) -> np.ndarray:
    """What onnxruntime computes from stored images, uint8 (N, 3, *framing.stored): float32 (N, L, K)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (output,) = session.run([OUTPUT], {INPUT: images})
    return np.asarray(output)
