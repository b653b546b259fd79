"""Three CC0 voices, on small trees laid out as their repositories are, and on trees of their full number of files."""

import os
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile
from corpora import SETS, noise, read_sets, speakers

from evagan_plugin.data.kaldi import DataDir

RATE = 48000
VOICES = {"kathleen": "en", "nathalie": "nl", "kerstin": "de"}


def lay_out(corpus: Path, names: list[str], seconds: float, stereo: bool, linked: bool = False) -> None:
    """Write recordings and transcripts as Kathleen's repository has them (stereo), or the others'.

    Args:
        corpus: Where to.
        names: Of the recordings.
        seconds: Length of each.
        stereo: Noise on the left, nothing on the right.
        linked: All recordings are one file: thousands are made at once.
    """
    folder = corpus / ("data" if stereo else "verified")
    folder.mkdir(parents=True)
    (corpus / "LICENSE").write_text("CC0 1.0 Universal\n")
    (corpus / "README.md").write_text("# Voice Dataset\n")
    paths = [folder / f"{name}{'.wav' if stereo else '.flac'}" for name in names]
    for number, path in enumerate(paths):
        if linked and number:
            os.link(paths[0], path)
        else:
            left = np.random.default_rng(number).uniform(-0.5, 0.5, int(seconds * RATE))
            soundfile.write(path, np.stack([left, np.zeros_like(left)], axis=1) if stereo else left, RATE)
        if stereo:
            path.with_suffix(".txt").write_text(f"Prompt {path.stem}, said.\n")
    if not stereo:
        (folder / "metadata.csv").write_text("".join(f"{name}|Sätze: {name}.\n" for name in names), encoding="utf-8")
        (corpus / "audio").mkdir()
        (corpus / "audio" / "original.webm").write_bytes(b"as recorded")


@pytest.fixture
def corpora(tmp_path):
    """A part of each repository: 23 of Kathleen's prompts, two takes of one of them; ten of each of the others."""
    root = tmp_path / "my corpora"
    kathleen = [f"arctic_a{number:04}_15927{number:05}" for number in range(1, 24)]
    lay_out(root / "dataset-voice-kathleen", [*kathleen, "arctic_a0018_1592800000"], 0.2, stereo=True)
    lay_out(root / "dataset-voice-nathalie", [f"nl_rhasspy_{number}" for number in range(1, 11)], 0.2, stereo=False)
    lay_out(root / "dataset-voice-kerstin", [f"de_rhasspy-{number:04}" for number in range(10)], 0.2, stereo=False)
    return root


@pytest.fixture
def whole(tmp_path):
    """Repositories of as many files and hours as the real ones; 488 of Kathleen's 1,132 prompts have two takes."""
    root = tmp_path / "whole"
    prompts = [f"arctic_{part}{number:04}" for part, most in (("a", 593), ("b", 539)) for number in range(1, most + 1)]
    takes = [f"{prompt}_1592700000" for prompt in prompts] + [f"{prompt}_1592800000" for prompt in prompts[:488]]
    for voice, names, hours in (
        ("kathleen", takes, 1.368),
        ("nathalie", [f"nl_rhasspy_{number}" for number in range(1, 1131)], 0.697),
        ("kerstin", [f"de_rhasspy-{number:04}" for number in range(4, 1378)], 1.762),
    ):
        corpus = root / f"dataset-voice-{voice}"
        lay_out(corpus, names, hours * 3600 / len(names), stereo=voice == "kathleen", linked=True)
    return root


@pytest.fixture
def remotes(corpora, tmp_path):
    """The same as git repositories that serve what is asked for, as GitHub does."""
    root = tmp_path / "remotes"
    shutil.copytree(corpora, root)
    for repository in root.iterdir():
        git(repository, "init", "--quiet")
        git(repository, "config", "uploadpack.allowFilter", "true")
        git(repository, "config", "uploadpack.allowAnySHA1InWant", "true")
        git(repository, "add", ".")
        git(repository, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "all")
    return root


