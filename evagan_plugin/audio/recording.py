"""Audio files read by seeking: of an hour, no more than the seconds that are asked for.

Of MP3 and Vorbis, in which seeking is not exact, all that comes before is decoded too, and thrown away block by block;
what is read forward, also by opening the file again, is decoded once.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evagan_plugin.audio.archive import audio_file, source_state
from evagan_plugin.audio.io import MP3_SLACK, AudioFile, check_notes, downmix, opened
from evagan_plugin.errors import EvaganError

PASSED_OVER = 2**16
"""Samples of what stands before a stretch that are decoded at a time where seeking is not exact."""


@dataclass(frozen=True)
class Recording:
    """A stretch of an open audio file: it has a length, and a slice of it reads these samples and no others."""

    path: str
    """For errors."""
    audio: AudioFile
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
        """Return samples (T,) as float32, full scale 1.0, the mean of all channels; the rest as :meth:`channels`."""
        first, last, _ = stretch.indices(len(self))
        return downmix(self.channels(first, last))

    def blocks(self, samples: int) -> Iterator[np.ndarray]:
        """Yield all of it as :meth:`channels`, in blocks (channels, T) of so many samples; the last has fewer."""
        for first in range(0, len(self), samples):
            yield self.channels(first, min(first + samples, len(self)))

    def channels(self, first: int, last: int) -> np.ndarray:
        """Return samples (channels, T) as float32, full scale 1.0, from a sample of it to the one after the last.

        At the end of an MP3, whose header is not exact, there may be fewer.

        Raises:
            EvaganError: If the file ends before they do.
        """
        samples = self._read(self.first + first, max(last - first, 0))
        if len(samples) < last - first - (MP3_SLACK if self.audio.format == "MP3" else 0):
            raise EvaganError(
                f"{self.path}: truncated: {len(samples)} of {last - first} samples could be read at sample "
                f"{self.first + first}, its header states {self.audio.frames}"
            )
        return np.ascontiguousarray(samples.T)

    def _read(self, first: int, samples: int) -> np.ndarray:
        """Return samples (T, channels) of the file."""
        if self.audio.seekable():
            self.audio.seek(first)
        else:
            self._pass_over(first)
        # No more than the header states, as where seeking is exact.
        samples = min(samples, max(self.audio.frames - first, 0))
        read = self.audio.read(samples, dtype="float32", always_2d=True)
        self.audio.place += len(read)
        return read

    def _pass_over(self, first: int) -> None:
        """Decode up to a sample, from where the file stands or, if that is further on, from its beginning."""
        if self.audio.place > first:
            self.audio.seek(0)
            self.audio.place = 0
        while left := first - self.audio.place:
            passed = len(self.audio.read(min(left, PASSED_OVER), dtype="float32"))
            if not passed:
                return
            self.audio.place += passed


class _LastFile(threading.local):
    """The file without exact seeking that a thread has read last, left open where it stands."""

    of: tuple[int, str, str] | None = None
    """Process (one that is forked shares its parent's place in the file), path, and state of the file."""
    audio: AudioFile | None = None
    held: ExitStack | None = None

    @contextmanager
    def opened(self, path: Path) -> Iterator[AudioFile]:
        """Open a file, or go on with it; an error closes it."""
        of = (os.getpid(), str(path.absolute()), source_state(path))
        last, held, audio = self.of, self.held, self.audio
        self.of = self.held = self.audio = None
        if held and last != of:
            held.close()
            held = None
        with held or ExitStack() as stack:
            if not held:
                audio = stack.enter_context(opened(path))
            yield audio
            if not audio.seekable():
                if self.held:  # another was opened inside
                    self.held.close()
                self.of, self.audio, self.held = of, audio, stack.pop_all()


_last_file = _LastFile()


@contextmanager
def open_recording(path: str | Path) -> Iterator[Recording]:
    """Open an audio file, or one inside a Kaldi archive (``FILE.ark:OFFSET``).

    Raises:
        EvaganError: If it is missing, empty, no audio, known to be truncated, or a library fails inside the block.
    """
    with audio_file(path) as file, (_last_file.opened if file == Path(path) else opened)(file) as audio:
        check_notes(file, audio.extra_info)
        yield Recording(str(path), audio, 0, audio.frames)
