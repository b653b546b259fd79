"""HiFiTTS-2, on a small tree: chapters from a server, cut as the manifests say; and all the way to a model."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hub import Hub, serve
from mixes import lay_out, recordings, write_configs

from evagan_plugin.data.kaldi import DataDir

RATE = 44100


def write_tables(folder: Path, chapters: list[tuple[str, str, list[float]]], url: str) -> None:
    """Write the manifest and the chapters as NVIDIA's have them.

    Args:
        folder: Where to.
        chapters: Speaker, set, and the lengths (s) of the utterances that follow each other, of each chapter.
        url: Folder of the MP3s.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest, table = [], []
    for number, (speaker, kind, lengths) in enumerate(chapters):
        stem = f"{speaker}/2315/{speaker}_2315_book_{number:02}_author"
        cuts = [
            {"audio_filepath": f"{stem}_{place}.flac", "offset": sum(lengths[:place]), "duration": length}
            for place, length in enumerate(lengths)
        ]
        line = {"url": f"{url}/{number}.mp3", "chapter_filepath": f"{stem}.flac", "duration": sum(lengths)}
        table.append(line | {"utterances": cuts})
        manifest += [
            {"audio_filepath": cut["audio_filepath"], "speaker": speaker, "set": kind, "duration": cut["duration"]}
            for cut in cuts
        ]
    for name, lines in (("manifest_44khz.json", manifest), ("chapters_44khz.json", table)):
        (folder / name).write_text("".join(f"{json.dumps(line)}\n" for line in lines))


CHAPTERS = [
    ("100", "train", [2.0, 1.5, 2.5]),
    ("100", "train", [3.0]),
    ("101", "dev", [2.0, 1.0]),
    ("102", "test_unseen", [2.0]),
    ("103", "train", [1.0, 1.0]),
]


def tone(seconds: float, frequency: float) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)


@pytest.fixture
def librivox(tmp_path):
    """MP3s whose utterances are tones of 400 Hz, 500 Hz, ...; the chapter of speaker 103 has been taken down."""
    folder = tmp_path / "librivox"
    folder.mkdir()
    for number, (_, _, lengths) in enumerate(CHAPTERS[:-1]):
        wav = np.concatenate([tone(length, 400 + 100 * place) for place, length in enumerate(lengths)])
        soundfile.write(folder / f"{number}.mp3", wav, RATE)
    return folder


@pytest.fixture
def prepare(recipe, run, librivox, tmp_path):
    """Return the recipe and a function that runs data.sh with a Hub that has the tables."""
    place = recipe("hifitts2/voc1")
    with serve(Hub({"nvidia/hifitts-2": tmp_path / "hub"}, files=librivox)) as hub:
        write_tables(tmp_path / "hub" / "44khz", CHAPTERS, f"{hub.url}/files")

        def call(*options):
            return run(place, "local/data.sh", *options, **hub.environment, HF_HOME=str(tmp_path / "home"))

        yield place, hub, call


