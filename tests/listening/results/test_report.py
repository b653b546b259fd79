"""From votes in a store to tables and pictures; screening; systems added while a test runs."""

import csv
import io
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import soundfile
from listening_bench import RATE, Made, honest, query, take_part, tone

from evagan_plugin.errors import UsageError
from evagan_plugin.evaluation.bootstrap import MetricEstimate
from evagan_plugin.evaluation.metrics.base import MetricInfo
from evagan_plugin.evaluation.scores import Scores, UtteranceScore
from evagan_plugin.listening import ObjectiveMetrics, add_system
from evagan_plugin.listening.results.objective import add_versa, kept_metrics, read_scores
from evagan_plugin.listening.results.pictures import draw_scores, draw_steps
from evagan_plugin.listening.results.render import render_markdown, write_report
from evagan_plugin.listening.results.report import CategoryScores, Report, ReportOptions, SystemScore, analyse
from evagan_plugin.listening.results.screening import Exclusion
from evagan_plugin.listening.results.status import RaterCounts, status_of
from evagan_plugin.listening.votes.export import FIELDS, votes_csv
from evagan_plugin.listening.votes.records import Answer

SCORE = ["votes", "raters", "items", "mean", "interval", "bootstrap"]
ROWS = {
    "systems": ["system", "role", "step", *SCORE, "metrics"],
    "differences": ["first", "second", *SCORE, "p", "p_holm"],
    "artifacts": ["system", "votes", "votes_with_artifacts", "labels", "marks", "marked_seconds"],
    "correlations": ["metric", "spearman", "cells"],
    "disagreements": ["system", "item", "score", "marks", "human_z", "objective_z", "metrics"],
}
"""Keys of the rows of ``report.json``, which other programs read."""


@pytest.fixture
def voted(make_test) -> Made:
    made = make_test(count=5, raters=8, items_per_rater=4, title="Night test")
    for rater in range(1, 7):
        take_part(made, rater)
    return made


def rows_of(report: Report) -> dict[str, SystemScore]:
    return {row.system: row for row in report.systems}


def test_scores_are_those_that_were_given(voted):
    with voted.store as store:
        report = analyse(voted.design, store)
        given = [v.score for v in store.votes() if v.system == "good" and v.kind == "test"]
    good = rows_of(report)["good"]
    assert (good.votes, good.raters, good.items) == (24, 6, 4)
    assert good.mean == pytest.approx(np.mean(given))
    assert good.interval[0] < good.mean < good.interval[1]
    assert rows_of(report)["reference"].mean == 5 and rows_of(report)["reference"].role == "reference"
    differences = {(row.first, row.second): row for row in report.differences}
    assert set(differences) == {("good", "bad"), ("good", "reference"), ("bad", "reference")}
    assert differences["good", "bad"].mean == pytest.approx(good.mean - rows_of(report)["bad"].mean)
    assert differences["good", "bad"].p_holm >= differences["good", "bad"].p
    assert report.excluded == []


@pytest.mark.parametrize(
    ("score", "seconds", "reason"),
    [
        (lambda hidden, rng: 5.0, 20.0, "gave 5 to all 16 samples"),
        (lambda hidden, rng: 5.0 if hidden["kind"] == "check" else honest(hidden, rng), 20.0, "attention checks"),
        (
            lambda hidden, rng: 3.0 if hidden["system"] == "reference" else honest(hidden, rng),
            20.0,
            "hidden references below 4",
        ),
        (honest, 0.5, "faster than their samples last"),
    ],
)
def test_careless_raters_are_left_out_with_the_reason_and_can_be_kept(voted, score, seconds, reason):
    take_part(voted, 7, score, seconds)
    with voted.store as store:
        report = analyse(voted.design, store)
        kept = analyse(voted.design, store, ReportOptions(keep=[7]))
        unscreened = analyse(voted.design, store, ReportOptions(screening=None))
        by_hand = analyse(voted.design, store, ReportOptions(exclude=[1]))
        with pytest.raises(UsageError, match="no rater 77"):
            analyse(voted.design, store, ReportOptions(exclude=[77]))
    [excluded] = report.excluded
    assert excluded.rater == 7 and reason in "; ".join(excluded.reasons)
    assert report.raters == 6 and kept.raters == unscreened.raters == 7
    assert kept.kept_by_hand == [excluded] and kept.excluded == []
    assert reason in render_markdown(report) and "kept by hand" in render_markdown(kept)
    assert Exclusion(rater=1, votes=16, reasons=["excluded by hand"]) in by_hand.excluded


