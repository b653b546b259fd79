"""How well ``evagan curate`` sees where sound ends: recordings ended at known frequencies, and the share it finds."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from evagan_plugin.audio.bandwidth import measure_band
from evagan_plugin.audio.io import downmix, load_audio
from evagan_plugin.benchmark.degraded import degrade, missing, music_like
from evagan_plugin.data.corpus import stable_hash
from evagan_plugin.data.utterances import find_utterances
from evagan_plugin.errors import UsageError
from evagan_plugin.utils.progress import track

TOLERANCE = 1000.0
"""Hz."""
RATES = (44100, 48000)
SHORTEST = 1.5
"""Seconds of a recording at least."""


def curate(
    audio: Annotated[Path | None, typer.Option(help="Folder of lossless wide-band audio instead of noise.")] = None,
    items: Annotated[int, typer.Option(min=1, help="Recordings (drawn by their names) to end in every way.")] = 10,
    seconds: Annotated[float, typer.Option(min=2.0, help="Length of each at most.")] = 5.0,
    misses: Annotated[bool, typer.Option("--misses", help="List what is further off.")] = False,
) -> None:
    """Print for each kind of low-pass, upsampler and codec how many bandwidths are found within 1 kHz."""
    made, right, cut = Counter(), Counter(), Counter()
    untouched = 0
    sources = _folder(audio, items, seconds) if audio else _noises(items, seconds)
    for name, wav, sample_rate in track(sources, "bandwidth", items):
        untouched += measure_band(_rounded(wav), sample_rate, 16).cut_by is not None
        for one in degrade(wav, sample_rate):
            band = measure_band(_rounded(one.wav), one.sample_rate, 16)
            good = abs(band.bandwidth - one.cutoff) <= TOLERANCE
            made[one.kind] += 1
            right[one.kind] += good
            cut[one.kind] += band.cut_by is not None
            if misses and not good:
                typer.echo(
                    f"{name}, {one.kind}, {one.setting}: ends at {one.cutoff:.0f} Hz, found {band.bandwidth:.0f}"
                )
    if not made:
        raise UsageError(f"{audio}: nothing in it sounds high enough to be ended")
    typer.echo(f"{'kind':12}{'files':>7}{'within 1 kHz':>14}{'seen as cut':>13}")
    for kind in made:
        typer.echo(f"{kind:12}{made[kind]:>7}{right[kind] / made[kind]:>14.1%}{cut[kind] / made[kind]:>13.1%}")
    total = made.total()
    typer.echo(f"{'all':12}{total:>7}{right.total() / total:>14.1%}{cut.total() / total:>13.1%}")
    typer.echo(f"{'untouched':12}{items:>7}{'':>14}{untouched / items:>13.1%}")
    if reason := missing():
        typer.echo(f"AAC was not made: {reason}")


def _noises(items: int, seconds: float):
    for number in range(items):
        rate = RATES[number % len(RATES)]
        yield f"noise {number}", music_like(seconds, rate, number), rate


def _folder(folder: Path, items: int, seconds: float):
    found = sorted(find_utterances(folder), key=lambda one: stable_hash(one.utt_id))
    for utterance in found:
        wav, rate = load_audio(utterance.source)
        mono = downmix(wav)[: round(seconds * rate)]
        if rate >= RATES[0] and len(mono) >= SHORTEST * rate and mono.any():
            yield utterance.utt_id, mono, rate
            items -= 1
            if not items:
                return


def _rounded(wav: np.ndarray) -> np.ndarray:
    """Return samples ``(1, T)`` as a file of 16 bits holds them."""
    return (np.round(wav * 2**15).clip(-(2**15), 2**15 - 1) / 2**15).astype(np.float32)[None]
