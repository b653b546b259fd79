"""Figures that papers print, by the protocol that they were measured under."""

from dataclasses import dataclass
from typing import Any

from evagan_plugin.errors import UsageError, nearest
from evagan_plugin.evaluation.metrics.catalogue import select_metrics
from evagan_plugin.evaluation.report.tables import Cell, Column, Table


@dataclass(frozen=True)
class PublishedProtocol:
    """A corpus at a rate on which papers have published scores."""

    corpus: str
    sample_rate: int
    """Hz."""
    metrics: tuple[str, ...]
    """What was measured, by our names."""
    figures: dict[str, tuple[str, ...]]
    """By system, in the order of the metrics, with the digits that were printed."""

    @property
    def title(self) -> str:
        """Head of the table, by which nobody can take it for a measurement of this run."""
        return f"Published, other data ({self.corpus}, {self.sample_rate} Hz; not measured in this run)"

    def table(self) -> Table:
        """Return the published figures as a table."""
        by_name = {metric.name: metric for metric in select_metrics(self.metrics)}
        columns = [Column(by_name[name].label, by_name[name].better) for name in self.metrics]
        rows = [(Cell(system), *map(Cell, figures)) for system, figures in self.figures.items()]
        return Table((Column("system"), *columns), tuple(rows))

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        figures = {
            name: dict(zip(self.metrics, map(float, printed), strict=True)) for name, printed in self.figures.items()
        }
        return {"title": self.title, "sample_rate": self.sample_rate, "systems": figures}


PROTOCOLS = {
    "libritts": PublishedProtocol(
        corpus="LibriTTS",
        sample_rate=24000,
        metrics=("pesq_wb", "m_stft", "periodicity_rmse", "vuv_f1"),
        figures={
            "HiFi-GAN v1": ("2.947", "1.0017", "0.1565", "0.9300"),
            "BigVGAN-base": ("3.519", "0.8788", "0.1287", "0.9459"),
            "BigVGAN": ("4.027", "0.7997", "0.1018", "0.9598"),
            "EVA-GAN-base": ("4.0330", "0.9485", "0.0942", "0.9658"),
            "EVA-GAN-big": ("4.3536", "0.7982", "0.0751", "0.9745"),
            "BigVGAN-v2": ("4.362", "0.7026", "0.0593", "0.9793"),
            "PeriodWave-Turbo-L": ("4.454", "0.7358", "0.0528", "0.9756"),
        },
    )
}
"""From the papers of EVA-GAN (arXiv 2402.00892), BigVGAN (2206.04658) with its v2 release, and PeriodWave-Turbo
(2408.08019)."""


def find_protocol(name: str, sample_rate: int) -> PublishedProtocol:
    """Return a protocol whose rate is that of the audio.

    Raises:
        UsageError: If there is none of that name, or it is defined at another rate.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"unknown protocol '{name}': {nearest(name, PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    if protocol.sample_rate != sample_rate:
        raise UsageError(
            f"--protocol {name} is {protocol.corpus} at {protocol.sample_rate} Hz, the audio has {sample_rate} Hz: "
            "figures at different rates do not compare"
        )
    return protocol
