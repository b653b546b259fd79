"""onnxruntime behind a vocoder: an exported generator in the place of a PyTorch module."""

from pathlib import Path

import torch
from torch import Tensor, nn

from evagan_plugin.errors import EvaganError, UsageError, library_errors, require


class OnnxGenerator(nn.Module):
    """An exported generator on the CPU, called like the one that it was made of; its weights are not PyTorch's.

    Args:
        model: The ONNX file, or its content.
        threads: Threads to compute with; as many as PyTorch has (``OMP_NUM_THREADS``) when None.

    Raises:
        EvaganError: If the file is damaged, or onnxruntime is not installed.
    """

    def __init__(self, model: str | Path | bytes, threads: int | None = None) -> None:
        super().__init__()
        onnxruntime = require("onnxruntime", "onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors; what its optimizer thinks of a graph is nothing to act on
        try:
            self.session = onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises kinds of its own, which it keeps in a private module
            name = "the exported model" if isinstance(model, bytes) else model
            raise EvaganError(f"{name} cannot be opened by onnxruntime: damaged or truncated") from error
        # Hosts ask the parameters of a module where it is.
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)
        self.inputs = [one.name for one in self.session.get_inputs()]

    def forward(self, mel: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map log-mels (B, n_mels, F), and a condition where the file takes one, to waveforms (B, 1, F * hop).

        Raises:
            UsageError: If a condition is given and not taken, or the other way round.
        """
        if (condition is not None) != ("condition" in self.inputs):
            given, takes = ("a ", "none") if condition is not None else ("no ", "one (generator.global_channels)")
            raise UsageError(f"{given}condition is given, but the exported generator takes {takes}")
        values = [mel] if condition is None else [mel, condition]
        feed = {name: value.float().cpu().numpy() for name, value in zip(self.inputs, values, strict=True)}
        with library_errors("onnxruntime"):
            return torch.from_numpy(self.session.run(["wav"], feed)[0])
