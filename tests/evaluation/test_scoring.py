"""Scoring of whole corpora: tables, bad input, interruption, processes."""

import csv
import json

import numpy as np
import pytest
import soundfile
from metric_signals import SAMPLE_RATE, make_voice, with_noise, write_corpus

from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.evaluation import journal, scoring
from evagan_plugin.evaluation.metrics.log_mel import LogMel
from evagan_plugin.evaluation.report.markdown import scores_markdown
from evagan_plugin.evaluation.report.write import write_scores
from evagan_plugin.evaluation.scores import GROUND_TRUTH
from evagan_plugin.evaluation.scoring import score_systems

SPECTRAL = "m_stft,log_mel_l1"


def values(scores, system, metric):
    """Return the values of a metric by utterance."""
    found = next(entry for entry in scores.metrics if entry.name == metric)
    return {
        score.utt_id: found.value(score.sums[metric])
        for score in scores.utterances
        if score.system == system and metric in score.sums
    }


def test_a_system_is_scored_beside_the_ground_truth(corpus):
    reference, noisy = corpus()
    scores = score_systems(reference, {"noisy": noisy}, "m_stft,pesq_wb,log_mel_l1", ground_truth=True)
    for metric in scores.metrics:
        mean = scores.estimate("noisy", metric)
        assert mean.value == pytest.approx(np.mean(list(values(scores, "noisy", metric.name).values())))
        assert mean.low <= mean.value <= mean.high
        truth = scores.estimate(GROUND_TRUTH, metric)
        assert (truth.value < mean.value) == (metric.better == "lower")
        if metric.name != "pesq_wb":
            assert truth.value > 0, "16 bits were in between"
    scores.check_complete()


def test_the_name_of_the_ground_truth_is_its_own(corpus):
    reference, noisy = corpus()
    for ground_truth in (False, True):
        with pytest.raises(UsageError, match="is the name of the reference itself"):
            score_systems(reference, {GROUND_TRUTH: noisy}, SPECTRAL, ground_truth=ground_truth)


def test_every_number_of_the_table_stands_in_the_files(corpus, tmp_path):
    reference, noisy = corpus()
    scores = score_systems(reference, {"noisy": noisy, "copy": reference}, SPECTRAL)
    paths = write_scores(scores, tmp_path / "out")
    assert [path.name for path in paths] == ["scores.md", "scores.json", "scores.csv", "utterances.csv"]
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    with (tmp_path / "out" / "scores.csv").open() as stream:
        means = {(row["system"], row["metric"]): row for row in csv.DictReader(stream)}
    with (tmp_path / "out" / "utterances.csv").open() as stream:
        rows = {(row["utt_id"], row["system"]): row for row in csv.DictReader(stream)}
    assert len(rows) == len(content["utterances"]) == 6
    table = (tmp_path / "out" / "scores.md").read_text()
    for metric in scores.metrics:
        mean = scores.estimate("noisy", metric)
        assert content["systems"]["noisy"]["metrics"][metric.name]["value"] == mean.value
        assert float(means["noisy", metric.name]["high"]) == pytest.approx(mean.high, abs=1e-8)
        assert f"{mean.value:.4f} [{mean.low:.4f}, {mean.high:.4f}]" in table
        for utt_id, value in values(scores, "noisy", metric.name).items():
            assert float(rows[utt_id, "noisy"][metric.name]) == pytest.approx(value, abs=1e-8)


