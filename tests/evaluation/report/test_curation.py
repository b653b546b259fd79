"""The page of a curation: complete in itself, the same for the same input, safe against names."""

import re
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from evagan_plugin.data.curation.curate import Curation
from evagan_plugin.data.curation.measuring import Row
from evagan_plugin.evaluation.report.curation import render, write_report


@pytest.fixture
def curation(tmp_path):
    rows = []
    for number in range(6):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, 0.1 * np.random.default_rng(number).standard_normal(16000), 16000)
        rows.append(Row(f"u{number}", str(path), 0.0, 1.0, category="<b>", bandwidth=1000.0 * number, loudness=-20.0))
    rows[0] = replace(rows[0], kept="no", reason="bandwidth 0 is below min_bandwidth 7000", left_out_by=("bandwidth",))
    return Curation(tmp_path, rows, {"broken": "why"}, ["speech is not measured: <no>"])


def test_extremes_can_be_heard_and_nothing_is_outside(curation):
    page = render(curation)
    heard = re.findall(r'<audio [^>]*aria-label="(\w+)"', page)
    assert heard == ["u0", "u1", "u4", "u5"]  # equal loudness has no extremes
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    assert "left out: bandwidth 0 is below min_bandwidth 7000" in page
    assert "<b>" not in page
    assert "&lt;no&gt;" in page
    assert "Bandwidth (Hz): from 0 to 5000, median 3000." in page


def test_the_same_rows_give_the_same_page(curation):
    assert write_report(curation).read_text(encoding="utf-8") == render(curation)


def test_audio_that_has_gone_is_left_out(curation, tmp_path):
    (tmp_path / "5.wav").unlink()
    assert 'aria-label="u5"' not in render(curation)


def test_reasons_are_counted_by_their_rules_whatever_their_words(curation):
    reason = "sounds like /data/music; more:u7"  # the folder of another source
    curation.rows[1] = replace(curation.rows[1], kept="no", reason=reason, left_out_by=("duplicate",))
    assert [(name, number) for name, number, _ in curation.left_out()] == [
        ("bandwidth", 1),
        ("duplicate", 1),
        ("unreadable", 1),
    ]
    assert [line for line in curation.lines() if "left out, " in line] == [
        "  left out, bandwidth: 1",
        "  left out, duplicate: 1",
        "  left out, unreadable: 1",
    ]
    assert "more:u7</td>" not in render(curation)
