"""Data preparation of each corpus, on real archives and on small trees laid out as the corpora are."""

import csv
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from evagan_plugin.audio import load_audio
from evagan_plugin.kaldi import DataDir

SETS = ("train", "dev", "test")


def read_sets(directory: Path) -> dict[str, DataDir]:
    return {name: DataDir.read(directory / name) for name in SETS}


def speakers(data: DataDir) -> set[str]:
    return set(data.utt2spk.values())


def noise(path: Path, seconds: float = 0.1, rate: int = 8000, channels: int = 1, level: float = 0.1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.random.default_rng(0).uniform(-level, level, (int(seconds * rate), channels))
    soundfile.write(path, wave, rate)


# ---------------------------------------------------------------------------------------------------------- mini_an4


def test_shipped_an4_is_split_by_speaker(recipe, run):
    pytest.importorskip("espnet2", reason="the espnet package, which brings the 8 utterances, is not installed")
    place = recipe("mini_an4/voc1")
    done = run(place, "local/data.sh")
    assert done.returncode == 0, done.stderr
    sets = read_sets(place / "data")
    assert {name: len(data.wav) for name, data in sets.items()} == {"train": 4, "dev": 2, "test": 2}
    assert not speakers(sets["test"]) & (speakers(sets["train"]) | speakers(sets["dev"]))
    assert not speakers(sets["dev"]) & speakers(sets["train"])
    assert sets["test"].text["fcaw-cen8-fcaw-b"] == "ELEVEN TWENTY SEVEN FIFTY SEVEN"
    assert sets["train"].text["fash-an251-fash-b"] == "YES"
    for data in sets.values():
        for path in data.wav.values():
            wav, rate = load_audio(place / path)
            assert (rate, wav.shape[0]) == (16000, 1)
            assert np.abs(wav).max() > 0.02


def an4_archive(path: Path) -> None:
    """Write an archive laid out as CMU's: an4/etc with lists, an4/wav/{an4_clstk,an4test_clstk}/SPEAKER/*.sph."""
    encoded = io.BytesIO()
    soundfile.write(encoded, np.zeros(1600), 16000, format="NIST", subtype="PCM_16")
    files = {
        f"an4_clstk/s{speaker:02}/an{speaker}-s{speaker:02}-b": f"<s> WORD {speaker} </s>" for speaker in range(20)
    }
    tests = {"an4test_clstk/t1/cen1-t1-b": "A B C"}
    contents = {}
    for part, utterances in (("train", files), ("test", tests)):
        lines = [f"{text} ({Path(name).name})" for name, text in utterances.items()]
        contents[f"an4/etc/an4_{part}.transcription"] = "\n".join(lines).encode()
        contents |= {f"an4/wav/{name}.sph": encoded.getvalue() for name in utterances}
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def test_whole_an4_is_downloaded_once(recipe, run, tmp_path):
    place = recipe("mini_an4/voc1")
    archive = tmp_path / "an4_sphere.tar.gz"
    an4_archive(archive)
    options = ["--full_corpus", "true", "--corpus_url", archive.as_uri()]
    done = run(place, "local/data.sh", *options)
    assert done.returncode == 0, done.stderr
    sets = read_sets(place / "data")
    assert {name: len(data.wav) for name, data in sets.items()} == {"train": 18, "dev": 2, "test": 1}
    assert sets["train"].text["s03-an3-s03-b"] == "WORD 3"
    archive.unlink()
    assert run(place, "local/data.sh", *options).returncode == 0, "the second run needs no download"


def test_download_without_network_says_what_to_do(recipe, run):
    place = recipe("mini_an4/voc1")
    url = "http://127.0.0.1:9/an4_sphere.tar.gz"
    done = run(place, "local/data.sh", "--full_corpus", "true", "--corpus_url", url)
    assert done.returncode == 1
    assert f"cannot download {url}" in done.stderr
    assert "put it at downloads/an4_sphere.tar.gz" in done.stderr
    assert not list(place.glob("downloads/*.gz"))


def test_damaged_archive_leaves_nothing_behind(recipe, run, tmp_path):
    place = recipe("mini_an4/voc1")
    archive = tmp_path / "an4_sphere.tar.gz"
    an4_archive(archive)
    archive.write_bytes(archive.read_bytes()[:-300])
    done = run(place, "local/data.sh", "--full_corpus", "true", "--corpus_url", archive.as_uri())
    assert done.returncode == 1
    assert "cannot be unpacked" in done.stderr
    assert not list((place / "downloads").glob("*full*"))


# --------------------------------------------------------------------------------------------------------- ljspeech


@pytest.fixture
def ljspeech(shared_audio, tmp_path):
    """The LJSpeech utterances of the shared audio, laid out as LJSpeech-1.1 is."""
    corpus = tmp_path / "LJ Speech-1.1"
    (corpus / "wavs").mkdir(parents=True)
    with (shared_audio / "lowrate" / "manifest.tsv").open(encoding="utf-8") as stream:
        rows = [
            row
            for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
            if row["speaker"] == "ljspeech"
        ]
    lines = []
    for row in rows:
        utterance = Path(row["origin"]).stem
        wav, rate = soundfile.read(shared_audio / "lowrate" / row["path"], dtype="int16")
        soundfile.write(corpus / "wavs" / f"{utterance}.wav", wav, rate)
        lines.append(f"{utterance}|{row['text']}|{row['text']}")
    (corpus / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return corpus


def test_ljspeech_in_a_folder_with_a_space(recipe, run, ljspeech):
    place = recipe("ljspeech/voc1")
    done = run(place, "./run.sh", "--corpus_dir", ljspeech, "--stop_stage", 2, "--nj", 2)
    assert done.returncode == 0, done.stderr
    sets = read_sets(place / "data")
    assert {name: len(data.wav) for name, data in sets.items()} == {"train": 26, "dev": 3, "test": 3}
    order = [utterance for name in SETS for utterance in sets[name].utterances]
    assert order == sorted(order), "the held-out utterances are the last of the corpus"
    formatted = DataDir.read(place / "dump" / "train")
    assert len(formatted.utt2dur) == 26
    assert soundfile.info(place / formatted.wav["LJ001-0001"]).samplerate == 22050


def test_incomplete_ljspeech_is_told(recipe, run, ljspeech):
    place = recipe("ljspeech/voc1")
    (ljspeech / "wavs" / "LJ001-0002.wav").unlink()
    done = run(place, "local/data.sh", "--corpus_dir", ljspeech)
    assert done.returncode == 2
    assert "metadata.csv:2:" in done.stderr
    assert "LJ001-0002.wav is missing" in done.stderr
    done = run(place, "local/data.sh", "--corpus_dir", ljspeech / "wavs")
    assert (done.returncode, "no metadata.csv in it" in done.stderr) == (2, True)


# -------------------------------------------------------------------------------------------------------- audio_dir


@pytest.fixture
def folder(tmp_path):
    """A folder of audio as people have it: spaces, equal names, umlauts, things that are no audio."""
    root = tmp_path / "my audio"
    names = [f"singer one/take {number}.wav" for number in range(30)]
    names += ["a-b.wav", "a/b.wav", "Bär & Co/ton (1).flac", "README.txt", ".hidden/x.wav", "up.WAV"]
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no audio")
        else:
            soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 800), 8000)
    return root