def test_bad_input_is_listed_and_the_rest_is_scored(tmp_path):
    voice = make_voice(0.6)
    ids = ("good", "long", "nan", "trimmed", "truncated", "missing", "mute_ref")
    reference = write_corpus(tmp_path / "ref", dict.fromkeys(ids, voice) | {"mute_ref": np.zeros_like(voice)})
    made = {
        "good": with_noise(voice, 20),
        "long": np.pad(voice, (0, 257)),
        "nan": np.where(np.arange(voice.size) == 5, np.nan, voice),
        "trimmed": voice[:-3],
        "truncated": voice,
        "mute_ref": voice,
        "extra": voice,
    }
    system = write_corpus(tmp_path / "hyp", made)
    truncated = (system / "truncated.wav").read_bytes()
    (system / "truncated.wav").write_bytes(truncated[: len(truncated) // 2])
    scores = score_systems(reference, {"hyp": system}, SPECTRAL)
    assert set(values(scores, "hyp", "log_mel_l1")) == {"good", "trimmed"}
    problems = {score.utt_id: score.problem for score in scores.problems}
    assert "differ by more than one hop (256)" in problems["long"]
    assert "NaN" in problems["nan"]
    assert "truncated" in problems["truncated"]
    assert "silent" in problems["mute_ref"]
    report = scores_markdown(scores)
    remarks = report[report.index("### Remarks") :].splitlines()
    for utt_id in (*problems, "missing", "extra"):
        assert any("hyp: not scored: " in line and line.endswith(f": {utt_id}") for line in remarks), utt_id
    assert "- hyp: 3 samples shorter than the reference, trimmed: trimmed" in remarks
    with pytest.raises(EvaganError, match=r"6 of 8 pairs could not be scored"):
        scores.check_complete()


def test_silent_clipped_stereo_and_late_audio_is_noted(tmp_path):
    voice = make_voice(0.6)
    reference = write_corpus(tmp_path / "ref", dict.fromkeys(("mute", "loud", "late", "wide"), voice))
    late = np.concatenate([np.zeros(220, np.float32), voice[:-220]])
    system = write_corpus(tmp_path / "hyp", {"mute": 0 * voice, "loud": (4 * voice).clip(-1, 1), "late": late})
    soundfile.write(system / "wide.wav", np.stack([voice, voice], axis=1), SAMPLE_RATE, subtype="FLOAT")
    scores = score_systems(reference, {"hyp": system}, "pesq_wb,log_mel_l1")
    notes = {score.utt_id: "; ".join(score.notes) for score in scores.utterances}
    assert notes["mute"] == "silent"
    assert notes["loud"].startswith("clipped: ")
    assert notes["late"] == "late by 220 samples (10.0 ms)"
    assert notes["wide"] == "2 channels, mean taken"
    assert set(values(scores, "hyp", "pesq_wb")) == {"loud", "late", "wide"}
    assert "hyp: PESQ-wb not scored: silent: mute" in scores_markdown(scores)
    assert values(scores, "hyp", "log_mel_l1")["wide"] == pytest.approx(0.0, abs=1e-5)


def test_a_note_on_many_utterances_is_one_line(tmp_path):
    voices = {f"utt{index}": make_voice(0.3, seed=index) for index in range(7)}
    reference = write_corpus(tmp_path / "ref", voices)
    system = write_corpus(tmp_path / "hyp", {key: -wav for key, wav in voices.items()})
    report = scores_markdown(score_systems(reference, {"hyp": system}, "log_mel_l1"))
    assert "- hyp: polarity inverted: utt0, utt1, utt2, utt3, utt4 and 2 more\n" in report


def test_speech_metrics_are_for_speech_only(corpus, tmp_path):
    reference, noisy = corpus()
    manifest = tmp_path / "manifest.tsv"
    manifest.write_text("utt_id\tcategory\nutt0\tSpeech\nutt1\tdrums\nutt2\tSpeech\n")
    scores = score_systems(reference, {"noisy": noisy}, "pesq_wb,log_mel_l1", manifest=manifest)
    assert set(values(scores, "noisy", "pesq_wb")) == {"utt0", "utt2"}
    assert set(values(scores, "noisy", "log_mel_l1")) == {"utt0", "utt1", "utt2"}
    assert scores.categories == ["Speech", "drums"]
    log_mel = scores.metrics[1]
    drums = scores.estimate("noisy", log_mel, "drums")
    assert (drums.utterances, drums.value) == (1, values(scores, "noisy", "log_mel_l1")["utt1"])
    report = scores_markdown(scores)
    assert "### Category drums" in report
    assert "(n=2)" in report
    assert "noisy: PESQ-wb not scored: not defined for category 'drums': utt1" in report


def test_an_interrupted_run_goes_on(corpus, tmp_path, monkeypatch):
    reference, noisy = corpus(4)
    out = tmp_path / "out"
    whole = score_systems(reference, {"noisy": noisy}, SPECTRAL)
    real, seen = scoring.score_item, []

    def interrupted(item, *arguments):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(item.utt_id)
        return real(item, *arguments)

    monkeypatch.setattr(scoring, "score_item", interrupted)
    with pytest.raises(KeyboardInterrupt):
        score_systems(reference, {"noisy": noisy}, SPECTRAL, out=out)
    # A kill in the middle of a write leaves half a line.
    with (out / journal.FILE).open("a") as stream:
        stream.write('{"utt_id": "utt2", "sys')
    seen_before = list(seen)
    seen.clear()
    monkeypatch.setattr(scoring, "score_item", lambda item, *rest: seen.append(item.utt_id) or real(item, *rest))
    resumed = score_systems(reference, {"noisy": noisy}, SPECTRAL, out=out)
    assert (seen_before, seen) == (["utt0", "utt1"], ["utt2", "utt3"])
    assert resumed.utterances == whole.utterances
    lines = [json.loads(line) for line in (out / journal.FILE).read_text().splitlines()]
    assert [line["utt_id"] for line in lines] == ["utt0", "utt1", "utt2", "utt3"]


def test_only_what_changed_is_scored_again(corpus, tmp_path, monkeypatch):
    reference, noisy = corpus()
    out = tmp_path / "out"
    before = score_systems(reference, {"noisy": noisy}, SPECTRAL, out=out)
    write_corpus(noisy, {"utt1": make_voice(0.6, 140, seed=1)})
    real, seen = scoring.score_item, []
    monkeypatch.setattr(scoring, "score_item", lambda item, *rest: seen.append(item.utt_id) or real(item, *rest))
    after = score_systems(reference, {"noisy": noisy}, SPECTRAL, out=out)
    assert seen == ["utt1"]
    assert values(after, "noisy", "log_mel_l1")["utt1"] < values(before, "noisy", "log_mel_l1")["utt1"]
    score_systems(reference, {"noisy": noisy}, "log_mel_l1", out=out)
    assert len(seen) == 4


def test_two_processes_give_the_scores_of_one(corpus):
    reference, noisy = corpus(4)
    one = score_systems(reference, {"noisy": noisy}, SPECTRAL)
    two = score_systems(reference, {"noisy": noisy}, SPECTRAL, nj=2)
    assert [score.utt_id for score in two.utterances] == ["utt0", "utt1", "utt2", "utt3"]
    for left, right in zip(one.utterances, two.utterances, strict=True):
        for name, sums in left.sums.items():
            assert right.sums[name] == pytest.approx(sums, rel=1e-5)


def test_systems_are_compared_in_pairs(corpus, tmp_path):
    reference, noisy = corpus(8)
    noisier = write_corpus(
        tmp_path / "noisier",
        {path.stem: with_noise(soundfile.read(path)[0], 10) for path in sorted(reference.glob("*.wav"))},
    )
    scores = score_systems(reference, {"a": noisy, "b": noisier}, SPECTRAL, ground_truth=True)
    assert [(entry.first, entry.second) for entry in scores.comparisons] == [("a", "b")] * 2
    for entry in scores.comparisons:
        assert entry.difference < 0
        assert entry.high < 0
        assert entry.p_value <= entry.p_adjusted < 0.05
    assert "### Paired comparison" in scores_markdown(scores)


def test_what_a_metrics_library_throws_costs_one_figure(corpus, monkeypatch):
    reference, noisy = corpus(3)
    compare, calls = LogMel.compare, []

    def fail_once(self, *pair):
        calls.append(pair)
        if len(calls) == 2:
            raise IndexError("index 5 is out of bounds")
        return compare(self, *pair)

    monkeypatch.setattr(LogMel, "compare", fail_once)
    scores = score_systems(reference, {"noisy": noisy}, SPECTRAL)
    assert [len(score.values) for score in scores.utterances] == [2, 1, 2]
    assert scores.utterances[1].not_scored == {"log_mel_l1": "its library fails: IndexError: index 5 is out of bounds"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"metrics": "mos"}, "unknown metric 'mos'"),
        ({"device": "gpu"}, "device 'gpu' is not available"),
        ({"manifest": "/nowhere.tsv"}, "cannot be read"),
        ({"systems": {}}, "no system"),
    ],
)
def test_usage_errors_come_before_any_work(corpus, options, reason):
    reference, noisy = corpus(1)
    with pytest.raises(UsageError, match=reason):
        score_systems(**({"reference": reference, "systems": {"noisy": noisy}} | options))


def test_a_place_that_cannot_be_written_is_one_error(corpus, tmp_path):
    reference, noisy = corpus(1)
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaganError, match="cannot write"):
        score_systems(reference, {"noisy": noisy}, "log_mel_l1", out=tmp_path / "file" / "out")
