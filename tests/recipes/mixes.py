"""What the tests of recipes that train on a mix have in common: real audio as sources, a model of a few steps."""

import csv
from pathlib import Path

import numpy as np
import soundfile
import yaml

CATEGORIES = {"music": ("music", "instrument", "singing"), "effects": ("drums", "sfx"), "speech": ("speech",)}
"""Categories of the real audio that stand in for each source."""
RATE = 16000
FEW_STEPS = {
    "vocoder": "eva_gan",
    "vocoder_conf": {
        "preset": "eva_gan_tiny_16k",
        "generator": {"context": {"dims": [16], "depths": [1]}, "channels": 16},
        "training": {"segment_frames": 16},
    },
    "batch_size": 2,
    "num_iters_per_epoch": 2,
    "max_epoch": 1,
    "num_att_plot": 0,
    "num_workers": 0,
}
"""Training config."""
RULES = {"min_bandwidth": 5000, "max_silence": 0.9, "shortest_cut": 2, "longest_cut": 6}
"""Rules of curation that cut what is here, and keep most of it."""


def write_configs(place: Path) -> list[object]:
    """Write a training config and rules of curation; return the options that name them."""
    (place / "train_few.yaml").write_text(yaml.safe_dump(FEW_STEPS))
    (place / "rules.yaml").write_text(yaml.safe_dump(RULES))
    return ["--train_config", "train_few.yaml", "--curation", "rules.yaml", "--nj", 1, "--train_threads", 1]


def recordings(shared_audio: Path, source: str, count: int, parts: int = 1) -> list[tuple[np.ndarray, int]]:
    """Return recordings (T,) and rates of a source: wide-band files of a second or more, ``parts`` in a row."""
    with (shared_audio / "fullband" / "manifest.tsv").open(encoding="utf-8") as stream:
        rows = [
            row
            for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
            if row["category"] in CATEGORIES[source]
            and float(row["duration"]) > 1
            and row["sample_rate"] == "44100"
            and float(row["effective_bandwidth_hz"]) > 14000
        ]
    chosen = rows[:: len(rows) // (count * parts)][: count * parts]
    files = [soundfile.read(shared_audio / "fullband" / row["path"], dtype="float32")[0] for row in chosen]
    assert len(files) == count * parts
    return [(np.concatenate(files[first : first + parts]), 44100) for first in range(0, len(files), parts)]


def lay_out(folder: Path, sounds: list[tuple[np.ndarray, int]], suffix: str = ".flac") -> None:
    """Write recordings two to a folder, with names as people give them."""
    for number, (wav, rate) in enumerate(sounds):
        path = folder / f"folder {number // 2}" / f"No. {number}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wav, rate)
