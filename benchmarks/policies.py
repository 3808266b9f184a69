"""Images per second of the augmentation policies alone, compared with torchvision's on one image at a time.

    python benchmarks/policies.py [--threads 2] [--rounds 7]

Every call augments a batch of 128 color images of 32x32 pixels. The contenders take turns in every round,
so the ratios hold on a busy machine as well. The table gives the median and the range of the rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from command import argument_parser, value_range
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from svhncli import registry
from svhncli.config.groups.reg import AugmentConfig

BATCH, MIN_SECONDS = 128, 0.3


def contenders() -> dict[str, Callable[[int], object]]:
    """Name -> a function that augments a batch, given a key that no other call gets."""
    stored = torch.randint(256, (BATCH, 3, 32, 32), dtype=torch.uint8)
    floats = (stored / 255).contiguous(memory_format=torch.channels_last)
    pillow = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in stored]
    bilinear = InterpolationMode.BILINEAR
    transforms = {
        "randaugment": v2.RandAugment(3, 27, interpolation=bilinear),  # 27 of 30 is 9 of 10
        "trivialaugment": v2.TrivialAugmentWide(interpolation=bilinear),
    }
    augment: dict[str, Callable[[int], object]] = {}
    for name, transform in transforms.items():
        policy = registry.policy(AugmentConfig(policy=name))
        assert policy is not None
        augment[f"{name}, svhn"] = lambda key, policy=policy: policy(floats, key)
        for kind, images in (("tensors", stored), ("Pillow", pillow)):
            augment[f"{name}, torchvision, {kind}"] = (
                lambda _, transform=transform, images=images: [transform(image) for image in images]
            )  # fmt: skip
    return augment


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--threads", type=int, default=2, help="number of CPU threads")
    parser.add_argument("--rounds", type=int, default=7, help="number of rounds after one to warm up")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    speeds: dict[str, list[float]] = {}
    for number in range(options.rounds + 1):
        for name, augment in contenders().items():
            calls, started = 0, time.perf_counter()
            while (seconds := time.perf_counter() - started) < MIN_SECONDS:
                augment(1000 * number + calls)
                calls += 1
            if number > 0:
                speeds.setdefault(name, []).append(BATCH * calls / seconds)
    for name, values in speeds.items():
        print(f"{name:36} {statistics.median(values):8,.0f} ({value_range(values, ',.0f')})")


if __name__ == "__main__":
    main()
