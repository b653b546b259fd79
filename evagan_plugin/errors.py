"""Errors that a user sees as one line: what is wrong, where, what to do."""

import difflib
import functools
import importlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType, TracebackType

READABLE_CHOICES = 40
SHOWN = 3


class EvaganError(Exception):
    """Work that failed; a command ends with exit status 1."""

    exit_status = 1


class UsageError(EvaganError):
    """Input that cannot be worked on (options, config, data layout); exit status 2."""

    exit_status = 2


class ConfigError(UsageError):
    """A config, preset or override that cannot be used.

    Args:
        message: One line.
        field: Dotted name of the config field that is wrong, e.g. ``"generator.channels"``; None where it is no one
            field.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field

    def within(self, place: object) -> "ConfigError":
        """Return the same error with the file or the section that it is in before its message."""
        return ConfigError(f"{place}: {self}", self.field)


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return the hint that goes after an unknown name: the nearest known one, then all of them.

    All are left out where one is near and they are too many to read.
    """
    choices = sorted(choices)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    if close and len(choices) > READABLE_CHOICES:
        return f"did you mean '{close[0]}'?"
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}{'K' if hint else 'k'}nown: {', '.join(choices)}"


def some(names: Iterable[str]) -> str:
    """Return the first :data:`SHOWN` names, for an error."""
    names = sorted(names)
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def require(module: str, extra: str, *others: str) -> ModuleType:
    """Import an optional module, or say which extra brings it.

    Args:
        module: Dotted module name, e.g. ``"pesq"``.
        extra: The extra of this package that installs it, e.g. ``"score"``.
        *others: Further extras that install it too.

    Raises:
        EvaganError: If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        also = f" ({' or '.join(others)} brings it too)" if others else ""
        raise EvaganError(
            f"the package '{error.name}' is not installed: pip install 'evagan-plugin[{extra}]'{also}"
        ) from None


class LibraryError(EvaganError):
    """What a library threw while it worked on one item."""


@contextmanager
def library_errors(what: object, *passed: type[Exception]) -> Iterator[None]:
    """Turn whatever a library throws inside the block, which works on one item, into a :class:`LibraryError`.

    Args:
        what: The item, e.g. its file; what comes before the reason.
        *passed: Kinds that are let through, besides our own.
    """
    try:
        yield
    except (EvaganError, *passed):
        raise
    except Exception as error:  # libraries throw more kinds than they document
        raise LibraryError(f"{what}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return in one line what a library's exception says, its kind where that is needed to understand it."""
    text = " ".join((str(error).strip().splitlines() or [""])[0].split())
    # PyTorch: "CUDA out of memory", "not enough memory", "DefaultCPUAllocator: can't allocate memory".
    if isinstance(error, MemoryError) or "out of memory" in text or ("allocat" in text and "memory" in text):
        return f"out of memory: cut it into shorter pieces ({text or type(error).__name__})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def one_line_errors(program: str) -> Iterator[None]:
    """Turn an :class:`EvaganError` inside the block into one line on standard error and its exit status."""
    try:
        yield
    except EvaganError as error:
        sys.stderr.write(f"{program}: error: {error}\n")
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.stderr.write(f"{program}: interrupted\n")
        sys.exit(130)


@functools.cache
def report_uncaught() -> None:
    """Let an :class:`EvaganError` that a host's program does not catch end it with one line and exit status 1."""
    before = sys.excepthook

    def report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if isinstance(error, EvaganError):
            sys.stderr.write(f"evagan: error: {error}\n")
        else:
            before(kind, error, traceback)

    sys.excepthook = report