def test_status_counts_and_export_holds_every_vote(voted):
    take_part(voted, 8, most=5)
    with voted.store as store:
        status = status_of(voted.design, store)
        rows = list(csv.DictReader(io.StringIO(votes_csv(store))))
        stored = store.votes()
    assert status.raters == RaterCounts(invited=8, started=7, finished=6)
    assert status.trials_left == status.by_rater[-1].total - 5
    assert sum(status.votes_by_system.values()) == status.votes
    assert len(rows) == len(stored) == 6 * (3 + 16 + 2) + 5
    assert tuple(rows[0]) == FIELDS
    mine = [int(row["order"]) for row in rows if row["rater"] == "8"]
    assert mine == [1, 2, 3, 4, 5]
    assert {row["kind"] for row in rows} == {"training", "test", "check"}
    assert all(row["stored_at"].endswith("+00:00") for row in rows)


def test_a_second_answer_changes_nothing(voted):
    with voted.store as store:
        first = store.votes()[0]
        again = Answer(first.trial, {"A": 1.0 if first.score != 1 else 2.0}, {"A": 1})
        assert not store.save(first.rater, again)
        assert store.votes()[0] == first


def test_a_checkpoint_joins_a_running_test(voted, tmp_path):
    for rater in (7, 8):
        take_part(voted, rater, most=8)
    folder = tmp_path / "step2000"
    folder.mkdir()
    for number in range(5):
        soundfile.write(folder / f"utt{number:02d}.wav", 0.3 * tone(1.2, number), RATE)
    metrics = ObjectiveMetrics(
        {f"utt{n:02d}": {"mel": 0.1 * n, "pesq": 4 - 0.1 * n} for n in range(5)}, {"mel": "lower"}
    )
    with voted.store as store:
        before = {rater.id: (rater.answered, rater.total) for rater in store.raters()}
        answered = [(vote.rater, vote.trial, vote.position) for vote in store.votes()]
    add_system(voted.folder, "step2000", folder, step=2000, metrics=metrics)
    with pytest.raises(UsageError, match="there is a system 'step2000' already"):
        add_system(voted.folder, "step2000", folder)
    with voted.store as store:
        for rater in store.raters():
            assert (rater.answered, rater.total) == (before[rater.id][0], before[rater.id][1] + 4)
        assert answered == [(vote.rater, vote.trial, vote.position) for vote in store.votes()]
    positions = [(row["rater"], row["position"]) for row in query(voted, "select rater, position from trials")]
    assert len(set(positions)) == len(positions)
    for rater in range(1, 9):
        take_part(voted, rater)
    with voted.store as store:
        report = analyse(voted.design, store, ReportOptions(metrics=kept_metrics(voted.folder, voted.design)))
    assert rows_of(report)["step2000"].votes == 32
    assert rows_of(report)["step2000"].step == 2000
    assert rows_of(report)["step2000"].metrics["mel"] == pytest.approx(0.2)
    files = write_report(voted.folder, voted.design, report, tmp_path / "out")
    names = [path.relative_to(tmp_path / "out").as_posix() for path in files]
    assert names[:5] == ["report.md", "report.json", "report.csv", "report.png", "steps.png"]
    assert len([name for name in names if name.startswith("disagreements/")]) == len(report.disagreements) > 0
    assert all(path.stat().st_size > 100 for path in files)
    content = json.loads(files[1].read_text())
    assert content == json.loads(json.dumps(asdict(report)))
    assert {part: list(content[part][0]) for part in ROWS} == ROWS
    page = files[0].read_text()
    assert page.startswith("# Night test") and "![steps](steps.png)" in page
    tables = page.split("## ")[0].split("\n\n")
    assert "| good |" in tables[2] and "| reference |" not in tables[2] and "| reference |" in tables[3]


def test_names_are_drawn_as_they_stand(voted, tmp_path):
    name = r"$\x$"
    with voted.store as store:
        report = analyse(voted.design, store)
    systems = [replace(row, system=name, step=row.step or 1) for row in report.systems]
    report = replace(report, systems=systems, categories=[CategoryScores(name, systems)])
    drawn = [draw(report, tmp_path / f"{draw.__name__}.svg").read_text() for draw in (draw_scores, draw_steps)]
    assert drawn[0].count(f"<!-- {name} -->") == len(report.systems) + 1
    assert f"<!-- {name} -->" in drawn[1]


