"""The recipes' own rules: what is shared is a link, run.sh is a screenful, every script passes shellcheck."""

import shutil
import subprocess

import pytest

SHARED = ("voc.sh", "cmd.sh", "path.sh", "utils")
SHARED_BY_TRAININGS = ("conf/tuning",)
SHARED_BY_SINGLE_CORPORA = ("ablate.sh",)
SHARED_BY_MIXES = ("mix.sh",)


@pytest.fixture(scope="session")
def corpora(egs):
    return sorted(path.parent for path in egs.glob("*/voc1/run.sh"))


def test_every_corpus_has_the_same_parts(corpora, egs):
    names = {path.parent.name for path in corpora}
    assert names >= {"mini_an4", "audio_dir", "cc0_voices", "ljspeech", "libritts", "vctk", "dsd100"}
    assert names >= {"hifi16kh_playerfm20kh", "hifitts2"}
    for corpus in corpora:
        assert len((corpus / "run.sh").read_text().splitlines()) <= 40
        # Nothing is trained on a corpus that is there to judge by.
        trains = corpus.parent.name != "dsd100"
        for part in ("local/data.sh", "README.md", *["conf"] * trains):
            assert (corpus / part).exists(), f"{corpus}/{part}"
        mixes = (corpus / "mix.yaml").exists()
        # Ablations are of one training set, which a mix has not.
        assert (corpus / "ablate.sh").exists() == (trains and not mixes)
        shared_by_some = (*SHARED_BY_TRAININGS * trains, *SHARED_BY_SINGLE_CORPORA * (trains and not mixes))
        for name in (*SHARED, *shared_by_some, *SHARED_BY_MIXES * mixes):
            link = corpus / name
            assert link.is_symlink(), f"{link} is a copy"
            assert not link.readlink().is_absolute()
            assert link.resolve() == (egs / "TEMPLATE" / "voc1" / name).resolve()


def test_scripts_pass_shellcheck(egs):
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed (Debian: apt install shellcheck)")
    scripts = [path for pattern in ("*.sh", "*.pl") for path in egs.rglob(pattern) if not path.is_symlink()]
    assert len(scripts) > 10
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, cwd=egs, check=False)
    assert done.returncode == 0, done.stdout


def test_scripts_stop_at_the_first_failure(egs):
    for script in egs.rglob("*.sh"):
        text = script.read_text()
        if text.startswith("#!"):
            assert "set -euo pipefail" in text, script
