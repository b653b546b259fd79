"""VERSA's result files: what is written is what its scorer writes, what is read joins the tables."""

import json

import pytest
from metric_signals import make_voice, with_noise, write_corpus

from evagan_plugin.errors import UsageError
from evagan_plugin.evaluation.scores import Scores
from evagan_plugin.evaluation.versa import better, read_versa

# Two lines in the form that VERSA's documentation gives: flat names, beside texts that are not figures.
VERSA = (
    '{"key": "a", "utmos": 3.5, "mcd": 4.25, "f0rmse": 12.5, "ref_text": "one two", "whisper_wer_delete": 1}\n'
    '{"key": "b", "utmos": 3.0, "mcd": NaN, "f0rmse": 10.5, "ref_text": "three", "whisper_wer_delete": 0}\n'
)


@pytest.fixture
def folders(tmp_path):
    """A reference of two utterances, and a noisy copy."""
    voices = {"a": make_voice(0.6), "b": make_voice(0.6, 150, seed=1)}
    noisy = {key: with_noise(wav, 20) for key, wav in voices.items()}
    return write_corpus(tmp_path / "ref", voices), write_corpus(tmp_path / "near", noisy)


def test_scores_are_written_line_by_line_under_versas_names(evagan, folders, tmp_path):
    reference, near = folders
    out = tmp_path / "versa.jsonl"
    metrics = "pesq_wb,stoi,f0_rmse_tiny,m_stft"
    status, _, errors = evagan("score", reference, near, "--metrics", metrics, "--versa", out)
    assert status == 0, errors
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row.pop("key") for row in rows] == ["a", "b"]
    assert all(row.keys() == {"pesq", "stoi", "f0rmse", "m_stft"} for row in rows)
    assert 1 < rows[0]["pesq"] < 4.5
    assert read_versa(out)["b"] == rows[1]


def test_each_of_several_systems_has_its_own_file(evagan, folders, tmp_path):
    reference, near = folders
    out = tmp_path / "versa.jsonl"
    status, _, errors = evagan(
        "score", reference, f"near={near}", f"same={reference}", "--metrics", "log_mel_l1", "--ground-truth",
        "--versa", out,
    )  # fmt: skip
    assert status == 0, errors
    assert sorted(path.name for path in tmp_path.glob("versa*")) == ["versa.near.jsonl", "versa.same.jsonl"]
    assert read_versa(tmp_path / "versa.same.jsonl")["a"]["log_mel_l1"] == 0


def test_figures_of_versa_join_the_table_of_a_comparison(evagan, folders, tmp_path):
    reference, near = folders
    (tmp_path / "near.jsonl").write_text(VERSA)
    status, output, errors = evagan(
        "compare", reference, f"near={near}", f"same={reference}", "--metrics", "log_mel_l1", "--ground-truth",
        "--out", tmp_path / "out", "--versa-scores", f"near={tmp_path / 'near.jsonl'}",
    )  # fmt: skip
    assert status == 0, errors
    scores = Scores.load(tmp_path / "out" / "comparison.json")
    columns = {metric.name: metric for metric in scores.metrics}
    assert list(columns) == ["log_mel_l1", "versa_utmos", "versa_mcd", "versa_f0rmse", "versa_whisper_wer_delete"]
    assert scores.estimate("near", columns["versa_utmos"]).value == pytest.approx(3.25)
    assert scores.estimate("near", columns["versa_mcd"]).value == pytest.approx(4.25)  # of the one that is defined
    assert "utmos (VERSA)" in output
    assert columns["versa_mcd"].better == "lower"
    assert better("utmos") == "higher"
    # A count, whose better end nobody has stated: no arrow, nothing in bold.
    assert columns["versa_whisper_wer_delete"].better is None
    assert "| whisper_wer_delete (VERSA) |" in output


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("utt PESQ\n", "line 1: not JSON"),
        ('{"key": "a", "utmos": 3}\n{"utmos": 3}\n', "line 2: no object with a 'key'"),
        ('{"key": "a", "utmos": 3}\n{"key": "a", "utmos": 4}\n', "'a' is there twice"),
        ('{"key": "a", "text": "three"}\n', "no figure of any utterance"),
        ("", "no figure of any utterance"),
        ("[1, 2]\n", "line 1: no object"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, content, reason):
    (tmp_path / "versa.jsonl").write_text(content)
    with pytest.raises(UsageError, match=reason) as raised:
        read_versa(tmp_path / "versa.jsonl")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("far", VERSA, "is of 'far', which is not compared"),
        ("near", '{"key": "x", "utmos": 3}\n', "none of its utterances (x) is among those of the reference"),
    ],
)
def test_a_file_that_is_of_something_else_is_refused_before_the_work(evagan, folders, tmp_path, name, content, reason):
    reference, near = folders
    (tmp_path / "near.jsonl").write_text(content)
    status, _, errors = evagan(
        "compare", reference, f"near={near}", "--metrics", "log_mel_l1", "--out", tmp_path / "out",
        "--versa-scores", f"{name}={tmp_path / 'near.jsonl'}",
    )  # fmt: skip
    assert status == 2
    assert reason in errors
    assert len(errors.splitlines()) == 1