def test_any_folder_is_split_by_hash(recipe, run, folder):
    place = recipe("audio_dir/voc1")
    done = run(place, "local/data.sh", "--audio_dir", folder)
    assert done.returncode == 0, done.stderr
    sets = read_sets(place / "data")
    placed = {path: name for name, data in sets.items() for path in data.wav.values()}
    assert len(placed) == sum(len(data.wav) for data in sets.values()) == 34
    assert all(Path(path).is_file() for path in placed)
    utterances = [utterance for data in sets.values() for utterance in data.wav]
    assert len(set(utterances)) == 34
    assert all(set(utterance) <= set(map(chr, range(33, 127))) - set("/ &()") for utterance in utterances)
    spoken = {speaker for data in sets.values() for speaker in speakers(data)}
    assert "singer_one" in spoken
    shutil.rmtree(folder / "Bär & Co")
    assert run(place, "local/data.sh", "--audio_dir", folder).returncode == 0
    after = {path: name for name, data in read_sets(place / "data").items() for path in data.wav.values()}
    assert all(placed[path] == name for path, name in after.items()), "a file changed its set when another went"


def test_manifest_decides_the_split(recipe, run, shared_audio):
    place = recipe("audio_dir/voc1")
    source = shared_audio / "fullband"
    done = run(place, "local/data.sh", "--audio_dir", source)
    assert done.returncode == 0, done.stderr
    sets = read_sets(place / "data")
    with (source / "manifest.tsv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    for name, data in sets.items():
        assert set(data.wav) == {row["utt_id"] for row in rows if row["split"] == name}
    first = rows[0]
    assert sets[first["split"]].wav[first["utt_id"]] == str(source / first["path"])
    assert sets[first["split"]].utt2spk[first["utt_id"]] == first["speaker"]


def test_manifest_without_a_usable_split_says_so(recipe, run, shared_audio):
    place = recipe("audio_dir/voc1")
    done = run(place, "local/data.sh", "--audio_dir", shared_audio / "lowrate")
    assert done.returncode == 0, done.stderr
    assert "splits are not train, dev and test but lowrate: split by hash" in done.stderr
    assert sum(len(data.wav) for data in read_sets(place / "data").values()) == 207


@pytest.mark.parametrize("column", ["speaker", "source"])
def test_a_manifest_without_splits_keeps_speakers_apart(recipe, run, tmp_path, column):
    folder = tmp_path / "folder"
    rows = [(f"{number}-{take}.wav", f"someone {number}") for number in range(12) for take in range(5)]
    for name, _ in rows:
        noise(folder / name)
    manifest = folder / "manifest.tsv"
    manifest.write_text(f"path\t{column}\tcategory\n" + "".join(f"{name}\t{who}\tspeech\n" for name, who in rows))
    place = recipe("audio_dir/voc1")
    done = run(place, "local/data.sh", "--audio_dir", folder, "--dev_percent", 20, "--test_percent", 20)
    assert done.returncode == 0, done.stderr
    sets = read_sets(place / "data")
    assert sum(len(data.wav) for data in sets.values()) == len(rows)
    assert sum(len(speakers(data)) for data in sets.values()) == 12, "a speaker is in two sets"
    assert set(sets["test"].category.values()) == {"speech"}
    before = {speaker: name for name, data in sets.items() for speaker in speakers(data)}
    manifest.write_text(f"path\t{column}\n" + "".join(f"{name}\t{who}\n" for name, who in rows[5:]))
    options = ["--dev_percent", 20, "--test_percent", 20]
    assert run(place, "local/data.sh", "--audio_dir", folder, *options).returncode == 0
    after = {speaker: name for name, data in read_sets(place / "data").items() for speaker in speakers(data)}
    assert after.items() <= before.items(), "a speaker changed its set when another went"


def test_two_speakers_are_too_few_for_three_sets(recipe, run, tmp_path):
    rows = [f"{number}.wav\tsomeone {number % 2}\n" for number in range(10)]
    for number in range(10):
        noise(tmp_path / "folder" / f"{number}.wav")
    (tmp_path / "folder" / "manifest.tsv").write_text("path\tspeaker\n" + "".join(rows))
    done = run(recipe("audio_dir/voc1"), "local/data.sh", "--audio_dir", tmp_path / "folder")
    assert (done.returncode, "no files for the set 'train': 2 speakers are too few" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("files", "manifest", "said"),
    [
        ([], None, "no audio in it"),
        (["a.wav", "b.wav"], None, "2 files are too few to split"),
        (["a.wav"], "name\tpath\nx\n", "no rows with a column 'path'"),
        (["a.wav"], "path\na.wav\na.wav\nb.wav\n", "are one file or one utterance id"),
    ],
)
def test_folders_that_cannot_be_used_are_told(recipe, run, tmp_path, files, manifest, said):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in files:
        soundfile.write(folder / name, np.zeros(100), 8000)
    if manifest:
        (folder / "manifest.tsv").write_text(manifest)
    done = run(recipe("audio_dir/voc1"), "local/data.sh", "--audio_dir", folder)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_audio_dir_must_be_given_and_be_there(recipe, run, tmp_path):
    place = recipe("audio_dir/voc1")
    assert "--audio_dir is needed" in run(place, "./run.sh").stderr
    done = run(place, "./run.sh", "--audio_dir", tmp_path / "nowhere")
    assert done.returncode == 2
    assert "is not a folder" in done.stderr


# ---------------------------------------------------------------------------------------------------------- libritts


@pytest.fixture
def libritts(tmp_path):
    """LibriTTS's tree: PART/SPEAKER/CHAPTER/SPEAKER_CHAPTER_PARAGRAPH_SENTENCE.{wav,normalized.txt,original.txt}."""
    corpus = tmp_path / "LibriTTS"
    parts = ("train-clean-100", "train-clean-360", "train-other-500", "dev-clean", "dev-other", "test-clean")
    for number, part in enumerate(parts):
        for speaker in range(100 * number, 100 * number + 8):
            folder = corpus / part / str(speaker) / "7067"
            for sentence in range(3):
                stem = folder / f"{speaker}_7067_000009_00000{sentence}"
                noise(stem.with_suffix(".wav"), rate=24000)
                stem.with_suffix(".original.txt").write_text("Mr. X said so.")
                stem.with_suffix(".normalized.txt").write_text("Mister X said so.\n")
            (folder / f"{speaker}_7067.trans.tsv").write_text("")
    (corpus / "speakers.tsv").write_text("READER\tGENDER\tSUBSET\tNAME\n")
    return corpus


def test_libritts_is_judged_on_dev_clean_and_dev_other(recipe, run, libritts):
    place = recipe("libritts/voc1")
    words = ["./run.sh", "--stop_stage", 1, "--corpus_dir", libritts]
    done = run(place, *words)
    assert done.returncode == 0, done.stderr
    names = ("train", "valid", "dev_clean", "dev_other")
    sets = {name: DataDir.read(place / "data" / name) for name in names}
    assert {name: len(data.wav) for name, data in sets.items()} == {
        "train": 14 * 3,
        "valid": 10 * 3,
        "dev_clean": 24,
        "dev_other": 24,
    }
    assert speakers(sets["dev_clean"]) == {str(number) for number in range(300, 308)}
    assert not speakers(sets["train"]) & speakers(sets["valid"])
    assert sets["dev_other"].text["400_7067_000009_000000"] == "Mister X said so."
    done = run(place, *words, "--num_eval", 5, "--train_parts", "train-clean-100 train-other-500")
    assert done.returncode == 0, done.stderr
    drawn = {name: set(DataDir.read(place / "data" / name).wav) for name in names}
    assert (len(drawn["dev_clean"]), len(drawn["train"] | drawn["valid"])) == (5, 16 * 3)
    assert run(place, *words, "--num_eval", 8).returncode == 0
    assert drawn["dev_clean"] < set(DataDir.read(place / "data" / "dev_clean").wav), "a larger draw holds a smaller one"
    assert run(place, *words, "--num_eval", 5, "--data_seed", 1).returncode == 0
    assert drawn["dev_clean"] != set(DataDir.read(place / "data" / "dev_clean").wav)


@pytest.mark.parametrize(("config", "published"), [("eva_gan_base_24k", True), ("eva_gan_base_44k", False)])
def test_libritts_is_set_beside_published_figures_at_their_rate(recipe, run, config, published):
    place = recipe("libritts/voc1")
    text = (place / "voc.sh").read_text()
    (place / "voc.sh").unlink()
    # What voc.sh itself makes of the options of run.sh, and no stage.
    text = text.replace("stage_1() {", 'echo "${protocol}:${score_metrics}"\nexit\n\nstage_1() {')
    (place / "voc.sh").write_text(text)
    (place / "voc.sh").chmod(0o755)
    done = run(place, "./run.sh", "--train_config", f"conf/train_{config}.yaml")
    assert done.returncode == 0, done.stderr
    expected = "libritts:m_stft,pesq_wb,periodicity_rmse,vuv_f1" if published else ":fast"
    assert done.stdout.strip() == expected


def test_libritts_says_which_part_is_missing(recipe, run, libritts):
    place = recipe("libritts/voc1")
    assert "parts are at https://www.openslr.org/60/" in run(place, "local/data.sh").stderr
    shutil.rmtree(libritts / "train-other-500")
    done = run(place, "local/data.sh", "--corpus_dir", libritts)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"{libritts}/train-other-500: there is no such directory; unpack train-other-500.tar.gz from" in done.stderr
    assert not (place / "data" / "train").exists()
    done = run(place, "local/data.sh", "--corpus_dir", libritts, "--train_parts", "train-clean-100 dev-clean")
    assert (done.returncode, "dev-clean is what the recipe judges by" in done.stderr) == (2, True)


# -------------------------------------------------------------------------------------------------------------- vctk


@pytest.fixture
def vctk(tmp_path):
    """The tree of VCTK 0.92: wav48_silence_trimmed/pNNN/pNNN_NNN_mic{1,2}.flac, txt/pNNN/pNNN_NNN.txt."""
    corpus = tmp_path / "VCTK-Corpus-0.92"
    for speaker in [*(f"p{number}" for number in range(225, 243)), "s5"]:
        for number in range(1, 4):
            utterance = f"{speaker}_{number:03}"
            for mic in ("mic1", "mic2"):
                if (speaker, mic) != ("p280", "mic2"):
                    noise(corpus / "wav48_silence_trimmed" / speaker / f"{utterance}_{mic}.flac", rate=48000)
            if speaker != "p230":
                text = corpus / "txt" / speaker / f"{utterance}.txt"
                text.parent.mkdir(parents=True, exist_ok=True)
                text.write_text("Please call Stella.\n")
    (corpus / "wav48_silence_trimmed" / "log.txt").write_text("")
    (corpus / "speaker-info.txt").write_text("ID  AGE  GENDER  ACCENTS  REGION COMMENTS\n")
    return corpus


def test_vctk_holds_speakers_out(recipe, run, vctk):
    place = recipe("vctk/voc1")
    done = run(place, "./run.sh", "--stop_stage", 1, "--corpus_dir", vctk)
    assert done.returncode == 0, done.stderr
    sets = read_sets(place / "data")
    assert {name: len(speakers(data)) for name, data in sets.items()} == {"train": 4, "dev": 5, "test": 10}
    assert len(set.union(*map(speakers, sets.values()))) == 19
    paths = {utterance: path for data in sets.values() for utterance, path in data.wav.items()}
    assert paths["p225_001"] == str(vctk / "wav48_silence_trimmed" / "p225" / "p225_001_mic1.flac")
    assert len(paths) == 19 * 3, "one microphone only"
    texts = {utterance: text for data in sets.values() for utterance, text in data.text.items()}
    assert (texts["s5_002"], len(texts)) == ("Please call Stella.", 18 * 3)
    done = run(place, "local/data.sh", "--corpus_dir", vctk, "--mic", "mic2", "--test_speakers", 2)
    assert done.returncode == 0, done.stderr
    assert all(path.endswith("_mic2.flac") for path in read_sets(place / "data")["test"].wav.values())


def test_a_wrong_vctk_is_told(recipe, run, vctk):
    place = recipe("vctk/voc1")
    assert "--corpus_dir is needed: VCTK 0.92" in run(place, "local/data.sh").stderr
    for options, said in [
        (["--corpus_dir", vctk / "txt"], "there is no such directory; VCTK 0.92 has wav48_silence_trimmed/"),
        (["--corpus_dir", vctk, "--mic", "mic3"], "no */*_mic3.flac in it; VCTK 0.92 has"),
        (["--corpus_dir", vctk, "--test_speakers", 19], "19 of 19 speakers cannot be held out"),
    ]:
        done = run(place, "local/data.sh", *options)
        assert done.returncode == 2
        assert said in done.stderr.splitlines()[-1]


# ------------------------------------------------------------------------------------------------------------ dsd100

CATEGORIES = ("bass", "drums", "vocals", "other", "mixture")


@pytest.fixture
def dsd100(tmp_path):
    """DSD100's tree: Mixtures/PART/SONG/mixture.wav and Sources/PART/SONG/STEM.wav, stereo; one song has no singing."""
    corpus = tmp_path / "DSD100"
    for number, part in enumerate(("Dev", "Test")):
        for song in range(3):
            name = f"0{50 * number + song:02} - Some Band - Song (live) {song}"
            for stem in CATEGORIES[:4]:
                level = 0.0 if (stem, song) == ("vocals", 0) else 0.1
                noise(corpus / "Sources" / part / name / f"{stem}.wav", 7, channels=2, level=level)
            noise(corpus / "Mixtures" / part / name / "mixture.wav", 7, channels=2)
    return corpus


def test_dsd100_is_drawn_by_seed(recipe, run, dsd100):
    place = recipe("dsd100/voc1")
    words = ["local/data.sh", "--corpus_dir", dsd100, "--items", 4]
    done = run(place, *words)
    assert done.returncode == 0, done.stderr
    data = DataDir.read(place / "data" / "test")
    assert sorted(data.category.values()) == sorted(CATEGORIES * 4)
    for utterance, segment in data.segments.items():
        assert 0 <= segment.start < segment.end <= 7
        assert segment.end - segment.start == pytest.approx(5)
        path = Path(data.wav[segment.recording])
        assert (path.stem, path.parts[-3]) == (data.category[utterance], "Test")
    songs = {utterance: song for utterance, song in data.utt2spk.items() if utterance.startswith("drums")}
    assert len(set(songs.values())) == 3, "every song before one comes again"
    assert not any(song.startswith("050") for key, song in data.utt2spk.items() if key.startswith("vocals")), "silence"
    assert run(place, *words).returncode == 0
    assert DataDir.read(place / "data" / "test") == data
    assert run(place, *words, "--data_seed", 1, "--parts", "Dev Test").returncode == 0
    other = DataDir.read(place / "data" / "test")
    assert other.segments != data.segments
    assert {Path(path).parts[-3] for path in other.wav.values()} == {"Dev", "Test"}


def test_a_wrong_dsd100_is_told(recipe, run, dsd100):
    place = recipe("dsd100/voc1")
    assert "--model is needed" in run(place, "./run.sh").stderr
    done = run(place, "./run.sh", "--model", "none.pth", "--corpus_dir", dsd100)
    assert (done.returncode, "there is no none.pth; --model names a trained model" in done.stderr) == (2, True)
    shutil.rmtree(dsd100 / "Sources" / "Test")
    done = run(place, "local/data.sh", "--corpus_dir", dsd100)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Sources/Test: there is no such directory; DSD100 has Mixtures/" in done.stderr
    for path in (dsd100 / "Sources" / "Dev").glob("*/drums.wav"):
        noise(path, 7, level=0.0)
    done = run(place, "local/data.sh", "--corpus_dir", dsd100, "--parts", "Dev")
    assert (done.returncode, "drums: no 5 s above -50 dB in 3 songs" in done.stderr) == (1, True)
