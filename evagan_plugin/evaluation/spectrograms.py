"""Mel spectrogram pictures: reference and systems side by side on one colour scale, and what differs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from evagan_plugin.audio.io import downmix, load_audio
from evagan_plugin.audio.mel import MelSpectrogram, metric_mel
from evagan_plugin.data.names import REFERENCE
from evagan_plugin.data.systems import check_system_names, common_sample_rate, match
from evagan_plugin.errors import UsageError, nearest
from evagan_plugin.utils.figures import caption, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

BANDS = 128
RANGE_DB = 80.0
"""From the loudest point of the picture down to the darkest colour."""
LEVEL_COLOURS, DIFFERENCE_COLOURS = "magma", "RdBu_r"
"""Colour maps of matplotlib."""
DIFFERENCE_DB = 40.0
"""Either way, from no difference to the strongest colour."""
TICKS_HZ = (500, 1000, 2000, 4000, 8000, 16000)
PANEL_INCHES = (3.6, 2.2)


def plot_systems(
    reference: str | Path,
    systems: Mapping[str, str | Path],
    out: str | Path,
    utterances: Sequence[str] | None = None,
    rows: int = 4,
    allow_pipes: bool = False,
) -> None:
    """Write a picture of reference and systems.

    Args:
        reference: Directory of audio, ``wav.scp``, directory that holds one, or an audio file.
        systems: The same of each system, by name.
        out: Picture file (.png, .pdf, .svg).
        utterances: Which to draw; by default ``rows`` of them, evenly chosen.
        rows: How many to draw where none are named.
        allow_pipes: Run the commands that a ``wav.scp`` may have in the place of files.

    Raises:
        UsageError: If an utterance is unknown, nothing is shared, a system is called "reference", or sample rates
            differ.
        EvaganError: If an audio file is bad or the picture cannot be written.
    """
    check_system_names(systems)
    items = {item.utt_id: item for item in match(reference, systems, pipes=allow_pipes)[0]}
    for utterance in utterances or ():
        if utterance not in items:
            raise UsageError(f"no utterance '{utterance}' in {reference} and a system: {nearest(utterance, items)}")
    chosen = utterances or [
        list(items)[round(place)] for place in np.linspace(0, len(items) - 1, min(rows, len(items)))
    ]
    picked = [items[utterance] for utterance in chosen]
    sample_rate = common_sample_rate(picked)
    waves = {
        item.utt_id: {
            name: downmix(load_audio(path)[0]) for name, path in {REFERENCE: item.reference, **item.hypotheses}.items()
        }
        for item in picked
    }
    save_figure(mel_figure(waves, sample_rate), out)


def mel_figure(rows: Mapping[str, Mapping[str, np.ndarray]], sample_rate: int) -> "Figure":
    """Draw waveforms as mel spectrograms over the full band, 0 to half the sample rate.

    Args:
        rows: By utterance id, waveforms ``(T,)`` by name (reference first). A row may lack a name; its place stays
            empty then.
        sample_rate: Of all waveforms, in Hz.

    Returns:
        A figure without a window (Agg); also what TensorBoard's ``add_figure`` takes.

    Raises:
        UsageError: If there is nothing to draw or a waveform is too short for a spectrogram.
        EvaganError: If matplotlib is missing.
    """
    names = list(dict.fromkeys(name for waves in rows.values() for name in waves))
    if not names:
        raise UsageError("nothing to draw")
    # Every panel is drawn against the loudest point of all, so that colours compare across the picture.
    pictures = {key: {name: _mel_db(wav, sample_rate) for name, wav in waves.items()} for key, waves in rows.items()}
    loudest = max(float(picture.max()) for row in pictures.values() for picture in row.values())
    width, height = PANEL_INCHES
    figure = new_figure(width * len(names) + 1.2, height * len(rows) + 0.6)
    panels = figure.subplots(len(rows), len(names), squeeze=False, sharey=True)
    image = None
    for line, (key, waves) in enumerate(rows.items()):
        seconds = max(wav.size for wav in waves.values()) / sample_rate
        for column, name in enumerate(names):
            panel = panels[line, column]
            if name in waves:
                image = _draw(panel, pictures[key][name], waves[name].size / sample_rate, loudest)
                panel.set_xlim(0, seconds)
            else:
                panel.text(0.5, 0.5, "no audio", transform=panel.transAxes, ha="center", va="center")
            if line == 0:
                panel.set_title(caption(name), fontsize=10)
        _label_row(panels[line], key, sample_rate)
    for panel in panels[-1]:
        panel.set_xlabel("time (s)")
    figure.colorbar(image, ax=panels, label="level (dB)", fraction=0.03, pad=0.01)
    return figure


def difference_figure(
    utt_id: str, reference: np.ndarray, system: np.ndarray, name: str, sample_rate: int, loudest: float
) -> "Figure":
    """Draw reference, system and their difference as mel spectrograms over the full band, time and frequency alike.

    Args:
        utt_id: Name of the row.
        reference: Samples ``(T,)``.
        system: Samples ``(T,)`` of what is compared with it.
        name: Of the system.
        sample_rate: Of both, in Hz.
        loudest: Level in dB that the colours begin at, see :func:`loudest_level`; what lies :data:`RANGE_DB` below
            it counts as silence, in the difference too.

    Raises:
        EvaganError: If matplotlib is missing.
    """
    width, height = PANEL_INCHES
    figure = new_figure(3 * width + 1.6, height + 0.5)
    panels = figure.subplots(1, 3, sharey=True)
    levels = [np.maximum(_mel_db(wav, sample_rate), loudest - RANGE_DB) for wav in (reference, system)]
    seconds = reference.size / sample_rate
    for panel, picture in zip(panels, levels, strict=False):
        image = _draw(panel, picture, seconds, loudest)
    difference = _draw(panels[2], levels[1] - levels[0], seconds, 0.0)
    difference.set(cmap=DIFFERENCE_COLOURS, clim=(-DIFFERENCE_DB, DIFFERENCE_DB))
    for panel, title in zip(panels, (REFERENCE, caption(name), "difference: too loud red, too soft blue"), strict=True):
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("time (s)")
    _label_row(panels, utt_id, sample_rate)
    figure.colorbar(image, ax=panels[:2], label="level (dB)", fraction=0.03, pad=0.01)
    figure.colorbar(difference, ax=panels[2], label="difference (dB)", fraction=0.05, pad=0.01)
    return figure


def loudest_level(waves: Iterable[np.ndarray], sample_rate: int) -> float:
    """Return the highest level (dB) of the spectrograms of several waveforms ``(T,)``, for one scale of them all."""
    return max(float(_mel_db(wav, sample_rate).max()) for wav in waves)


def _draw(panel: "Axes", picture: np.ndarray, seconds: float, loudest: float) -> "AxesImage":
    return panel.imshow(
        picture - loudest,
        origin="lower",
        aspect="auto",
        cmap=LEVEL_COLOURS,
        vmin=-RANGE_DB,
        vmax=0.0,
        extent=(0.0, seconds, 0.0, BANDS),
    )


def _label_row(panels: Sequence["Axes"], utt_id: str, sample_rate: int) -> None:
    """Name the row and put ticks at round frequencies."""
    top = sample_rate / 2
    ticks = [0, *(hertz for hertz in TICKS_HZ if hertz < 0.85 * top), top]
    places = _band_of(ticks, sample_rate)
    for panel in panels:
        panel.set_yticks(places, [f"{hertz / 1000:.4g}" for hertz in ticks])
        panel.set_ylim(0, BANDS)
        panel.tick_params(labelsize=8)
    panels[0].set_ylabel(f"{caption(utt_id)}\nfrequency (kHz)", fontsize=9)


def _band_of(hertz: Sequence[float], sample_rate: int) -> np.ndarray:
    """Return where frequencies lie on the axis of bands, by the centers of the transform's own filters."""
    filters = _transform(sample_rate).filters.numpy()
    bins = np.linspace(0.0, sample_rate / 2, filters.shape[1])
    centers = filters @ bins / filters.sum(axis=1)
    return np.interp(hertz, [0.0, *centers, sample_rate / 2], [0.0, *np.arange(BANDS) + 0.5, BANDS])


@cache
def _transform(sample_rate: int) -> MelSpectrogram:
    return MelSpectrogram(replace(metric_mel(sample_rate), n_mels=BANDS, n_fft=2048, log="db", filter_norm="none"))


def _mel_db(wav: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return mel magnitudes in dB ``(bands, frames)``, full band."""
    signal = torch.from_numpy(np.ascontiguousarray(wav, dtype=np.float32)).view(1, 1, -1)
    with torch.no_grad():
        return _transform(sample_rate)(signal)[0].numpy()
