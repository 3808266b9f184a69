"""What the processes of one run exchange while they train one network together.

Alone, every method gives back what it is given. Together, each process computes its rows of every batch, and
all of them then hold the same bits: the same weights, tallies and decisions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from svhncli.core.errors import SvhnError

T = TypeVar("T")
CPU = torch.device("cpu")


class LostProcessError(SvhnError):
    """Another process of the run ended or does not answer."""


@dataclass(frozen=True)
class Rows:
    """Some images of a batch. What is random is drawn for the whole batch, so they get what they would get in
    one process.

    count: images of the whole batch. positions: int64 (b,), ascending, on the CPU; None: all of them.
    """

    count: int
    positions: Tensor | None = None

    def of(self, batch: Tensor) -> Tensor:
        """(count, …) -> (b, …)."""
        return batch if self.positions is None else batch[self.positions.to(batch.device)]

    def placed(self, rows: Tensor) -> Tensor:
        """(b, …) -> (count, …), with zeros for the images that are not among them."""
        if self.positions is None:
            return rows
        batch = rows.new_zeros(self.count, *rows.shape[1:])
        batch[self.positions.to(rows.device)] = rows
        return batch

    def joined(self, partners: Tensor) -> Rows:
        """These images and their partners. partners: the position of every image's, int64 (count,)."""
        if self.positions is None:
            return self
        return Rows(self.count, torch.cat([self.positions, partners[self.positions]]).unique())


@dataclass(frozen=True)
class Group:
    """The processes that train one network. rank: which of them this is, from 0; the first one writes.

    sync_norm: whether batch norm uses the statistics of the whole batch, as in one process.

    Raises:
        LostProcessError: by every method that exchanges something.
    """

    rank: int = 0
    size: int = 1
    sync_norm: bool = True

    def bounds(self, count: int) -> list[int]:
        """Where each process's share of `count` images begins, and the end of the last: size + 1 values."""
        return [count * rank // self.size for rank in range(self.size + 1)]

    def rows(self, count: int) -> Rows:
        """This process's share of a batch."""
        if self.size == 1:
            return Rows(count)
        bounds = self.bounds(count)
        return Rows(count, torch.arange(bounds[self.rank], bounds[self.rank + 1]))

    def gathered(self, counts: Sequence[int], *shares: Tensor) -> list[Tensor]:
        """Every process's share of float32 values (b, …), joined in the order of the ranks: (sum of b, …).

        counts: b of every process.
        """
        if self.size == 1:
            return list(shares)
        flat = torch.cat([share.flatten(1) if share.ndim > 1 else share[:, None] for share in shares], 1)
        padded = flat.new_zeros(max(counts), flat.shape[1])
        padded[: len(flat)] = flat
        received = [torch.empty_like(padded) for _ in counts]
        with _connected():
            dist.all_gather(received, padded)
        whole = torch.cat([rows[:count] for rows, count in zip(received, counts, strict=True)])
        columns = whole.split([share[0].numel() for share in shares], 1)
        return [
            part.reshape(len(whole), *share.shape[1:]) for part, share in zip(columns, shares, strict=True)
        ]

    def reduced(self, network: nn.Module, loss: Tensor) -> Tensor:
        """Sum the gradients over the processes; the sum of their losses, a scalar.

        One message for all: DistributedDataParallel would send parts of it during the backward pass, but it
        averages, which is wrong where shares differ in size, and wraps the network and its state dict.
        """
        if self.size == 1:
            return loss
        parts = [p.grad for p in network.parameters() if p.grad is not None]
        if not self.sync_norm:  # else each process's running statistics would be those of its own images
            buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
            torch._foreach_div_(buffers, self.size)
            parts += buffers
        flat = torch.cat([*(part.flatten() for part in parts), loss[None]])
        self.add_up(flat)
        *sums, total = flat.split([*(part.numel() for part in parts), 1])
        with torch.no_grad():
            for part, summed in zip(parts, sums, strict=True):
                part.copy_(summed.view_as(part))
        return total[0]

    def norms(self) -> AbstractContextManager[Any]:
        """The context of a forward pass in training."""
        return _GroupNorms(self) if self.size > 1 and self.sync_norm else nullcontext()

    def add_up(self, values: Tensor) -> None:
        """Replace values by their sums over the processes."""
        with _connected():
            dist.all_reduce(values)

    def shared(self, value: T) -> T:
        """The value of the first process; the others' are dropped."""
        if self.size == 1:
            return value
        values = [value]
        with _connected():
            dist.broadcast_object_list(values, device=CPU)
        return values[0]

    def agreed(self, code: int | None) -> int | None:
        """The largest exit code that any process was sent a signal for; None: none was."""
        if self.size == 1:
            return code
        largest = torch.tensor([code or 0])
        with _connected():
            dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest) or None

    def meet(self) -> None:
        """Wait until all are here."""
        self.agreed(None)


