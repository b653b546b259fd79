"""Names that say what a system is, for whoever reads no audio."""

REFERENCE = "reference"
"""What the reference is called where it stands among the systems."""
