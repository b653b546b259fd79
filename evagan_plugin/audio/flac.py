"""How many samples a FLAC file holds, by its last frame and not by its header (RFC 9639, sections 8.2 and 9.1)."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"fLaC"
STREAM_INFO = 42
"""Bytes up to the end of the first metadata block, which says what all frames have in common."""
SYNC = (b"\xff\xf8", b"\xff\xf9")
"""What a frame begins with: blocks of one size, numbered, or of any size, with the number of their first sample."""
FRAME_HEAD = 16
"""Bytes of the longest head of a frame."""
SLACK = 2**17
"""Bytes of tags that some programs put after the last frame, at most."""


@dataclass(frozen=True)
class FlacLength:
    """Samples of a channel."""

    stated: int
    """In the header; 0 where it leaves them open, as in a file that was written to a pipe."""
    held: int
    """Up to the end of the last frame; 0 if none was found."""


def flac_length(path: str | Path) -> FlacLength | None:
    """Return stated and real length of a FLAC file, None for any other format.

    Raises:
        OSError: If the file cannot be read.
    """
    with open(path, "rb") as stream:
        info = stream.read(STREAM_INFO)
        if len(info) < STREAM_INFO or not info.startswith(MAGIC):
            return None
        block, largest = int.from_bytes(info[10:12]), int.from_bytes(info[15:18])
        packed = int.from_bytes(info[18:26])
        channels, bits, stated = (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1, packed & (1 << 36) - 1
        largest = largest or block * channels * (bits // 8 + 1) + 64
        end = stream.seek(0, 2)
        stream.seek(max(STREAM_INFO, end - 2 * largest - SLACK))
        tail = stream.read()
    return FlacLength(stated, _end_of_last_frame(tail, block, channels))


@contextmanager
def with_length(path: str | Path, samples: int) -> Iterator[Path]:
    """Yield a copy whose header states the length: libsndfile cannot read a file that leaves it open."""
    with tempfile.NamedTemporaryFile(suffix=".flac") as copy, open(path, "rb") as stream:
        info = bytearray(stream.read(STREAM_INFO))
        info[18:26] = (int.from_bytes(info[18:26]) >> 36 << 36 | samples).to_bytes(8)
        copy.write(info)
        shutil.copyfileobj(stream, copy)
        copy.flush()
        yield Path(copy.name)


def _end_of_last_frame(tail: bytes, block: int, channels: int) -> int:
    place = len(tail)
    while (place := max(tail.rfind(sync, 0, place + 1) for sync in SYNC)) >= 0:
        if found := _frame(tail[place : place + FRAME_HEAD], block, channels):
            return sum(found)
        place -= 1
    return 0


def _frame(head: bytes, block: int, channels: int) -> tuple[int, int] | None:
    """Return the first sample of a frame and how many it has, None if this is the head of no frame."""
    if len(head) < 6 or head[3] & 1:
        return None
    size_code, rate_code, channel_code = head[2] >> 4, head[2] & 15, head[3] >> 4
    shared = 2 if 8 <= channel_code <= 10 else channel_code + 1
    if size_code == 0 or rate_code == 15 or shared != channels or head[3] >> 1 & 7 == 3:
        return None
    number, place = _coded_number(head)
    if place == 0:
        return None
    if size_code in (6, 7):
        size = int.from_bytes(head[place : place + size_code - 5]) + 1
        place += size_code - 5
    else:
        size = 192 if size_code == 1 else 576 << size_code - 2 if size_code < 6 else 256 << size_code - 8
    place += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if place >= len(head) or _crc8(head[:place]) != head[place]:
        return None
    return (number if head[1] & 1 else number * block), size


def _coded_number(head: bytes) -> tuple[int, int]:
    """Return the number of a frame, coded as UTF-8 codes characters, and the place after it; 0 if it is none."""
    first = head[4]
    length = 8 - (first ^ 0xFF).bit_length()
    if length == 0:
        return first, 5
    if length == 1 or length > 7:
        return 0, 0
    rest = head[5 : 4 + length]
    if len(rest) < length - 1 or any(byte >> 6 != 2 for byte in rest):
        return 0, 0
    number = first & (0x7F >> length)
    for byte in rest:
        number = number << 6 | byte & 63
    return number, 4 + length


def _crc8(data: bytes) -> int:
    """Return the checksum of a frame's head (polynomial x^8 + x^2 + x + 1)."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ (0x107 if value & 0x80 else 0)) & 0x1FF
    return value
