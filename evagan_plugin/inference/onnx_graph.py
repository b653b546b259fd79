"""An exported graph made faster for onnxruntime, without changing what it computes."""

from typing import Any

from evagan_plugin.errors import require

CONVOLUTIONS = {"Conv", "ConvTranspose"}
ELEMENTWISE = {"Add", "Div", "LeakyRelu", "Mul", "Sigmoid"}
"""What may stand between the convolutions: it takes a further dimension as it is."""
STACK = "/upsampler/"
"""How the names of the upsampling stack's operations begin."""


def widen_convolutions(model: Any) -> bool:
    """Make the upsampling stack's convolutions along time two-dimensional, of height 1.

    onnxruntime has fast kernels, with a memory layout of their own, for convolutions of images only.

    Args:
        model: An ``onnx.ModelProto`` of ours, changed in place; left alone where its stack has no stages, or operations
            that depend on the number of dimensions (causal generators, even kernels, a condition).

    Returns:
        bool: Whether it was changed.
    """
    onnx = require("onnx", "onnx")
    graph = model.graph
    stack = _stack(graph)
    if not stack:
        return False
    first, last = stack[0], stack[-1]
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in stack:
        if node.op_type in CONVOLUTIONS:
            weight = weights[node.input[1]]
            weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight)[:, :, None], weight.name))
            for attribute in node.attribute:
                _widen(attribute)
    axis = onnx.helper.make_tensor("height_axis", onnx.TensorProto.INT64, [1], [2])
    graph.initializer.append(axis)
    before = onnx.helper.make_node("Unsqueeze", [first.input[0], axis.name], ["with_height"], STACK + "Unsqueeze")
    after = onnx.helper.make_node("Squeeze", ["last_with_height", axis.name], [last.output[0]], STACK + "Squeeze")
    first.input[0], last.output[0] = before.output[0], after.input[0]
    start = next(index for index, node in enumerate(graph.node) if node.name == first.name)
    graph.node.insert(start, before)
    end = next(index for index, node in enumerate(graph.node) if node.name == last.name)
    graph.node.insert(end + 1, after)
    return True


def _stack(graph: Any) -> list[Any]:
    """Return the operations from the stack's first convolution to its last; none if they cannot be widened."""
    places = [
        index
        for index, node in enumerate(graph.node)
        if node.op_type in CONVOLUTIONS and node.name.startswith(STACK) and len(_kernel(node)) == 1
    ]
    if not any(graph.node[index].op_type == "ConvTranspose" for index in places):
        return []
    between = graph.node[places[0] : places[-1] + 1]
    scalars = {node.output[0] for node in between if node.op_type == "Constant" and not node.attribute[0].t.dims}
    stack = [node for node in between if node.op_type != "Constant"]
    known = {stack[0].input[0]}
    for node in stack:
        data = node.input[:1] if node.op_type in CONVOLUTIONS else node.input
        if node.op_type not in CONVOLUTIONS | ELEMENTWISE or not set(data) <= known | scalars:
            return []
        known.update(node.output)
    return stack


def _kernel(node: Any) -> list[int]:
    return next(list(attribute.ints) for attribute in node.attribute if attribute.name == "kernel_shape")


def _widen(attribute: Any) -> None:
    """Give an attribute of a convolution the height: no step, no padding, one tap."""
    values = list(attribute.ints)
    if attribute.name == "pads":
        values = [0, values[0], 0, values[1]]
    elif attribute.name == "output_padding":
        values = [0, *values]
    elif attribute.name in ("kernel_shape", "dilations", "strides"):
        values = [1, *values]
    else:
        return
    del attribute.ints[:]
    attribute.ints.extend(values)