def test_chapters_are_downloaded_and_cut(prepare):
    place, hub, run_data = prepare
    done = run_data("--held_out", 1)
    assert done.returncode == 0, done.stderr
    assert "5 chapters, 5 to download" in done.stderr
    assert "4.mp3: 404 Not Found" in done.stderr
    assert "HiFiTTS-2: 7 of 9 utterances have audio" in done.stderr
    corpus = place / "downloads" / "hifitts2"
    [lost] = map(json.loads, (corpus / "errors_44khz.json").read_text().splitlines())
    assert (lost["chapter_filepath"], lost["error_reason"]) == (
        "103/2315/103_2315_book_04_author.flac",
        "404 Not Found",
    )
    assert not list((corpus / "audio_44khz").glob(".*")), "nothing is left of the chapters"
    for place_in_chapter, length in enumerate(CHAPTERS[0][2]):
        path = corpus / "audio_44khz" / f"100/2315/100_2315_book_00_author_{place_in_chapter}.flac"
        wav, rate = soundfile.read(path)
        assert (rate, len(wav)) == (RATE, round(length * RATE))
        middle = wav[len(wav) // 4 : -len(wav) // 4]
        loudest = np.argmax(np.abs(np.fft.rfft(middle))) * rate / len(middle)
        assert loudest == pytest.approx(400 + 100 * place_in_chapter, abs=2), "another stretch than the manifest's"
    sets = {name: DataDir.read(place / "data" / name) for name in ("speech", "dev", "test")}
    assert {name: len(data.wav) for name, data in sets.items()} == {"speech": 4, "dev": 1, "test": 1}
    assert set(sets["test"].utt2spk.values()) == {"speech_102"}
    before = len(hub.asked)
    done = run_data("--held_out", 1)
    assert (done.returncode, "5 chapters, 1 to download" in done.stderr) == (0, True), done.stderr
    assert len(hub.asked) == before, "what is there is not downloaded again"


def test_parts_of_a_few_hours_make_up_a_corpus(prepare):
    place, _, run_data = prepare
    for part in ("1/2", "2/2"):
        done = run_data("--part", part, "--hours", 1)
        assert (done.returncode, f"part {part} is downloaded" in done.stderr) == (0, True), done.stderr
    assert not (place / "data").exists()
    assert len(list((place / "downloads" / "hifitts2" / "audio_44khz").rglob("*.flac"))) == 7


def test_fewer_hours_are_a_part_of_more_and_hold_what_is_judged_by(prepare, run):
    place, _, run_data = prepare
    assert run_data("--part", "1/2").returncode == 0  # fetches the tables
    command = "import download, pathlib; print(*(c['url'][-5] for c in download.choose(pathlib.Path('{}'), {}, '1/1')))"
    chosen = []
    for hours in (4.9 / 3600, 7 / 3600, 1):
        code = command.format(place / "downloads" / "hifitts2", hours)
        done = run(place, "python", "-c", code, PYTHONPATH=f"{place / 'local'}:{os.environ.get('PYTHONPATH', '')}")
        assert done.returncode == 0, done.stderr
        chosen.append(done.stdout.split())
    assert chosen[0] == ["2", "3"], "the chapters of dev and test go first"
    assert all(fewer == more[: len(fewer)] for fewer, more in itertools.pairwise(chosen))
    assert len(chosen[-1]) == 5


def test_a_chapter_that_is_another_recording_is_left_out(prepare, librivox):
    place, _, run_data = prepare
    soundfile.write(librivox / "1.mp3", tone(1.0, 400), RATE)
    done = run_data()
    assert done.returncode == 0, done.stderr
    assert "1.mp3: 1.0 s long, but 100/2315/100_2315_book_01_author_0.flac ends at 3.0 s" in done.stderr
    assert not list((place / "downloads" / "hifitts2" / "audio_44khz" / "100").rglob("*book_01*"))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("manifest", "{", "manifest_44khz.json:1: no JSON"),
        ("manifest", '{"speaker": "1"}', "manifest_44khz.json:1: no audio_filepath, set in it; it has speaker"),
        ("manifest", '{"audio_filepath": "a.flac", "speaker": 1, "set": "x"}', "set 'x' of a.flac is not train, dev"),
        ("manifest", "7", "manifest_44khz.json:1: no JSON object, but 7: another version of the table"),
        ("chapters", "null", "chapters_44khz.json:1: no JSON object, but null"),
        *(
            ("chapters", '{"url": "", "chapter_filepath": "a", "utterances": ' + cuts + "}", f"khz.json:1: {said}")
            for cuts, said in (
                ('[{"audio_filepath": "../a"}]', "audio_filepath '../a' does not lie in the corpus"),
                ('[{"path": "a"}]', "audio_filepath of an utterance is null, no text"),
                ('["a"]', "utterances is no list of objects"),
                ('[{"audio_filepath": "a", "offset": "1.5", "duration": 2}]', 'offset of a is "1.5", no seconds'),
                ('[{"audio_filepath": "a", "offset": 1.5}]', "duration of a is null, no seconds"),
                ('[{"audio_filepath": "a", "offset": 0, "duration": NaN}]', "duration of a is NaN, no seconds"),
            )
        ),
        ("chapters", '{"url": 1, "chapter_filepath": "a", "utterances": []}', "url and chapter_filepath are not both"),
    ],
)
def test_tables_of_another_kind_are_told(recipe, run, tmp_path, name, text, said):
    place = recipe("hifitts2/voc1")
    write_tables(tmp_path / "corpus", CHAPTERS, "http://127.0.0.1:9")
    (tmp_path / "corpus" / f"{name}_44khz.json").write_text(text + "\n")
    done = run(place, "python", "local/download.py", tmp_path / "corpus", 1, "1/1")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr


