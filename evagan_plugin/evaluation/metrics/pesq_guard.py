"""``pesq`` with the check that it lacks, to run in a child: P.862's reference code has room for 50 utterances.

From the 51st on it writes over its own tables without a word, before it crashes some way further. How many there are is
what its own voice activity detection says of the reference; the steps before that are called here one by one.
"""

import ctypes
from pathlib import Path

import numpy as np
import pesq
from pesq import cypesq

MOST_UTTERANCES = 50
"""``MAXNUTTERANCES`` of ``pesq.h``."""
TOO_MANY = f"more than {MOST_UTTERANCES} utterances for P.862"
SHORTEST_UTTERANCE = 50
"""``MINUTTLENGTH``: windows of an utterance at least."""
WINDOW = 64
"""Samples of a window at 16 kHz."""
PADDING = 75 * WINDOW
"""Zeros (``SEARCHBUFFER``) before and after a signal."""
FADE = 16
"""Samples faded in wide-band mode."""
WHOLE_SIGNAL = -1
ALWAYS_FITS = MOST_UTTERANCES * SHORTEST_UTTERANCE * WINDOW
"""Samples, 10 s, in which there cannot be more."""


class _Signal(ctypes.Structure):
    """``SIGNAL_INFO``."""

    _fields_ = (
        ("path_name", ctypes.c_char * 512),
        ("file_name", ctypes.c_char * 128),
        ("samples", ctypes.c_long),
        ("swap", ctypes.c_long),
        ("input_filter", ctypes.c_long),
        ("data", ctypes.POINTER(ctypes.c_float)),
        ("vad", ctypes.POINTER(ctypes.c_float)),
        ("log_vad", ctypes.POINTER(ctypes.c_float)),
    )


class _Errors(ctypes.Structure):
    """Begin of ``ERROR_INFO``; its tables are not written to here."""

    _fields_ = (
        ("utterances", ctypes.c_long),
        ("largest", ctypes.c_long),
        ("surface", ctypes.c_long),
        ("delay", ctypes.c_long),
        ("rest", ctypes.c_char * 65536),
    )


def guarded_pesq(sample_rate: int, reference: np.ndarray, hypothesis: np.ndarray, mode: str) -> float:
    """Return what ``pesq.pesq`` does.

    Args:
        sample_rate: 16000.
        reference: Samples (T,).
        hypothesis: Samples (T,).
        mode: ``"wb"``.

    Raises:
        OverflowError: If there would be no room, or that cannot be found out; the message says which.
    """
    if max(reference.size, hypothesis.size) > ALWAYS_FITS:
        largest = float(max(np.abs(reference / 1.0).max(), np.abs(hypothesis / 1.0).max()))
        try:
            found = utterances(*((wav / largest).astype(np.float32) for wav in (reference, hypothesis)))
        except AttributeError:  # a build that shows none of its functions
            raise OverflowError(
                f"over {ALWAYS_FITS // sample_rate} s: whether it has {TOO_MANY}, this build of pesq does not tell"
            ) from None
        if found > MOST_UTTERANCES:
            raise OverflowError(TOO_MANY)
    return pesq.pesq(sample_rate, reference, hypothesis, mode)


def utterances(reference: np.ndarray, hypothesis: np.ndarray) -> int:
    """Return how many entries of its tables P.862's reference code would write, at 16 kHz in wide-band mode.

    Args:
        reference: Samples (T,), float32.
        hypothesis: Samples (T,), float32.

    Raises:
        AttributeError: If the library's functions cannot be reached.
    """
    library = ctypes.CDLL(str(Path(cypesq.__file__)))
    flag, kind = ctypes.c_long(0), ctypes.c_char_p(b"")
    library.select_rate(ctypes.c_long(16000), ctypes.byref(flag), ctypes.byref(kind))
    signals = [_Signal(samples=wav.size, input_filter=2) for wav in (reference, hypothesis)]
    buffer, errors = ctypes.c_void_p(), _Errors()
    try:
        for signal, wav in zip(signals, (reference, hypothesis), strict=True):
            signal.data = np.ascontiguousarray(wav).ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            library.load_src(ctypes.byref(flag), ctypes.byref(kind), ctypes.byref(signal))
        ours = [ctypes.byref(signal) for signal in signals]
        library.alloc_other(*ours, ctypes.byref(flag), ctypes.byref(kind), ctypes.byref(buffer))
        longest = ctypes.c_long(max(signal.samples for signal in signals))
        for signal in signals:
            library.fix_power_level(ctypes.byref(signal), b"", longest)
        for signal in signals:
            _filter_wide_band(library, signal)
        library.input_filter(*ours, buffer)
        for signal in ours:
            library.calc_VAD(signal)
        library.crude_align(*ours, ctypes.byref(errors), ctypes.c_long(WHOLE_SIGNAL), buffer)
        windows = signals[0].samples // WINDOW
        active = np.ctypeslib.as_array(signals[0].vad, (windows,)) > 0
        return _entries(active, signals[1].samples, errors.delay)
    finally:
        library.safe_free.argtypes = (ctypes.c_void_p,)
        for signal in signals:
            for pointer in (signal.vad, signal.log_vad) + ((signal.data,) if signal.vad else ()):
                library.safe_free(ctypes.cast(pointer, ctypes.c_void_p))
        library.safe_free(buffer)


def _filter_wide_band(library: ctypes.CDLL, signal: _Signal) -> None:
    samples = np.ctypeslib.as_array(signal.data, (signal.samples,))
    ramp = np.arange(FADE, dtype=np.float32) / FADE
    samples[PADDING - 1 : PADDING - 1 + FADE] *= ramp
    last = signal.samples - PADDING
    samples[last - FADE + 1 : last + 1] *= ramp[::-1]
    inner = ctypes.cast(ctypes.addressof(signal.data.contents) + 4 * PADDING, ctypes.POINTER(ctypes.c_float))
    sections = (ctypes.c_float * 1).in_dll(library, "WB_InIIR_Hsos_16k")
    number = ctypes.c_ulong(ctypes.c_long.in_dll(library, "WB_InIIR_Nsos_16k").value)
    length = ctypes.c_ulong(signal.samples - 2 * PADDING)
    library.IIRFilt(ctypes.byref(sections), number, None, inner, length, None)


def _entries(active: np.ndarray, other_samples: int, delay: int) -> int:
    """Return how many entries are written: one for each utterance, and for what follows and may become one."""
    edges = np.flatnonzero(np.diff(active, prepend=False))
    starts, ends = edges[::2], edges[1::2]
    if len(ends) < len(starts):
        ends = np.append(ends, len(active) - 1)
    first = SHORTEST_UTTERANCE - int(delay / WINDOW)
    last = int((other_samples - delay) / WINDOW) - SHORTEST_UTTERANCE
    counts = (ends - starts >= SHORTEST_UTTERANCE) & (starts < last) & (ends > first)
    before = np.cumsum(counts) - counts
    return int(before[-1]) + 1 if len(starts) else 0
