"""Images a second of the policies alone, beside torchvision's applied to one picture after the other.

    python benchmarks/policies.py [--threads 2] [--rounds 7]

A batch of 128 pictures of 32x32 in colour; rounds are interleaved, so that the ratios hold on a busy machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from svhncli import registry
from svhncli.config.groups.reg import AugmentConfig

BATCH, LEAST_SECONDS = 128, 0.3


def cases() -> dict[str, Callable[[int], object]]:
    """Name -> what changes a batch once, given a number that no other call gets."""
    stored = torch.randint(256, (BATCH, 3, 32, 32), dtype=torch.uint8)
    floats = (stored / 255).contiguous(memory_format=torch.channels_last)
    pillow = [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in stored]
    bilinear = InterpolationMode.BILINEAR
    theirs = {
        "randaugment": v2.RandAugment(3, 27, interpolation=bilinear),  # 27 of 30 is 9 of 10
        "trivialaugment": v2.TrivialAugmentWide(interpolation=bilinear),
    }
    found: dict[str, Callable[[int], object]] = {}
    for name, each in theirs.items():
        policy = registry.policy(AugmentConfig(policy=name))
        assert policy is not None
        found[f"{name}, svhn"] = lambda key, policy=policy: policy(floats, key)
        found[f"{name}, torchvision, tensors"] = lambda _, each=each: [each(one) for one in stored]
        found[f"{name}, torchvision, Pillow"] = lambda _, each=each: [each(one) for one in pillow]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    speeds: dict[str, list[float]] = {}
    for number in range(options.rounds + 1):
        for name, change in cases().items():
            calls, started = 0, time.perf_counter()
            while (passed := time.perf_counter() - started) < LEAST_SECONDS:
                change(1000 * number + calls)
                calls += 1
            if number:  # the first round warms up
                speeds.setdefault(name, []).append(BATCH * calls / passed)
    for name, values in speeds.items():
        print(f"{name:36} {statistics.median(values):8,.0f} ({min(values):,.0f} to {max(values):,.0f})")


if __name__ == "__main__":
    main()