def git(repository: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", repository, *words], capture_output=True, text=True, check=True)
    return done.stdout


def test_two_stages_make_mono_sets_by_name(recipe, run, corpora):
    place = recipe("cc0_voices/voc1")
    (corpora / "dataset-voice-kerstin" / "verified" / ".DS_Store").write_bytes(b"\0")
    done = run(place, "./run.sh", "--corpora", corpora, "--partial", "true", "--stop_stage", 2, "--nj", 2)
    assert done.returncode == 0, done.stderr
    assert "kathleen (en): 24 recordings, 0.00 h: 19 train, 2 dev, 2 test; 1 further takes" in done.stderr
    assert "nathalie (nl): 10 recordings, 0.00 h: 8 train, 1 dev, 1 test\n" in done.stderr
    sets = read_sets(place / "data")
    # The names in the order of their characters: of 23 prompts numbers 0, 5, 11 and 17; of ten 0 and 5.
    assert sets["dev"].utterances == [
        "kathleen_arctic_a0001_1592700001",
        "kathleen_arctic_a0012_1592700012",
        "kerstin_de_rhasspy-0000",
        "nathalie_nl_rhasspy_1",
    ]
    assert sets["test"].utterances == [
        "kathleen_arctic_a0006_1592700006",
        "kathleen_arctic_a0018_1592700018",
        "kerstin_de_rhasspy-0005",
        "nathalie_nl_rhasspy_5",
    ]
    test = sets["test"]
    assert test.text["kathleen_arctic_a0006_1592700006"] == "Prompt arctic_a0006_1592700006, said."
    assert test.text["nathalie_nl_rhasspy_5"] == "Sätze: nl_rhasspy_5."
    assert {key: VOICES[speaker] for key, speaker in test.utt2spk.items()} == test.lang
    assert not test.category, "its metrics are those of speech, whatever the language"
    for name in SETS:
        formatted = DataDir.read(place / "dump" / name)
        assert formatted.utterances == sets[name].utterances
        assert formatted.lang == sets[name].lang
        for path in formatted.wav.values():
            info = soundfile.info(place / path)
            assert (info.samplerate, info.channels, info.frames) == (16000, 1, 3200)
    # The right channel is silent: mono is the mean of both.
    mixed, left = (
        soundfile.read(path, always_2d=True)[0][:, 0]
        for path in (
            place / DataDir.read(place / "dump" / "test").wav["kathleen_arctic_a0006_1592700006"],
            test.wav["kathleen_arctic_a0006_1592700006"],
        )
    )
    # White noise: of 24 kHz the resampler keeps 7.6, and the mean takes half of the amplitude.
    assert np.std(mixed) == pytest.approx(np.std(left) / 2 * np.sqrt(0.9476 * 8 / 24), rel=0.05)


def test_whole_corpora_are_counted_and_no_prompt_is_in_two_sets(recipe, run, whole):
    place = recipe("cc0_voices/voc1")
    done = run(place, "local/data.sh", "--corpora", whole)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].startswith("kathleen (en): 1620 recordings, 1.37 h: ")
    assert done.stderr.splitlines()[1:] == [
        "nathalie (nl): 1130 recordings, 0.70 h: 1090 train, 20 dev, 20 test",
        "kerstin (de): 1374 recordings, 1.76 h: 1334 train, 20 dev, 20 test",
    ]
    sets = read_sets(place / "data")
    assert (len(sets["dev"].wav), len(sets["test"].wav)) == (60, 60)
    prompts = {name: {key.replace("_1592800000", "_1592700000") for key in data.wav} for name, data in sets.items()}
    for one, other in combinations(SETS, 2):
        assert not prompts[one] & prompts[other]
    assert len(set.union(*prompts.values())) == 1132 + 1130 + 1374
    for data in sets.values():
        assert speakers(data) == set(VOICES)


def remove_voice(root):
    shutil.rmtree(root / "dataset-voice-kerstin")


def remove_folder(root):
    shutil.rmtree(root / "dataset-voice-kathleen" / "data")


def remove_recording(root):
    (root / "dataset-voice-nathalie" / "verified" / "nl_rhasspy_77.flac").unlink()


def remove_transcript(root):
    (root / "dataset-voice-kathleen" / "data" / "arctic_b0001_1592700000.txt").unlink()


def remove_a_half(root):
    for path in (root / "dataset-voice-kathleen" / "data").glob("arctic_b*"):
        path.unlink()


def put_text_in_a_recording(root):
    path = root / "dataset-voice-kerstin" / "verified" / "de_rhasspy-0400.flac"
    path.unlink()  # It shares its content with the others.
    path.write_text("version https://git-lfs.github.com/spec/v1\n")


def empty_a_transcript(root):
    (root / "dataset-voice-nathalie" / "verified" / "metadata.csv").write_text("nl_rhasspy_1|\n")


def break_the_transcripts(root):
    (root / "dataset-voice-nathalie" / "verified" / "metadata.csv").write_bytes(b"a|\xff\n")


def shorten_all_recordings(root):
    noise(root / "dataset-voice-nathalie" / "verified" / "nl_rhasspy_1.flac", 1.0, RATE)


@pytest.mark.parametrize(
    ("damage", "status", "said"),
    [
        (remove_voice, 2, "kerstin: there is no such directory; https://github.com/rhasspy/dataset-voice-kerstin is"),
        (remove_folder, 2, "kathleen: no data/*.wav in it;"),
        (remove_recording, 2, "1 transcripts have no recording (nl_rhasspy_77); the clone is not whole: git -C"),
        (remove_transcript, 2, "1 recordings have no transcript (arctic_b0001_1592700000); the clone is not whole"),
        (remove_a_half, 2, "kathleen: 1081 recordings, not 1620; the clone is not whole"),
        (put_text_in_a_recording, 1, "de_rhasspy-0400.flac: not readable as audio:"),
        (empty_a_transcript, 2, "verified/metadata.csv:1: no transcript"),
        (break_the_transcripts, 2, "verified/metadata.csv: not UTF-8 text (byte 2)"),
        (shorten_all_recordings, 2, "nathalie: 0.31 h, not 0.70: is the clone whole?"),
    ],
)
def test_a_corpus_that_is_not_whole_is_one_line(recipe, run, whole, damage, status, said):
    place = recipe("cc0_voices/voc1")
    damage(whole)
    done = run(place, "local/data.sh", "--corpora", whole)
    assert done.returncode == status
    *voices, error = done.stderr.splitlines()
    assert all(" train, 20 dev, 20 test" in line for line in voices), done.stderr
    assert error.startswith("prepare.py: error: ")
    assert said in error
    assert not (place / "data").exists()


