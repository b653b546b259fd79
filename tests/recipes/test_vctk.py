"""Data preparation of VCTK, on a small tree laid out as the corpus is."""

import pytest
from corpora import noise, read_sets, speakers


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
