"""mix.sh: where the jobs of its own stage run, with which options, and what they make of the sources."""

import pytest
import soundfile
import yaml
from corpora import noise
from mixes import RATE, write_configs

from evagan_plugin.data.kaldi import DataDir, write_table
from evagan_plugin.data.stream import open_stream


@pytest.fixture
def place(recipe):
    """A recipe with a mix of one source, as stage 1 would leave it, and what starts stage 2."""
    place = recipe("hifitts2/voc1")
    for name, count in (("speech", 2), ("dev", 1)):
        files = {f"{name}-{number}": place / "audio" / f"{name} {number}.wav" for number in range(count)}
        for path in files.values():
            noise(path, 2)
        write_table(place / "data" / name / "wav.scp", files)
    sources = [{"name": "speech", "path": "dump/speech", "share": 1}]
    (place / "mix.yaml").write_text(yaml.safe_dump({"sources": sources}))
    words = ["./run.sh", *write_configs(place), "--curation", "", "--test_sets", "dev", "--nj", 2]
    return place, [*words, "--stage", 2, "--stop_stage", 2]


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--cmd", "pbs"], 2, "unknown backend 'pbs' in --cmd or EVAGAN_BACKEND; known: local slurm"),
        (["--job_options", "--memory 1G"], 1, "run.pl: unknown option --memory"),
        (["--shard_size", "2 GB"], 2, "--shard_size 2 GB: it is a number of MB"),
    ],
)
def test_jobs_of_a_source_run_where_and_how_the_options_say(place, run, options, status, said):
    done = run(place[0], *place[1], *options)
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert not (place[0] / "dump" / "speech" / "wav.scp").exists()


def test_a_source_is_formatted_in_parts_and_voc_is_told_where_jobs_run(place, run):
    """EVAGAN_BACKEND would be refused by both scripts, were it not for --cmd."""
    done = run(place[0], *place[1], "--cmd", "local", EVAGAN_BACKEND="pbs")
    assert done.returncode == 0, done.stderr
    log = place[0] / "dump" / "speech" / "log"
    assert sorted(path.name for path in log.glob("*.done")) == ["format.1.done", "format.2.done"]
    made = DataDir.read(place[0] / "dump" / "speech")
    assert made.utterances == ["speech-0", "speech-1"]
    assert soundfile.info(place[0] / made.wav["speech-0"]).samplerate == RATE
    assert (place[0] / "dump" / "dev" / "wav.scp").is_file()


def test_a_source_becomes_shards_in_parts_and_the_mix_has_them(place, run, monkeypatch):
    """Shards of one recording each."""
    words = [*place[1], "--shard_size", 2 * 2 * RATE / 1e6]
    done = run(place[0], *words, "--cmd", "local")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 items in 2 shards" in done.stderr
    made = place[0] / "dump" / "speech"
    assert sorted(path.name for path in (made / "log").glob("*.done")) == ["shard.1.done", "shard.2.done"]
    assert sorted(path.name for path in made.glob("*.tar")) == ["000000.tar", "000001.tar"]
    assert DataDir.read(place[0] / "dump" / "dev").utterances == ["dev-0"], "what is validated on stays files"
    monkeypatch.chdir(place[0])
    stream = open_stream("mix.yaml", RATE, RATE, seed=0)
    assert {stream.name(stream.item(k)) for k in range(8)} == {"speech/speech-0", "speech/speech-1"}
    files = run(place[0], *place[1])
    assert (files.returncode, "dump/speech has shards: give --shard_size" in files.stderr) == (1, True), files.stderr


def test_shards_do_not_come_to_lie_beside_files(place, run):
    write_table(place[0] / "dump" / "speech" / "wav.scp", {"a": "a.wav"})
    done = run(place[0], *place[1], "--shard_size", 1)
    assert (done.returncode, "dump/speech has WAV files: remove it, or leave" in done.stderr) == (1, True), done.stderr
