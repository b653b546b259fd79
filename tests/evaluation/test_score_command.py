"""``evagan score`` as a user calls it."""

import pytest
from metric_signals import make_voice, write_corpus

from evagan_plugin.evaluation import scoring


def test_the_table_goes_to_standard_output_and_the_files_to_out(evagan, corpus, tmp_path):
    reference, noisy = corpus(2)
    out, results = tmp_path / "out", tmp_path / "RESULTS.md"
    status, output, errors = evagan(
        "score", reference, f"eva_gan={noisy}", "--out", out, "--results", results, "--ground-truth", "--metrics",
        "pesq_wb,log_mel_l1",
    )  # fmt: skip
    assert status == 0, errors
    assert errors.index("score: 2 utterances; starting ") < errors.index("score: 2 done")
    assert "| eva_gan | 2 |" in output
    assert (out / "scores.md").read_text() in output
    assert {path.name for path in out.iterdir()} == {
        "scores.md",
        "scores.json",
        "scores.csv",
        "utterances.csv",
        "utterances.jsonl",
    }
    page = results.read_text()
    for part in (
        "evagan score",
        "# Scores on",
        "ground truth (16 bit)",
        "| eva_gan | 2 |",
        "Versions: Python",
        "pesq 0.",
    ):
        assert part in page


def test_parts_and_the_call_that_joins_them_give_the_files_of_one_call(evagan, corpus, tmp_path, monkeypatch):
    reference, noisy = corpus(3)
    words = ["score", reference, f"eva_gan={noisy}", "--ground-truth", "--metrics", "m_stft,log_mel_l1"]
    assert evagan(*words, "--out", tmp_path / "one")[0] == 0
    for part, count in (("2/2", 1), ("1/2", 2)):
        status, output, errors = evagan(*words, "--out", tmp_path / "parts", "--part", part)
        assert (status, output) == (0, ""), errors
        assert f"part {part}: {count} utterances scored" in errors
    assert {path.name for path in (tmp_path / "parts").iterdir()} == {f"utterances.{n}of2.jsonl" for n in (1, 2)}
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "_score", lambda *_, **__: pytest.fail("an utterance was scored twice"))
        assert evagan(*words, "--out", tmp_path / "parts")[0] == 0
    one, parts = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "parts"))
    assert len(one) == 5
    assert parts == one


def test_a_part_without_a_place_for_its_scores_is_refused(evagan, corpus):
    reference, noisy = corpus(1)
    status, _, errors = evagan("score", reference, noisy, "--part", "1/2")
    assert (status, "--part needs --out" in errors, errors.count("\n")) == (2, True, 1)


@pytest.mark.parametrize("skip", [False, True])
def test_missing_utterances_end_with_status_1_unless_accepted(evagan, tmp_path, skip):
    voice = make_voice(0.3)
    reference = write_corpus(tmp_path / "ref", {"a": voice, "b": voice})
    system = write_corpus(tmp_path / "hyp", {"a": voice})
    status, output, errors = evagan("score", reference, system, "--metrics", "log_mel_l1", *["--skip-broken"] * skip)
    assert "hyp: not scored: no audio of this system: b" in output
    assert status == (0 if skip else 1)
    lines = [line for line in errors.splitlines() if line.startswith("evagan: error:")]
    assert len(lines) == (0 if skip else 1)


def test_usage_errors_are_one_line_and_status_2(evagan, tmp_path):
    reference = write_corpus(tmp_path / "ref", {"a": make_voice(0.3)})
    status, _, errors = evagan("score", reference, tmp_path / "none")
    assert status == 2
    needed = "a directory of audio, a wav.scp or an audio file is needed"
    assert errors == f"evagan: error: {tmp_path}/none does not exist: {needed}\n"
