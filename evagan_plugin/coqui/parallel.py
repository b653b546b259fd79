"""Data-parallel training. Coqui's trainer wraps a model but never calls the wrapper, so that nothing is synchronised;
here gradients are averaged where they are complete.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


def rank_and_size() -> tuple[int, int]:
    """Return the number of this process and how many there are."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return 0, 1
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def share_state(module: nn.Module) -> None:
    """Give every process the parameters and buffers of the first one."""
    if rank_and_size()[1] > 1:
        for tensor in (*module.parameters(), *module.buffers()):
            torch.distributed.broadcast(tensor.data, src=0)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over all processes; one that is missing counts as zero."""
    size = rank_and_size()[1]
    if size == 1:
        return
    handles = []
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        parameter.grad.div_(size)
        handles.append(torch.distributed.all_reduce(parameter.grad, async_op=True))
    for handle in handles:
        handle.wait()


def average_values(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the mean of each scalar over all processes, which have the same names."""
    size = rank_and_size()[1]
    if size == 1:
        return dict(values)
    shared = torch.stack([value.float() for value in values.values()])
    torch.distributed.all_reduce(shared)
    return dict(zip(values, shared / size, strict=True))
