"""``evagan compare`` as a user calls it, and what it refuses."""

import base64
import csv
import html
import json
import re
from importlib.metadata import version

import numpy as np
import pytest
import soundfile
from metric_signals import make_voice, with_noise, write_corpus
from peers import write_vocos

from evagan_plugin.checkpoint.native import save_checkpoint
from evagan_plugin.config import load_preset
from evagan_plugin.evaluation import scoring
from evagan_plugin.evaluation.bootstrap import estimate
from evagan_plugin.evaluation.cost import inspect_generator
from evagan_plugin.evaluation.report.published import PROTOCOLS
from evagan_plugin.evaluation.scores import Scores
from evagan_plugin.inference.third_party import open_third_party
from evagan_plugin.model.generator import EVAGANGenerator

SCORE_FILES = ["scores.md", "scores.json", "scores.csv", "utterances.csv"]
"""What ``evagan score`` writes too."""
FILES = [*SCORE_FILES, "comparison.md", "comparison.json", "comparison.tex", "report.html"]
POSSIBLE = {
    "pesq_wb": (1.0, 4.644), "m_stft": (0.3, 2.0), "periodicity_rmse": (0.0, 0.5), "vuv_f1": (0.5, 1.0),
    "utmos": (1.0, 5.0), "real_time_factor": (0.0, 1.0),
}  # fmt: skip
"""By metric, between what a published figure lies: ends of the scale, or what a vocoder of speech reaches."""


@pytest.fixture
def place(tmp_path):
    """Reference, ``near`` and ``far``, at 24 kHz; paths are relative to it."""
    voices = {f"utt{index}": make_voice(0.5, 120 + 20 * index, 24000, seed=index) for index in range(3)}
    write_corpus(tmp_path / "ref", voices, 24000)
    for name, decibels in (("near", 30), ("far", 10)):
        write_corpus(tmp_path / name, {key: with_noise(wav, decibels) for key, wav in voices.items()}, 24000)
    return tmp_path


@pytest.fixture
def compare(place, evagan, monkeypatch):
    """Return ``evagan compare ref ... --out out``, run in ``place``, the quickest metric unless told otherwise."""
    monkeypatch.chdir(place)

    def run(*arguments):
        metrics = [] if "--metrics" in arguments else ["--metrics", "log_mel_l1"]
        return evagan("compare", "ref", *arguments, "--out", "out", *metrics)

    return run


def content(place):
    return json.loads((place / "out" / "comparison.json").read_text())


def test_models_of_any_kind_join_the_table_and_cells_without_a_model_are_empty(compare, place):
    config = load_preset("eva_gan_mini_16k")
    save_checkpoint(place / "tiny", config, EVAGANGenerator.from_config(config))
    (place / "vocos").mkdir()
    write_vocos(place / "vocos")
    write_corpus(place / "none", {"utt0": make_voice(0.5, 120, 24000)}, 24000)
    status, output, errors = compare(
        "near", "far", "none", "-m", "near=tiny", "-m", "far=vocos:vocos", "--rounds", "2", "--skip-broken"
    )
    assert status == 0, errors
    systems = content(place)["systems"]
    ours, theirs = systems["near"]["cost"], systems["far"]["cost"]
    facts = inspect_generator(config)
    assert ours["parameters"] == facts.parameters
    assert ours["gflops_per_second"] == pytest.approx(facts.gflops_per_second)
    vocos = open_third_party("vocos:vocos").generator
    assert theirs["parameters"] == sum(tensor.numel() for tensor in vocos.parameters())
    assert (theirs["model"], theirs["sample_rate"]) == ("vocos:vocos", 24000)
    fastest = min(cost["real_time_factor"] for cost in (ours, theirs))
    assert fastest > 0
    assert systems["none"]["cost"] is None
    head, _, *rows = [line for line in output.splitlines() if line.startswith("|")][:5]
    assert head.startswith("| system | parameters (M) | GFLOPs/s of audio | real-time factor ↓ | utterances |")
    assert rows[0].startswith(f"| near | {facts.parameters / 1e6:.2f} | {facts.gflops_per_second:.3g} | ")
    assert f" | **{fastest:.3g}** | 3 |" in "".join(rows)
    assert rows[2].startswith("| none |  |  |  | 1 |")
    assert "on the CPU, " in output
    assert "median of 2 rounds" in output
    page = (place / "out" / "report.html").read_text()
    assert f"<td><strong>{fastest:.3g}</strong></td>" in page


