"""Data preparation of LibriTTS, on a small tree laid out as the corpus is."""

import shutil

import pytest
from corpora import noise, speakers

from evagan_plugin.data.kaldi import DataDir


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
