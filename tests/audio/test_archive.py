"""Audio in Kaldi archives is read by every command as the same audio in files is."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evagan_plugin.audio.io import load_audio
from evagan_plugin.errors import EvaganError

RATE = 16000


def recording(seed: int, samples: int = 12000) -> np.ndarray:
    time = np.arange(samples) / RATE
    noise = 0.01 * np.random.default_rng(seed).standard_normal(samples)
    return (0.2 * np.sin(2 * np.pi * (200 + 50 * seed) * time) + noise).astype(np.float32)


def encoded(wav: np.ndarray, kind: str) -> bytes:
    """Return an entry: a WAV file as Kaldi copies it, or a file after ESPnet's mark."""
    stream = io.BytesIO()
    soundfile.write(stream, wav, RATE, format=kind.split()[0], subtype="PCM_16" if kind != "OGG" else "VORBIS")
    content = stream.getvalue()
    if kind == "WAV":
        return content
    return b"AUDIO" + bytes([4]) + len(content).to_bytes(4, "little") + content


@pytest.fixture(params=["WAV", "FLAC", "OGG"])
def archived(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, Path]:
    """Data directories with the same three recordings: in an archive, and in files."""
    packed, plain = tmp_path / "packed", tmp_path / "plain"
    packed.mkdir()
    plain.mkdir()
    content, lines, files = b"", "", ""
    for seed in range(3):
        entry, name = encoded(recording(seed), request.param), f"u{seed}"
        content += f"{name} ".encode()
        lines += f"{name} {packed}/wav.ark:{len(content)}\n"
        content += entry
        path = plain / f"{name}.{request.param.lower()}"
        path.write_bytes(entry[10:] if entry.startswith(b"AUDIO") else entry)
        files += f"{name} {path}\n"
    (packed / "wav.ark").write_bytes(content)
    (packed / "wav.scp").write_text(lines)
    (plain / "wav.scp").write_text(files)
    return packed, plain


def places(folder: Path) -> list[str]:
    return [line.split()[1] for line in (folder / "wav.scp").read_text().splitlines()]


def test_entries_are_what_the_files_are(archived: tuple[Path, Path]):
    for place, file in zip(*map(places, archived), strict=True):
        (ours, rate), (theirs, _) = load_audio(place), load_audio(file)
        assert rate == RATE and np.array_equal(ours, theirs) and ours.shape[1] == 12000


def test_format_and_score_take_them(evagan: Callable, archived: tuple[Path, Path], tmp_path: Path):
    packed, plain = archived
    for folder in (packed, plain):
        status, _, errors = evagan("format", folder, tmp_path / f"out_{folder.name}", "--sample-rate", RATE)
        assert status == 0, errors
    for name in ("u0", "u1", "u2"):
        ours, theirs = (tmp_path / f"out_{folder.name}" / "data" / f"{name}.wav" for folder in archived)
        assert ours.read_bytes() == theirs.read_bytes()
    status, _, errors = evagan("score", packed, f"same={plain}", "--metrics", "log_mel_l1", "--out", tmp_path / "s")
    assert status == 0, errors
    with (tmp_path / "s" / "utterances.csv").open() as stream:
        assert [(row["utt_id"], float(row["log_mel_l1"])) for row in csv.DictReader(stream)] == [
            ("u0", 0.0),
            ("u1", 0.0),
            ("u2", 0.0),
        ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content, start: content[: start + 500], "truncated: its header states"),
        (lambda content, start: content[:start] + b"\0BFM " + content[start + 5 :], "no audio there"),
        (lambda content, start: content[:start] + b"RIFF\x20\0\0\0WAVEfmt " + bytes(100), "not readable as audio"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_is_wrong_in_an_archive_names_the_place(tmp_path: Path, change: Callable | None, message: str):
    place = f"{tmp_path}/wav.ark:3"
    if change is not None:
        (tmp_path / "wav.ark").write_bytes(change(b"u0 " + encoded(recording(0), "WAV"), 3))
    with pytest.raises(EvaganError, match=message) as caught:
        load_audio(place)
    assert place in str(caught.value) and "\n" not in str(caught.value)
