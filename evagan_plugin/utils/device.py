"""Where to compute, and what it takes: a device that a user names is looked for before anything long begins."""

import ctypes
import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

from evagan_plugin.errors import UsageError

DEVICE_NOTE = "device.txt"
"""File of a training's directory that says, in words, what it ran on."""
PEAK_RSS = "peak_rss_GB"
"""What :func:`peak_rss` is called in training logs (2**30 bytes), beside ESPnet's ``gpu_max_cached_mem_GB``."""


def checked_device(device: str | torch.device) -> torch.device:
    """Return a device that is there.

    Raises:
        UsageError: If it is not, or its name is not one of torch's.
    """
    try:
        device = torch.device(device)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"device '{device}' is not available: {str(error).splitlines()[0]}") from None
    return device


def describe_device(device: str) -> str:
    """Return in words what a device is: the GPU's name, or the CPU with the number of threads."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"the CPU, {threads} thread{'s' * (threads != 1)}"


def forget_peak(device: str | torch.device) -> None:
    """Let the peak of :func:`peak_memory` begin anew at what is used now; on a CPU, only under Linux."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError, AttributeError):  # what was freed is given back first
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory(device: str | torch.device) -> int:
    """Return the most memory (bytes) in use so far: PyTorch's on a GPU, else what the process has had resident."""
    return torch.cuda.max_memory_allocated(device) if torch.device(device).type == "cuda" else peak_rss()


def peak_rss() -> int:
    """Return the most memory (bytes) that this process has had resident so far."""
    try:
        # getrusage would count what the process had been before it called this program: a fork of a larger one.
        status = Path("/proc/self/status").read_text()
    except OSError:  # not Linux
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024