@pytest.mark.parametrize(
    ("hours", "part", "said"),
    [
        ("abc", "1/1", "--hours abc: it is a number of hours, or 0 for all"),
        ("nan", "1/1", "--hours nan: it is"),
        ("1", "3/2", "--part 3/2: it is K/N"),
    ],
)
def test_wrong_choices_are_told(recipe, run, tmp_path, hours, part, said):
    done = run(recipe("hifitts2/voc1"), "python", "local/download.py", tmp_path, hours, part)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr


def test_a_corpus_without_audio_is_told(recipe, run, tmp_path):
    place = recipe("hifitts2/voc1")
    done = run(place, "./run.sh", "--corpus_dir", tmp_path / "none")
    assert done.returncode == 2
    assert "none: there is no such directory; HiFiTTS-2 has manifest_44khz.json" in done.stderr
    write_tables(tmp_path / "corpus", CHAPTERS, "")
    done = run(place, "./run.sh", "--corpus_dir", tmp_path / "corpus")
    assert (done.returncode, "audio_44khz: none of the 9 utterances" in done.stderr) == (2, True)


@pytest.mark.slow
def test_from_the_corpus_to_a_model(recipe, run, shared_audio, tmp_path):
    """`python -m pytest -m slow tests/recipes/test_hifitts2.py`: stages 1 to 3, real speech laid out as
    NVIDIA's script leaves utterances."""
    pytest.importorskip("espnet2", reason="espnet is not installed", exc_type=ImportError)
    place = recipe("hifitts2/voc1")
    speech = recordings(shared_audio, "speech", 8)
    kinds = ["train"] * 6 + ["dev", "test"]
    corpus = tmp_path / "corpus"
    write_tables(corpus, [(str(100 + n), kind, [3.0]) for n, kind in enumerate(kinds)], "")
    for number, (wav, rate) in enumerate(speech):
        path = corpus / "audio_44khz" / f"{100 + number}/2315/{100 + number}_2315_book_{number:02}_author_0.flac"
        path.parent.mkdir(parents=True)
        soundfile.write(path, wav, rate)
    lay_out(tmp_path / "music", recordings(shared_audio, "music", 8))
    lay_out(tmp_path / "effects", recordings(shared_audio, "effects", 8))
    words = ["./run.sh", "--corpus_dir", corpus, "--held_out", 1, *write_configs(place), "--stop_stage", 3]
    done = run(place, *words)
    assert (done.returncode, "there is no data/music, a source of mix.yaml" in done.stderr) == (1, True)
    done = run(place, *words, "--music_dir", tmp_path / "music", "--effects_dir", tmp_path / "effects")
    assert done.returncode == 0, done.stderr
    assert len(DataDir.read(place / "dump" / "speech").wav) >= 5
    log = (place / "exp" / "voc_few" / "train.log").read_text()
    assert "speech (speech): 47.6190% of the items" in log
    assert (place / "exp" / "voc_few" / "valid.mel.best.pth").is_file()