def test_a_part_of_a_corpus_must_be_asked_for(recipe, run, corpora):
    place = recipe("cc0_voices/voc1")
    shutil.rmtree(corpora / "dataset-voice-kathleen")
    (corpora / "dataset-voice-kerstin" / "verified" / "de_rhasspy-0009.flac").unlink()
    words = ["local/data.sh", "--corpora", corpora]
    done = run(place, *words, "--partial", "true")
    assert done.returncode == 2
    assert "kerstin: 9 prompts are too few to split" in done.stderr
    shutil.rmtree(corpora / "dataset-voice-kerstin")
    done = run(place, *words, "--partial", "true")
    assert done.returncode == 0, done.stderr
    assert {name: len(data.wav) for name, data in read_sets(place / "data").items()} == {
        "train": 8,
        "dev": 1,
        "test": 1,
    }
    assert run(place, *words).returncode == 2
    done = run(place, "local/data.sh", "--corpora", corpora / "none", "--partial", "true")
    assert (done.returncode, done.stderr.count("\n"), "none of dataset-voice-kathleen" in done.stderr) == (2, 1, True)


def test_clones_take_what_is_needed_and_go_on_where_they_were(recipe, run, remotes, tmp_path):
    place = recipe("cc0_voices/voc1")
    hidden = remotes / "dataset-voice-kerstin"
    hidden.rename(tmp_path / "hidden")
    words = ["local/data.sh", "--url_base", remotes.as_uri(), "--partial", "true"]
    done = run(place, *words)
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith(f"data.sh: error: cannot clone {hidden.as_uri()} (")
    assert error.endswith("run it again to go on, or clone the three elsewhere and give their folder: --corpora DIR")
    downloads = place / "downloads"
    assert sorted(path.name for path in downloads.glob("*/")) == ["dataset-voice-kathleen", "dataset-voice-nathalie"]
    nathalie = downloads / "dataset-voice-nathalie"
    assert sorted(path.name for path in nathalie.glob("[!.]*")) == ["LICENSE", "README.md", "verified"]
    assert "?" in git(nathalie, "rev-list", "--objects", "--missing=print", "HEAD", "--", "audio"), (
        "audio/ has travelled"
    )
    # A clone that was killed: two of its files are there, and git's lock.
    (tmp_path / "hidden").rename(hidden)
    part = downloads / ".dataset-voice-kerstin.part"
    clone = ("clone", "--quiet", "--depth", "1", "--filter=blob:none", "--no-checkout", hidden.as_uri(), str(part))
    git(downloads, *clone)
    git(part, "checkout", "HEAD", "--", "verified/de_rhasspy-0000.flac", "verified/metadata.csv")
    (part / ".git" / "index.lock").touch()
    before = (downloads / "dataset-voice-kathleen").stat().st_mtime_ns
    done = run(place, *words)
    assert done.returncode == 0, done.stderr
    assert "dataset-voice-kerstin: 9 files to fetch" in done.stderr
    assert not part.exists()
    assert (downloads / "dataset-voice-kathleen").stat().st_mtime_ns == before
    assert len(list((downloads / "dataset-voice-kerstin" / "verified").glob("*.flac"))) == 10
    remotes.rename(tmp_path / "gone")
    done = run(place, *words)
    assert done.returncode == 0, "nothing is fetched that is there"


def test_without_network_one_line_says_what_to_do(recipe, run):
    place = recipe("cc0_voices/voc1")
    done = run(place, "local/data.sh", "--url_base", "http://127.0.0.1:9/rhasspy")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "data.sh: error: cannot clone http://127.0.0.1:9/rhasspy/dataset-voice-kathleen (unable to" in done.stderr
    assert "clone the three elsewhere and give their folder: --corpora DIR" in done.stderr
    assert not list(place.glob("downloads/*voice*"))


def test_a_full_disk_is_told_before_anything_travels(recipe, run, remotes, tmp_path):
    place = recipe("cc0_voices/voc1")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "df").write_text("#!/bin/sh\necho Filesystem 1M-blocks Used Available\necho /dev/sda 9999 8000 1999\n")
    (tools / "df").chmod(0o755)
    words = ["local/data.sh", "--url_base", remotes.as_uri(), "--downloads", tmp_path / "elsewhere"]
    done = run(place, *words, PATH=f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the clones take 2040 MiB and the disk of" in done.stderr
    assert "has 1999: make room, or give --downloads DIR" in done.stderr
    assert not list((tmp_path / "elsewhere").iterdir())
