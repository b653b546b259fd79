"""The activated convolution: the gradients of plain autograd, half of what it keeps."""

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from evagan_plugin.model.activation import Activation, activated_convolution

CONVOLUTIONS = {
    "plain": lambda: nn.Conv1d(4, 6, 3, padding=1),
    "dilated": lambda: nn.Conv1d(4, 6, 3, padding=3, dilation=3),
    "strided without bias": lambda: nn.Conv1d(4, 6, 3, stride=2, bias=False),
    "transposed": lambda: nn.ConvTranspose1d(4, 2, 8, stride=4, padding=2),
    "transposed, output padding": lambda: nn.ConvTranspose1d(4, 2, 6, stride=3, padding=2, output_padding=1),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
@pytest.mark.parametrize("name", ["silu", "leaky_relu"])
def test_gradients_pass_gradcheck_and_equal_autograds(kind, name):
    torch.manual_seed(0)
    conv = CONVOLUTIONS[kind]().double()
    activation = Activation(name)
    x = torch.randn(1, 4, 9, dtype=torch.double, requires_grad=True)
    parameters = list(conv.parameters())
    assert torch.autograd.gradcheck(
        lambda x, *_: activated_convolution(x, conv, activation, recompute=True), (x, *parameters)
    )
    results = []
    for recompute in (True, False):
        y = activated_convolution(x, conv, activation, recompute)
        results.append((y, *torch.autograd.grad((y * y).sum(), [x, *parameters])))
    for ours, plain in zip(*results, strict=True):
        assert torch.allclose(ours, plain, atol=1e-12)


def test_only_the_pre_activation_is_kept():
    conv = nn.Conv1d(8, 8, 3, padding=1)
    kept = {}
    for recompute in (True, False):
        storages = {}
        x = torch.randn(1, 8, 100, requires_grad=True) * 1.0

        def keep(tensor, storages=storages):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            activated_convolution(x, conv, Activation("silu"), recompute)
        storages.pop(conv.weight.untyped_storage().data_ptr())
        kept[recompute] = sum(storages.values())
    assert kept[True] == 8 * 100 * 4
    assert kept[False] == 2 * kept[True]


def test_frozen_parts_get_no_gradient():
    conv = nn.Conv1d(4, 4, 3, padding=1).requires_grad_(False)
    x = torch.randn(1, 4, 9, requires_grad=True)
    activated_convolution(x, conv, Activation("silu"), recompute=True).sum().backward()
    assert x.grad is not None and conv.weight.grad is None


def test_under_autocast_it_computes_and_keeps_bfloat16():
    torch.manual_seed(0)
    conv = nn.Conv1d(4, 4, 3, padding=1)
    x = torch.randn(1, 4, 50, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        ours = activated_convolution(x, conv, Activation("silu"), recompute=True)
        plain = activated_convolution(x, conv, Activation("silu"), recompute=False)
    assert ours.dtype == plain.dtype == torch.bfloat16
    assert torch.allclose(ours.float(), plain.float(), atol=2e-2)
    ours.float().sum().backward()
    assert conv.weight.grad.dtype == torch.float32
