"""Figures that papers print, by the protocol that they were measured under."""

from dataclasses import dataclass
from typing import Any

from evagan_plugin.errors import UsageError, nearest
from evagan_plugin.evaluation.metrics.catalogue import select_metrics
from evagan_plugin.evaluation.report.tables import Cell, Column, Table


@dataclass(frozen=True)
class PublishedRow:
    """What one source prints of one system."""

    system: str
    set: str
    """Part of the corpus that it was measured on: figures of different parts do not compare."""
    source: str
    """Whose measurement it is."""
    figures: tuple[str, ...]
    """In the order of the protocol's metrics, with the digits that were printed; empty where there is none."""


@dataclass(frozen=True)
class PublishedProtocol:
    """A corpus at a rate on which papers have published scores."""

    corpus: str
    sample_rate: int
    """Hz."""
    metrics: tuple[str, ...]
    """What was measured: metrics by our names, others as in :data:`OTHERS`."""
    rows: tuple[PublishedRow, ...]

    @property
    def title(self) -> str:
        """Head of the table, by which nobody can take it for a measurement of this run."""
        return f"Published, other data ({self.corpus}, {self.sample_rate} Hz; not measured in this run)"

    @property
    def own_metrics(self) -> tuple[str, ...]:
        """Those of its metrics that are measured here, too."""
        return tuple(name for name in self.metrics if name not in OTHERS)

    def table(self) -> Table:
        """Return the published figures as a table, each with its set and its source."""
        known = {metric.name: Column(metric.label, metric.better) for metric in select_metrics(self.own_metrics)}
        columns = [(known | OTHERS)[name] for name in self.metrics]
        rows = [(Cell(row.system), *map(Cell, row.figures), Cell(row.set), Cell(row.source)) for row in self.rows]
        return Table((Column("system"), *columns, Column("set"), Column("measured by")), tuple(rows))

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON values; null where there is none."""
        rows = [
            {"system": row.system, "set": row.set, "source": row.source}
            | {name: float(text) if text else None for name, text in zip(self.metrics, row.figures, strict=True)}
            for row in self.rows
        ]
        return {"title": self.title, "sample_rate": self.sample_rate, "rows": rows}


OTHERS = {"utmos": Column("UTMOS", "higher"), "real_time_factor": Column("real-time factor (their CPU)", "lower")}
"""Published figures that no metric here measures."""
BIGVGAN, FLOW2GAN, VOCODE = "BigVGAN's authors", "Flow2GAN's authors", "VOCODE's authors"
PROTOCOLS = {
    "libritts": PublishedProtocol(
        corpus="LibriTTS",
        sample_rate=24000,
        metrics=("pesq_wb", "m_stft", "periodicity_rmse", "vuv_f1"),
        rows=(
            PublishedRow("HiFi-GAN v1", "dev", BIGVGAN, ("2.947", "1.0017", "0.1565", "0.9300")),
            PublishedRow("BigVGAN-base", "dev", BIGVGAN, ("3.519", "0.8788", "0.1287", "0.9459")),
            PublishedRow("BigVGAN", "dev", BIGVGAN, ("4.027", "0.7997", "0.1018", "0.9598")),
            PublishedRow("BigVGAN-v2", "dev", BIGVGAN, ("4.362", "0.7026", "0.0593", "0.9793")),
            PublishedRow("EVA-GAN-base", "dev", "EVA-GAN's authors", ("4.0330", "0.9485", "0.0942", "0.9658")),
            PublishedRow("EVA-GAN-big", "dev", "EVA-GAN's authors", ("4.3536", "0.7982", "0.0751", "0.9745")),
            PublishedRow("PeriodWave-Turbo-L", "dev", "its authors", ("4.454", "0.7358", "0.0528", "0.9756")),
            PublishedRow("ComVo base", "not stated", "its authors", ("3.822", "0.858", "0.0925", "0.9602")),
            PublishedRow("ComVo large", "not stated", "its authors", ("3.999", "0.823", "0.0751", "0.9706")),
            PublishedRow("Flow2GAN, 4 steps", "test", FLOW2GAN, ("4.484", "", "0.037", "0.985")),
            PublishedRow("Flow2GAN, 1 step", "test", FLOW2GAN, ("4.189", "", "0.063", "0.975")),
            PublishedRow("BigVGAN-v2", "test", FLOW2GAN, ("4.379", "", "0.055", "0.978")),
            PublishedRow("PeriodWave-Turbo", "test", FLOW2GAN, ("4.434", "", "0.096", "0.958")),
            PublishedRow("Vocos", "test", FLOW2GAN, ("3.618", "", "0.105", "0.951")),
        ),
    ),
    "ljspeech": PublishedProtocol(
        corpus="LJSpeech, about 125,000 updates",
        sample_rate=22050,
        metrics=("pesq_wb", "utmos", "real_time_factor"),
        rows=(
            PublishedRow("RNDVoC, 3.6 M", "test", VOCODE, ("3.895", "4.007", "0.084")),
            PublishedRow("Vocos", "test", VOCODE, ("3.614", "4.089", "0.0098")),
            PublishedRow("HiFi-GAN v1, 245,000 updates", "test", VOCODE, ("3.305", "4.203", "0.184")),
        ),
    ),
}
"""From the papers of EVA-GAN (arXiv 2402.00892), BigVGAN (2206.04658) with its v2 release, and PeriodWave-Turbo
(2408.08019), and the READMEs of ComVo, Flow2GAN and VOCODE."""


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
