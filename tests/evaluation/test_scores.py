"""``scores.json`` read back: nothing is lost that a table, a file or another command needs."""

import json
import subprocess
import sys

import numpy as np
import pytest
from metric_signals import make_voice, with_noise, write_corpus

from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.evaluation.report.compare import CompareOptions, compare_systems
from evagan_plugin.evaluation.report.markdown import scores_markdown
from evagan_plugin.evaluation.report.write import write_comparison, write_scores
from evagan_plugin.evaluation.scores import Scores
from evagan_plugin.evaluation.scoring import score_systems


@pytest.fixture
def scores(tmp_path):
    """Scores of two systems with categories, an utterance that lacks a figure, a missing one, a late and a bad one."""
    voices = {f"utt{index}": make_voice(0.6, 120 + 20 * index, seed=index) for index in range(8)}
    reference = write_corpus(tmp_path / "ref", voices)
    noisy = {key: with_noise(wav, 20, seed=index) for index, (key, wav) in enumerate(voices.items())}
    noisy["utt0"] = np.concatenate([np.zeros(220, np.float32), voices["utt0"][:-220]])
    noisy["utt1"] = voices["utt1"][:100]
    del noisy["utt2"]
    categories = [f"{key}\t{'music' if key == 'utt3' else 'speech'}\n" for key in voices]
    (tmp_path / "manifest.tsv").write_text("utt_id\tcategory\n" + "".join(categories))
    systems = {"noisy": write_corpus(tmp_path / "noisy", noisy), "copy": reference}
    return score_systems(reference, systems, "pesq_wb,log_mel_l1", manifest=tmp_path / "manifest.tsv")


def test_every_table_can_be_made_again_from_the_file(scores, tmp_path):
    paths = write_scores(scores, tmp_path / "first")
    again = Scores.load(tmp_path / "first" / "scores.json")
    write_scores(again, tmp_path / "second")
    for path in paths:
        assert (tmp_path / "second" / path.name).read_text() == path.read_text(), path.name
    report = scores_markdown(again)
    for part in ("### Category music", "### Paired comparison", "late by 220 samples", "no audio of this system: utt2"):
        assert part in report
    with pytest.raises(EvaganError, match="2 of 16 pairs could not be scored"):
        again.check_complete()


def test_a_comparison_is_read_as_its_scores_are(tmp_path):
    reference = write_corpus(tmp_path / "ref", {"a": make_voice(0.5)})
    options = CompareOptions(metrics="log_mel_l1")
    comparison = compare_systems(reference, {"hyp": reference}, tmp_path / "out", options)
    write_comparison(comparison, tmp_path / "out")
    both = [Scores.load(tmp_path / "out" / name) for name in ("scores.json", "comparison.json")]
    assert both[0] == both[1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "list indices"),
        ('{"systems": {}, "metrics": []}', "there is no 'utterances' in it"),
        ('{"systems": {}}', "there is no 'metrics' in it"),
    ],
)
def test_what_is_no_scores_json_is_refused_by_its_name(tmp_path, content, reason):
    path = tmp_path / "scores.json"
    path.write_text(content)
    with pytest.raises(UsageError) as refused:
        Scores.load(path)
    assert str(refused.value).startswith(f"{path}: not a scores.json of `evagan score --out`: {reason}")
    with pytest.raises(UsageError, match="No such file"):
        Scores.load(tmp_path / "nowhere.json")


def test_reading_scores_loads_no_pytorch(scores, tmp_path):
    write_scores(scores, tmp_path)
    code = (
        "import sys; from evagan_plugin.evaluation.bootstrap import holm; from evagan_plugin.evaluation.scores import "
        f"Scores; print(len(Scores.load({str(tmp_path / 'scores.json')!r}).utterances), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(json.loads((tmp_path / "scores.json").read_text())["utterances"])), "False"]
