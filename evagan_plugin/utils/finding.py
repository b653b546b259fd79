"""What an examination finds; ``evagan doctor`` prints them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    subject: str
    """What it is about."""
    text: str
    """What was found."""
    wrong: bool = False
    """Whether something has to be done."""

    @classmethod
    def failure(cls, subject: str, error: Exception, what: str = "cannot be used") -> "Finding":
        """Return what an exception says, in one line."""
        return cls(subject, f"{what}: {type(error).__name__}: {' '.join(str(error).split())}", wrong=True)
