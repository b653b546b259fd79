"""A device that is none: what a step asks of the host, or brings from there, is seen without a GPU.

A tensor on PyTorch's ``meta`` device has no values: to read one (``item``, ``float``, ``bool``) is an error, and
every tensor of the CPU that meets it is one that a GPU would have to wait for.
"""

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MAKERS = (torch.tensor, torch.as_tensor, torch.from_numpy, Tensor.new_tensor)


class Copies(TorchDispatchMode):
    """Notes the operations that go from the CPU to another device or back."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        tensors = [one for one in tree_leaves((arguments, options, result)) if isinstance(one, Tensor)]
        if len({one.device.type for one in tensors}) > 1:
            self.found.append(str(function))
        return result


class Numbers(TorchFunctionMode):
    """Notes tensors that are made of Python's numbers on another device than the CPU: they are copied there."""

    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_function__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        if function in MAKERS and result.device.type != "cpu":
            self.found.append(function.__name__)
        return result


class HostContact:
    """Collects in ``found`` what goes between host and device inside the block; a value that is read raises."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._modes = Copies(self.found), Numbers(self.found)

    def __enter__(self) -> "HostContact":
        for mode in self._modes:
            mode.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        for mode in reversed(self._modes):
            mode.__exit__(*error)


def without_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave autocast out, which does not know the meta device: all is in float32."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
