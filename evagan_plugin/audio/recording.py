"""Audio files read by seeking: of an hour, no more than the seconds that are asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from evagan_plugin.audio.archive import audio_file
from evagan_plugin.audio.io import MP3_SLACK, WRONG_PLACE, check_notes, downmix, opened
from evagan_plugin.errors import EvaganError


@dataclass(frozen=True)
class Recording:
    """A stretch of an open audio file: it has a length, and a slice of it reads these samples and no others."""

    path: str
    """For errors."""
    audio: soundfile.SoundFile
    first: int
    """Sample of the file that it begins with."""
    last: int
    """The one after its end."""

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.audio.samplerate

    def __len__(self) -> int:
        return self.last - self.first

    def part(self, first: int, last: int) -> "Recording":
        """Return a stretch of this one, from a sample of it to the one after the last."""
        return replace(self, first=self.first + first, last=self.first + last)

    def __getitem__(self, stretch: slice) -> np.ndarray:
        """Return samples (T,) as float32, full scale 1.0, the mean of all channels.

        At the end of an MP3, whose header is not exact, there may be fewer.

        Raises:
            EvaganError: If the file ends before they do.
        """
        first, last, _ = stretch.indices(len(self))
        samples = self._read(self.first + first, max(last - first, 0))
        if len(samples) < last - first - (MP3_SLACK if self.audio.format == "MP3" else 0):
            raise EvaganError(
                f"{self.path}: truncated: {len(samples)} of {last - first} samples could be read at sample "
                f"{self.first + first}, its header states {self.audio.frames}"
            )
        return downmix(np.ascontiguousarray(samples.T))

    def _read(self, first: int, samples: int) -> np.ndarray:
        """Return samples (T, channels) of the file."""
        beside = bool(WRONG_PLACE & {self.audio.format, self.audio.subtype})
        begin = 0 if beside else first
        self.audio.seek(begin)
        # In one go: soundfile seeks between two reads, too.
        return self.audio.read(first - begin + samples, dtype="float32", always_2d=True)[first - begin :]


@contextmanager
def open_recording(path: str | Path) -> Iterator[Recording]:
    """Open an audio file, or one inside a Kaldi archive (``FILE.ark:OFFSET``).

    Raises:
        EvaganError: If it is missing, empty, no audio, known to be truncated, or a library fails inside the block.
    """
    with audio_file(path) as file, opened(file) as audio:
        check_notes(file, audio.extra_info)
        yield Recording(str(path), audio, 0, audio.frames)
