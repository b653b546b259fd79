"""Graphs made faster: what is changed, what is left alone, and that both compute what PyTorch does."""

import pytest
import torch
from exports import small_model

from evagan_plugin.inference.export import onnx_model
from evagan_plugin.inference.onnx_engine import OnnxGenerator

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")


def kernels(content: bytes) -> list[list[int]]:
    """Return the kernels of the upsampling stack's convolutions."""
    return [
        list(attribute.ints)
        for node in onnx.load_model_from_string(content).graph.node
        if node.op_type in ("Conv", "ConvTranspose") and node.name.startswith("/upsampler/")
        for attribute in node.attribute
        if attribute.name == "kernel_shape"
    ]


@pytest.mark.parametrize(
    ("options", "wide"),
    [
        ({}, True),
        ({"activation": "leaky_relu"}, True),
        ({"upsample_rates": [2], "head": {"istft": {"n_fft": 16, "hop_length": 4}}}, True),
        ({"upsample_rates": [], "head": {"istft": {"n_fft": 64, "hop_length": 8}}}, False),
        ({"causal": True}, False),
        ({"global_channels": 3}, False),
    ],
)
def test_convolutions_along_time_get_a_height_where_that_changes_nothing(options, wide):
    _, generator = small_model(**options)
    generator.remove_weight_norm().eval()
    content = onnx_model(generator)
    assert {len(kernel) for kernel in kernels(content)} == {2 if wide else 1}
    inputs = [torch.randn(2, 10, 19) * 2.5 - 5]
    if channels := options.get("global_channels"):
        inputs.append(torch.randn(2, channels, 1))
    with torch.inference_mode():
        assert torch.allclose(OnnxGenerator(content, 1)(*inputs), generator(*inputs), atol=1e-5)