def test_all_files_hold_the_same_figures(compare, place):
    status, output, errors = compare("near", "far", "--metrics", "m_stft,log_mel_l1")
    assert status == 0, errors
    assert sorted(path.name for path in (place / "out").iterdir()) == sorted([*FILES, "utterances.jsonl"])
    assert [line.split(" (")[0] for line in errors.splitlines() if line.startswith("out/")] == [
        f"out/{name}" for name in FILES
    ]
    assert (place / "out" / "comparison.md").read_text() in output
    page, tex = ((place / "out" / name).read_text() for name in ("report.html", "comparison.tex"))
    for name in ("near", "far"):
        for figure in content(place)["systems"][name]["metrics"].values():
            for text in (f"{figure['value']:.4f}", f"[{figure['low']:.4f}, {figure['high']:.4f}]"):
                assert text in output
                assert text in page
                assert text in tex
    near = content(place)["systems"]["near"]["metrics"]["m_stft"]["value"]
    assert f"**{near:.4f}**" in output
    assert f"<strong>{near:.4f}</strong>" in page
    assert rf"\textbf{{{near:.4f}}}" in tex
    assert "real-time" not in output, "nothing is said of speed where no model is given"
    with (place / "out" / "utterances.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 6
    far = content(place)["systems"]["far"]["metrics"]["log_mel_l1"]["value"]
    again = Scores.load(place / "out" / "comparison.json")
    assert again.estimate("far", again.metrics[1]).value == far


def test_no_interval_is_drawn_twice(compare, monkeypatch):
    drawn = []

    def counted(metric, sums):
        drawn.append(metric.name)
        return estimate(metric, sums)

    monkeypatch.setattr(scoring, "estimate", counted)
    assert compare("near", "far")[0] == 0
    assert drawn == ["log_mel_l1", "log_mel_l1"], "once per system"


def test_keys_are_told_of_the_first_nine_sounds_only(compare, place):
    systems = [f"s{number}=near" for number in range(1, 11)]
    assert compare(*systems)[0] == 0
    page = (place / "out" / "report.html").read_text()
    card = page.split('<section class="card utterance"')[1]
    keys = re.findall(r'value="(\d+)"(?: aria-keyshortcuts="(\d+)")?', card.split("<legend>")[1])
    assert keys == [(str(index), str(index + 1) if index < 9 else "") for index in range(11)]


def test_published_figures_stand_apart(compare, place):
    status, output, errors = compare("near", "--protocol", "libritts")
    assert status == 0, errors
    head = "Published, other data (LibriTTS, 24000 Hz; not measured in this run)"
    measured, published = output.split(f"### {head}\n")
    assert "BigVGAN" not in measured
    assert "| BigVGAN-v2 | 4.362 | 0.7026 | 0.0593 | 0.9793 | dev | BigVGAN's authors |" in published
    assert "| BigVGAN-v2 | 4.379 |  | 0.055 | 0.978 | test | Flow2GAN's authors |" in published
    assert "not measured in this run: pesq_wb, m_stft, periodicity_rmse, vuv_f1 (--metrics full)" in published
    page, tex = ((place / "out" / name).read_text() for name in ("report.html", "comparison.tex"))
    assert f"<caption>{head}</caption>" in page
    assert rf"\multicolumn{{7}}{{l}}{{\emph{{{head}}}}} \\" in tex
    found = content(place)["published"]
    assert {
        "system": "EVA-GAN-big", "set": "dev", "source": "EVA-GAN's authors", "pesq_wb": 4.3536, "m_stft": 0.7982,
        "periodicity_rmse": 0.0751, "vuv_f1": 0.9745,
    } in found["rows"]  # fmt: skip
    assert {row["m_stft"] for row in found["rows"] if row["set"] == "test"} == {None}


def test_every_published_row_has_a_possible_figure_for_every_metric():
    for protocol in PROTOCOLS.values():
        for row in protocol.table().rows:
            *figures, part, source = row[1:]
            assert part.text in ("dev", "test", "not stated") and source.text
            for name, cell in zip(protocol.metrics, figures, strict=True):
                lowest, highest = POSSIBLE[name]
                assert not cell.text or lowest < float(cell.text) < highest, f"{row[0].text}: {name}"


def test_it_goes_on_from_what_is_scored(compare, evagan, place):
    assert evagan("score", "ref", "near", "far", "--metrics", "log_mel_l1", "--out", "out")[0] == 0
    before = (place / "out" / "utterances.jsonl").read_text()
    status, _, errors = compare("near", "far", "--worst-of", "far")
    assert status == 0
    assert "score:" not in errors, "scored again"
    assert (place / "out" / "utterances.jsonl").read_text() == before
    assert "worst utterances of far, by log-mel L1" in (place / "out" / "report.html").read_text()


def test_names_cannot_become_markup(compare, place):
    hard, sound, category = "_<b>_&_50%$\\x$", "<script>alert(1)<_script>$\\x$", "$\\x$"
    (place / "near").rename(place / hard)
    for name in ("ref", hard, "far"):
        (place / name / "utt0.wav").rename(place / name / f"{sound}.wav")
    rows = [f"{key}\t{category}\n" for key in (sound, "utt1", "utt2")]
    (place / "manifest.tsv").write_text("utt_id\tcategory\n" + "".join(rows))
    status, _, errors = compare(hard, "far", "--manifest", "manifest.tsv")
    assert status == 0, errors
    page, tex = ((place / "out" / name).read_text() for name in ("report.html", "comparison.tex"))
    assert page.count("<script") == 1
    assert "&lt;script&gt;alert(1)" in page
    assert "<b>" not in page
    assert r"\_\textless{}b\textgreater{}\_\&\_50\%\$\textbackslash{}x\$ & 3 &" in tex
    [chart] = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', page)
    drawn = re.findall("<!-- (.*) -->", html.unescape(base64.b64decode(chart).decode()))
    assert [text for text in drawn if text in (hard, "far", category)] == [category, hard, "far"], "ticks and legend"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--worst-by", "m_stf"], "--worst-by m_stf: this metric is not measured here: did you mean 'm_stft'? Known: "),
        (["--worst-of", "nea"], "--worst-of nea: no system is called 'nea': did you mean 'near'?"),
        (["--protocol", "libritt"], "unknown protocol 'libritt': did you mean 'libritts'?"),
        (["-m", "nears=tiny"], "--model nears=tiny: no system is called 'nears': did you mean 'near'?"),
        (["-m", "near"], "--model near: NAME=PATH, NAME=bigvgan:PATH or NAME=vocos:PATH is expected"),
        (["-m", "near=a", "-m", "near=b"], "--model near=b: 'near' has one already, a"),
        (["-m", "near=tiny"], "--model near=tiny: there is no checkpoint tiny"),
        (["-m", "near=vocos:x"], "--model near=vocos:x: vocos: there is no file x"),
        (["--metrics", "mos"], "unknown metric 'mos'"),
        (["reference=near"], "'reference' is the name of the reference itself"),
        (["ground truth (16 bit)=near"], "'ground truth (16 bit)' is the name of the reference itself"),
        (["nothing"], "nothing does not exist: a directory of audio, a wav.scp or an audio file is needed"),
        (["--manifest", "nowhere.tsv"], "nowhere.tsv: cannot be read"),
    ],
)
def test_bad_input_is_one_line_before_any_work(compare, place, options, said):
    metrics = [] if "--metrics" in options else ["--metrics", "m_stft,log_mel_l1"]
    status, output, errors = compare("near", *options, *metrics)
    assert (status, output) == (2, "")
    assert len(errors.splitlines()) == 1
    assert said in errors
    assert not (place / "out").exists()


def test_a_protocol_at_another_rate_is_refused(evagan, tmp_path):
    folder = write_corpus(tmp_path / "ref", {"a": make_voice(0.5)})
    status, _, errors = evagan("compare", folder, folder, "--out", tmp_path / "out", "--protocol", "libritts")
    assert status == 2
    assert "--protocol libritts is LibriTTS at 24000 Hz, the audio has 22050 Hz" in errors


def test_broken_audio_is_left_out_of_the_page_and_ends_with_status_1(compare, place):
    (place / "far" / "utt0.wav").write_bytes(b"RIFF")
    soundfile.write(place / "near" / "utt1.wav", np.zeros(20), 24000)
    status, _, errors = compare("near", "far")
    assert status == 1
    assert "2 of 6 pairs could not be scored" in errors
    page = (place / "out" / "report.html").read_text()
    assert page.count('<section class="card utterance"') == 2
    assert "no audio" in page
    assert "Remarks (2)" in page


def test_the_page_without_jinja2_names_the_extra(compare, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "jinja2", None)
    status, _, errors = compare("near")
    assert status == 1
    assert "'jinja2' is not installed: pip install 'evagan-plugin[score]'" in errors
    assert version("jinja2")
