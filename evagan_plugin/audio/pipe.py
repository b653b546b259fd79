"""Commands of a ``wav.scp`` that write audio, ``sph2pipe -f wav x.sph |``: run only where the user allows it."""

import subprocess
from typing import BinaryIO

from evagan_plugin.errors import EvaganError

MARK = "|"
"""What a command ends with in a table."""


class Pipe(str):
    """A command, the mark at its end, that the user allows to be run; no other text ever is."""

    __slots__ = ()

    def write_to(self, file: BinaryIO) -> None:
        """Run it with ``sh`` in the current directory, as Kaldi does, and let its output into a file.

        Raises:
            EvaganError: If it fails or writes nothing.
        """
        command = self.removesuffix(MARK).strip()
        try:
            done = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE)
        except (OSError, ValueError) as error:
            raise EvaganError(f"{self}: cannot be run: {error}") from error
        said = " ".join(done.stderr.decode(errors="replace").split())[-200:]
        if done.returncode:
            raise EvaganError(f"{self}: exit status {done.returncode}{': ' if said else ''}{said}")
        if not file.seek(0, 2):
            raise EvaganError(f"{self}: it writes nothing{': ' if said else ''}{said}")
