"""The benchmark of bandwidths makes its files, and finds them."""

import re

from typer.testing import CliRunner


def test_bandwidths_of_noise_are_found():
    from evagan_plugin.benchmark.__main__ import app

    done = CliRunner().invoke(app, ["curate", "--items", "1", "--seconds", "2", "--misses"])
    assert done.exit_code == 0, done.output
    shares = {kind: float(share) for kind, share in re.findall(r"^(\S+) +\d+ +([\d.]+)% ", done.output, re.MULTILINE)}
    assert {"low-passed", "upsampled", "MP3", "Opus", "Vorbis"} <= shares.keys()
    assert shares["all"] >= 99, done.output
    assert re.search(r"^untouched +1 +0.0%$", done.output, re.MULTILINE)
