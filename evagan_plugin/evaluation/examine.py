"""Whether what is installed works: asked by ``evagan doctor``, in a process of its own."""

import importlib
from collections.abc import Iterator

import numpy as np
import torch

from evagan_plugin.errors import EvaganError
from evagan_plugin.evaluation.metrics.base import NotScored
from evagan_plugin.evaluation.metrics.catalogue import all_families
from evagan_plugin.evaluation.metrics.cepstrum import GeneralisedCepstrum
from evagan_plugin.evaluation.metrics.periodicity import Periodicity
from evagan_plugin.utils.finding import Finding

MODULES = {"pyyaml": "yaml", "setuptools": "pkg_resources"}
"""What is imported of a package that is not called as its module."""
SLOW = (Periodicity, GeneralisedCepstrum)
"""Families that compile for seconds at their first signal: their libraries are loaded, no signal is measured."""
SAMPLE_RATE, SECONDS, PITCH = 16000, 0.5, 150.0
"""Of the signal that is measured: a tone (Hz) in noise."""


def examine(*packages: str) -> Iterator[Finding]:
    """Compute on every device, import packages, load the library of every metric and measure with most of them."""
    yield from _devices()
    for package in packages:
        try:
            importlib.import_module(MODULES.get(package, package.replace("-", "_")))
        except Exception as error:  # whatever a package throws is what is asked for
            yield Finding.failure(package, error, "cannot be imported")
    yield from _metrics()


def _devices() -> Iterator[Finding]:
    names = {f"cuda:{index}": torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())}
    for device, name in ({"cpu": f"{torch.get_num_threads()} threads"} | names).items():
        try:
            torch.nn.functional.conv1d(*torch.ones(2, 1, 1, 1, device=device)).cpu()
        except Exception as error:  # a driver or a build of PyTorch that is not for this device
            yield Finding.failure(device, error)
        else:
            yield Finding(device, name)
    if not names:
        yield Finding("cuda", "no GPU that PyTorch can use")


def _metrics() -> Iterator[Finding]:
    times = np.arange(int(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(times))
    wav = (0.3 * np.sin(2 * np.pi * PITCH * times) + noise).astype(np.float32)
    working = []
    for family in all_families():
        names = ", ".join(metric.name for metric in family.metrics)
        try:
            family.prepare()
            if not isinstance(family, SLOW):
                family.compare(family.analyse(wav, SAMPLE_RATE), family.analyse(wav, SAMPLE_RATE))
        except EvaganError:  # a package that is not installed is spoken of elsewhere
            continue
        except NotScored:  # so short a signal; the library is there
            pass
        except Exception as error:  # as above
            yield Finding.failure(names, error)
            continue
        working.append(names)
    yield Finding("metrics", ", ".join(working) or "none without the extra 'score'")