ALONE = Group()


@contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # torch promises no type
        raise LostProcessError(
            "the connection to another process of this run was lost; what was saved before is whole",
            "what ended it is said above, or resume the run to try again",
        ) from error


# ----------------------------------------------------------------------------- batch norm


class _GroupNorms(TorchFunctionMode):
    """Batch norm by the statistics of the whole batch, whichever layer or function asks for it.

    torch's SyncBatchNorm is for GPUs alone, and takes the place of the network's own layers.
    """

    def __init__(self, group: Group) -> None:
        super().__init__()
        self.group = group

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is functional.batch_norm and kwargs["training"]:
            return _batch_norm(self.group, *args, **kwargs)
        return func(*args, **kwargs)


def _batch_norm(
    group: Group,
    inputs: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    *,
    weight: Tensor | None,
    bias: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """As `functional.batch_norm`, in training."""
    values = inputs.float()
    others = [dim for dim in range(values.ndim) if dim != 1]
    count, mean, var = _statistics(group, values.detach(), others)
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(var * count / (count - 1), momentum)
    out = _Normalized.apply(values, mean, (var + eps).rsqrt(), count, group, others)
    shape = _along(values)
    if weight is not None:
        out = out * weight.view(shape)
    if bias is not None:
        out = out + bias.view(shape)
    return out.to(inputs.dtype)


def _statistics(group: Group, values: Tensor, others: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Values per channel in the whole batch, their mean, and their variance (Chan et al. 1979)."""
    var, mean = torch.var_mean(values, others, correction=0)
    own = values.numel() / len(mean)
    shares = values.new_zeros(group.size, 1 + 2 * len(mean))
    shares[group.rank] = torch.cat([mean.new_tensor([own]), mean, var])
    group.add_up(shares)  # the others' rows are zero here: this gathers
    counts, means, variances = shares.split([1, len(mean), len(mean)], 1)
    weights = counts / counts.sum()
    whole = (weights * means).sum(0)
    spread = (weights * (variances + (means - whole).square())).sum(0)
    return counts.sum(), whole, spread


def _along(values: Tensor) -> tuple[int, ...]:
    """The shape in which one value a channel multiplies (B, C, …)."""
    return (1, -1, *[1] * (values.ndim - 2))


class _Normalized(torch.autograd.Function):
    """(values - mean) * scale, where mean and scale come from the values of all processes."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, mean: Tensor, scale: Tensor, count: Tensor, group: Group, others: list[int]
    ) -> Tensor:
        shape = _along(values)
        out = (values - mean.view(shape)) * scale.view(shape)
        ctx.save_for_backward(out, scale, count)
        ctx.rest = group, others
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        out, scale, count = ctx.saved_tensors
        group, others = ctx.rest
        shape = _along(grad)
        sums = torch.stack([grad.sum(others), (grad * out).sum(others)]) / count
        group.add_up(sums)
        straight, along = (mean.view(shape) for mean in sums)
        return (grad - straight - out * along) * scale.view(shape), None, None, None, None, None