def test_utterances_where_metrics_and_ears_differ_are_found(voted, tmp_path):
    with voted.store as store:
        plain = analyse(voted.design, store)
        cells: dict = {}
        for vote in store.votes():
            if vote.kind == "test" and vote.system in ("good", "bad"):
                cells.setdefault((vote.system, vote.item), []).append(vote.score)
    agreeing = {system: {} for system in ("good", "bad")}
    for (system, item), scores in cells.items():
        agreeing[system][item] = {"distance": 5 - float(np.mean(scores))}
    odd = next(item for system, item in cells if system == "good")
    agreeing["good"][odd] = {"distance": 4.0}
    distance = MetricInfo("distance", "distance", "", "lower", "mean of utterances", "a test")
    utterances = [
        UtteranceScore(item, system, values=values)
        for system, rows in agreeing.items()
        for item, values in rows.items()
    ]
    estimates = {(system, None, "distance"): MetricEstimate(1.0, 1.0, 1.0, 1) for system in agreeing}
    scores = Scores("ref", {"good": "good", "bad": "bad"}, 16000, (distance,), [], utterances, estimates, [])
    path = tmp_path / "scores.json"
    path.write_text(json.dumps(scores.as_dict()))
    with voted.store as store:
        report = analyse(voted.design, store, ReportOptions(metrics=read_scores(path)))
    worst = report.disagreements[0]
    assert (worst.system, worst.item) == ("good", odd) and worst.human_z > 0 > worst.objective_z
    [correlation] = report.correlations
    assert correlation.spearman < -0.3 and correlation.cells == len(cells)
    assert plain.correlations == plain.disagreements == []


def test_figures_of_versa_stand_beside_the_ears(voted, tmp_path):
    items = [item.id for item in voted.design.items]
    for system in ("good", "bad"):
        lines = [json.dumps({"key": item, "utmos": 3.0 + (system == "good"), "text": "one"}) for item in items]
        (tmp_path / f"{system}.jsonl").write_text("\n".join(lines))
    kept = {"good": ObjectiveMetrics({items[0]: {"m_stft": 1.0}}, {"m_stft": "lower"})}
    files = {system: tmp_path / f"{system}.jsonl" for system in ("good", "bad")}
    metrics = add_versa(kept, files, ["good", "bad"])
    assert metrics["good"].values[items[0]] == {"m_stft": 1.0, "versa_utmos": 4.0}
    with voted.store as store:
        report = analyse(voted.design, store, ReportOptions(metrics=metrics))
    assert {row.system: row.metrics["versa_utmos"] for row in report.systems if row.metrics} == {
        "good": 4.0,
        "bad": 3.0,
    }
    with pytest.raises(UsageError, match=r"is of 'other', which is not in the test"):
        add_versa({}, {"other": tmp_path / "good.jsonl"}, ["good", "bad"])


def test_ab_reports_preferences_within_trials(make_test):
    made = make_test(protocol="ab", count=4, raters=6, checks=0, training_items=0)
    with made.store as store:
        for rater in range(1, 7):
            store.start(rater, "en", None, lambda: made.design)
            while trials := store.next_trials(rater, 1):
                slots = {sample.audio: sample.slot for sample in trials[0].samples}
                good = {item.audio["good"] for item in made.design.items}
                scores = {slot: float(audio in good) for audio, slot in slots.items()}
                store.save(rater, Answer(trials[0].id, scores, dict.fromkeys(scores, 1), seconds=9))
        report = analyse(made.design, store)
    [row] = report.differences
    assert (row.first, row.second, row.mean, row.votes) == ("bad", "good", -1.0, 24)
    assert rows_of(report)["good"].mean == 1


def test_a_store_of_another_test_is_refused(voted, make_test):
    other = Made(voted.folder, None)
    text = (voted.folder / "test.yaml").read_text()
    (voted.folder / "test.yaml").write_text(text.replace(voted.design.id, "ab" * 16))
    with pytest.raises(UsageError, match="another listening test"):
        _ = other.store
    (voted.folder / "votes.sqlite").unlink()
    with pytest.raises(UsageError, match=r"votes.sqlite is missing"):
        _ = other.store
