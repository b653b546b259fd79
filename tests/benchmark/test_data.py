"""The benchmark of data: a plan follows from what is measured, and measuring works."""

import re

import pytest
from typer.testing import CliRunner


def test_a_plan_is_computed_from_what_is_measured():
    from evagan_plugin.benchmark.data.plan import Measured, Route, plan_table

    steps = [Measured("curate", 30.0, 1.9, 2.0, 2**29), Measured("format", 6.0, 1.5, 2.0, 2**28, 3.2e8)]
    head, row = plan_table(36_000, [Route(steps, 123)])
    assert _words(head) == "36,000 h core-h days on 64 days on 256 days on 1,024 TB files process MiB"
    # 36 s for each of 36,000 h are 360 h, of which 64 cores do 1,536 a day.
    assert _words(row) == "curate, format 360 0.23 0.06 0.01 11.52 123 512"


def _words(line):
    return " ".join(line.split())


def test_files_of_a_corpus_are_counted():
    from evagan_plugin.benchmark.data.plan import loose_files, shard_files

    assert loose_files(36_000, 10.0) == 12_960_000
    # 1,000 h of 44,100 samples a second, two bytes each: 317.52 GB, in 159 shards of 2 GB.
    assert shard_files(1000, 44100, 2000) == 2 * 159 + 2


def test_loading_is_set_against_what_a_gpu_consumes():
    from evagan_plugin.benchmark.data.plan import Measured, consumed, loading_cores

    need = consumed(gflops=500, tflops=400, utilisation=0.5)
    assert need == pytest.approx(400)
    # A core that needs 3.6 s for an hour loads 1,000 s a second; four times 400 are 1.6 of those.
    assert loading_cores(Measured("load", 3.6, 2.0, 2.0, 0), need) == pytest.approx(1.6)


@pytest.mark.parametrize(("content", "message"), [(1, "1 recordings in it, 4 are needed"), (None, "no file")])
def test_recordings_must_be_there(tmp_path, content, message):
    import numpy as np

    from evagan_plugin.audio.io import save_audio
    from evagan_plugin.benchmark.__main__ import app
    from evagan_plugin.errors import UsageError

    folder = tmp_path / "audio"
    if content:
        save_audio(folder / "a.wav", np.zeros(100, np.float32), 44100)
    done = CliRunner().invoke(app, ["data", "--items", "4", "--audio", str(folder)])
    assert isinstance(done.exception, UsageError) and message in str(done.exception)


@pytest.mark.processes
@pytest.mark.slow
def test_all_steps_are_measured():
    """`python -m pytest -m slow tests/benchmark/test_data.py`: sixteen processes that load torch."""
    from evagan_plugin.benchmark.__main__ import app

    done = CliRunner().invoke(app, ["data", "--items", "4", "--seconds", "4", "--item-seconds", "10"])
    assert done.exit_code == 0, done.output
    number = r" +([\d.,]+)"  # what is curated or loaded has no bytes
    rows = re.findall(rf"^(curate|format|shard|load \w+){5 * number}(?:{number})?$", done.output, re.MULTILINE)
    assert [row[0] for row in rows] == ["curate", "format", "shard", "load files", "load shards"], done.output
    assert all(float(cell.replace(",", "")) > 0 for row in rows for cell in row[1:] if cell)
    plan = re.findall(r"^curate, (format|shard) .* ([\d.]+) +([\d,]+) +[\d,]+$", done.output, re.MULTILINE)
    (_, terabytes, files), (_, packed, shards) = plan
    assert float(terabytes) == pytest.approx(36_000 * 3600 * 44100 * 2 / 1e12, abs=0.02), "16 bits, mono"
    assert float(packed) < float(terabytes) and files == "12,960,000" and shards == "11,434"
    assert len(re.findall(r"4 times the need: [\d.]+ cores$", done.output, re.MULTILINE)) == 2
