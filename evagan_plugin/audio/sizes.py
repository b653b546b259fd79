"""Audio that a file holds beyond what its header states, which libsndfile passes over without a word."""

from pathlib import Path
from typing import BinaryIO

UNKNOWN_SIZE = 0x7FFFF000
"""A WAV that was written to a pipe states a data size from here up: its true size is not known to the writer."""
CHUNK_HEAD = 8
"""Bytes of a chunk's name and size; fewer at the end of a file are padding."""
TAGS = (b"ID3", b"TAG", b"APE")
"""What tags begin with that some programs put after the audio."""
CONTAINERS = {b"RIFF": ("little", b"data"), b"FORM": ("big", b"SSND")}
"""Byte order of WAV and AIFF, and the chunk that holds the samples."""


def unread_audio(path: str | Path) -> tuple[int, int] | None:
    """Compare the header of a WAV, AIFF or AU file with its size.

    Returns:
        Bytes of audio that the header states and bytes from the first sample to the end of the file, if more follows
        the stated audio than chunks and tags; else None, also for any other format and a size that the header leaves
        open.

    Raises:
        OSError: If the file cannot be read.
    """
    with open(path, "rb") as stream:
        end = stream.seek(0, 2)
        stream.seek(0)
        magic = stream.read(4)
        if magic == b".snd":
            start, stated = (int.from_bytes(stream.read(4), "big") for _ in range(2))
        elif magic in CONTAINERS:
            order, name = CONTAINERS[magic]
            start, stated = _find_chunk(stream, 12, end, order, name)
        else:
            return None
        if not start or stated >= UNKNOWN_SIZE or start + stated >= end:
            return None
        # An odd chunk is followed by a byte of padding, which some programs leave out.
        if any(_is_accounted_for(stream, start + stated + pad, end, magic) for pad in (0, stated % 2)):
            return None
        return stated, end - start


def _find_chunk(stream: BinaryIO, place: int, end: int, order: str, wanted: bytes) -> tuple[int, int]:
    """Return where the content of a chunk starts and its size in bytes; ``(0, 0)`` if there is none."""
    while place + CHUNK_HEAD <= end:
        stream.seek(place)
        name, size = stream.read(4), int.from_bytes(stream.read(4), order)
        if name == wanted:
            return place + CHUNK_HEAD, size
        place += CHUNK_HEAD + size + size % 2
    return 0, 0


def _is_accounted_for(stream: BinaryIO, place: int, end: int, magic: bytes) -> bool:
    """Whether from a place to the end of the file there are only chunks, tags, or a few bytes of padding."""
    while end - place >= CHUNK_HEAD:
        stream.seek(place)
        name = stream.read(4)
        if name.startswith(TAGS):
            return True
        order = CONTAINERS.get(magic, ("", b""))[0]
        if not order or (not name.isalnum() and not name.replace(b" ", b"").replace(b"_", b"").isalnum()):
            return False
        size = int.from_bytes(stream.read(4), order)
        place += CHUNK_HEAD + size + size % 2
        if place > end + 1:
            return False
    return True
