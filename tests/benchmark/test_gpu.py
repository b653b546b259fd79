"""The GPU's benchmark, on the CPU: what is measured, and what is kept when time is over or a measurement fails."""

import json
import os
import time

import pytest
import torch

from evagan_plugin.benchmark.gpu import measures
from evagan_plugin.benchmark.gpu.command import NOTE, gpu, measured
from evagan_plugin.benchmark.gpu.measures import BF16, FLOAT32, READ, TF32, Place
from evagan_plugin.benchmark.gpu.plan import Case, Section, plan
from evagan_plugin.benchmark.gpu.report import OF_HIFIGAN, write
from evagan_plugin.benchmark.gpu.worker import Worker
from evagan_plugin.benchmark.memory import VARIANTS
from evagan_plugin.benchmark.rivals import HIFIGAN
from evagan_plugin.errors import EvaganError, UsageError

PRESET, BALANCED = "eva_gan_tiny_16k_causal", "eva_gan_mini_16k"
PLACE = Place("cpu", 1, 1e-3)
FRAMES = 8


@pytest.fixture(autouse=True)
def _flags():
    """Put PyTorch's settings back after each test."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
    yield
    cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = before


def test_losses_agree_in_float32_and_less_so_in_bf16():
    exact = measures.losses(PLACE, BALANCED, 32, "cpu", FLOAT32)
    rough = measures.losses(PLACE, BALANCED, 32, "cpu", BF16)
    assert exact["agrees"] == "yes" and "agrees" not in rough
    assert exact["exact"] == rough["exact"]
    assert {"mel", "loss", "disc_loss", "balancer/norm_mel"} <= exact["found"].keys() == exact["exact"].keys()
    assert float(exact["largest difference"]) < measures.TOLERANCE < float(rough["largest difference"])


def test_losses_that_differ_are_said_to(monkeypatch):
    original = measures._values
    monkeypatch.setattr(
        measures, "_values", lambda gan, wav: original(gan, wav if wav.dtype == torch.double else 2 * wav)
    )
    row = measures.losses(PLACE, PRESET, FRAMES, "cpu", FLOAT32)
    assert row["agrees"] == "NO" and row["of"] in row["found"]


def test_a_batch_is_timed_and_precision_is_what_is_asked_for():
    row = measures.step(PLACE, PRESET, FRAMES, False, TF32, False, False)
    assert torch.backends.cudnn.allow_tf32 and torch.backends.cuda.matmul.allow_tf32
    assert row["batches"] == measures.FEWEST and row["peak (MiB)"] > 100
    assert row["s/s of audio"] == pytest.approx(row["s/batch"] / (FRAMES * 256 / 16000))
    measures.use_precision(FLOAT32)
    assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32


def test_memory_grows_with_the_item_and_falls_with_checkpointing():
    long, short, less = (
        measures.memory(PLACE, BALANCED, variant, frames)["saved (MiB)"]
        for variant, frames in (("SiLU, plain", 64), ("SiLU, plain", 32), ("SiLU, recomputed + checkpointing", 32))
    )
    assert 1.9 * short < long < 2.1 * short
    assert less < 0.4 * short


def test_synthesis_counts_every_item():
    row = measures.synthesis(PLACE, PRESET, 2, 0.16)
    assert row["s/s of audio"] == pytest.approx(row["ms"] / 1e3 / 0.32)
    assert row["times real time"] == pytest.approx(1 / row["s/s of audio"])
    both = measures.against(PLACE, BALANCED, PRESET, 0.16)
    assert both["ratio"] > 0 and both["rounds"] == measures.FEWEST


def test_values_that_the_host_reads_are_counted():
    # On the CPU the balancer asks whether all is finite, to warn; nothing else does, and on a GPU it does not either.
    assert measures.synchronisations(PLACE, BALANCED, FRAMES)["values read"] == 1
    assert measures.synchronisations(PLACE, PRESET, FRAMES) == {
        "values read": 0,
        "other waits": "none",
        "where": "none",
    }
    assert torch.ops.aten._local_scalar_dense.default.name() == READ


def answer(value):
    return {"value": value}


def fail():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")


def wrong():
    raise ValueError("no such thing\nsecond line")


def die():
    os._exit(7)


def hang():
    time.sleep(3600)


REASONS = {
    fail: "out of memory",
    wrong: "failed: ValueError: no such thing",
    die: "its process died: 7",
}


@pytest.mark.processes
def test_one_measurement_that_fails_hangs_or_dies_costs_no_other(tmp_path):
    worker = Worker(time.monotonic() + 600)
    try:
        for function, reason in REASONS.items():
            with pytest.raises(EvaganError, match=f"^{reason}$"):
                worker(function, {}, 600)
        with pytest.raises(EvaganError, match=r"^stopped after \d+ s$"):
            worker(hang, {}, 0.1)
    finally:
        worker.stop()
    cases = [Case(fail, {}, {"name": "a"}), Case(answer, {"value": 1.5}, {"name": "b"})]
    sections = [
        Section("works", "Works", 0.5, "What works.", cases),
        Section("empty", "Empty", 0.5, "What has none.", []),
    ]
    written = []
    for _ in measured(sections, 600):
        written.append(write(tmp_path, "# Head\n", {"device": "none"}, sections))
    rows = [{"name": "a", NOTE: "out of memory"}, {"name": "b", "value": 1.5}]
    assert json.loads((tmp_path / "gpu.json").read_text()) == {
        "device": "none",
        "sections": {"works": rows, "empty": []},
    }
    assert "1.5" not in written[0] and "| b |  | 1.5 |" in written[1] == (tmp_path / "gpu.md").read_text()
    assert "## Empty\n\nWhat has none.\n\nNothing was measured.\n" in written[1]


def test_without_time_every_section_says_so():
    sections = plan(PLACE, [PRESET, BALANCED], [], [FRAMES], 0.1)
    for _ in measured(sections, 0.0):
        pass
    assert all(section.rows for section in sections)
    assert all(NOTE in row for section in sections for row in section.rows)


def test_the_plan_has_all_that_is_asked_for():
    sections = {one.name: one for one in plan(PLACE, ["base", "big"], ["other"], [32, 64, 256], 1.0)}
    assert sum(one.share for one in sections.values()) == pytest.approx(1.0)
    assert len(sections["memory"].cases) == 2 * len(VARIANTS) * 3
    steps = [case.arguments for name in ("steps", "formats", "compiled") for case in sections[name].cases]
    seen = {(one["precision"], one["channels_last"], one["compiled"]) for one in steps}
    assert {(one, False, False) for one in (FLOAT32, TF32, BF16)} | {(TF32, True, False), (TF32, False, True)} <= seen
    assert {(one["preset"], one["hifigan"]) for one in steps} == {("base", False), ("base", True), ("big", False)}
    assert {(case.labels["generator"], case.labels["batch"]) for case in sections["synthesis"].cases} == {
        (name, items) for name in ("base", "big", HIFIGAN, "other") for items in (1, 16)
    }


def test_ratios_are_to_hifigan_under_the_same_conditions(tmp_path):
    section = plan(PLACE, [PRESET], [], [FRAMES], 0.1)[1]
    times = {(PRESET, TF32): 1.0, (HIFIGAN, TF32): 4.0, (PRESET, BF16): 3.0, (HIFIGAN, BF16): 2.0}
    for case in section.cases:
        section.rows.append(case.labels | {"s/batch": times[case.labels["generator"], case.labels["precision"]]})
    section.rows[-1] = {key: value for key, value in section.rows[-1].items() if key != "s/batch"} | {
        NOTE: "out of memory"
    }
    write(tmp_path, "", {}, [section])
    rows = json.loads((tmp_path / "gpu.json").read_text())["sections"]["steps"]
    assert [row.get(OF_HIFIGAN) for row in rows] == [0.25, 1.0, None, None]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"minutes": 0.0}, "must be positive"),
        ({"frames": [0]}, "must be positive"),
        ({"preset": ["eva_gan_tiny"]}, "eva_gan_tiny"),
        ({"rival": ["Vocos"]}, "unknown rival 'Vocos'"),
        ({"device": "nowhere"}, "device 'nowhere' is not available"),
    ],
)
def test_nothing_to_measure_is_refused_before_a_file_is_written(options, reason, tmp_path):
    with pytest.raises(UsageError, match=reason):
        gpu(tmp_path / "out", **{"device": "cpu"} | options)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.processes
def test_the_command_writes_every_section(tmp_path, capsys):
    options = {"preset": [PRESET, BALANCED], "rival": ["Vocos 24 kHz"], "frames": [8, 16], "seconds": 0.2, "each": 0.1}
    gpu(tmp_path, minutes=2.0, device="cpu", **options)
    sections = json.loads((tmp_path / "gpu.json").read_text())["sections"]
    assert list(sections) == [one.name for one in plan(PLACE, [PRESET, BALANCED], [], [8], 0.2)]
    assert all(sections.values())
    assert any(NOTE not in row for rows in sections.values() for row in rows)
    assert capsys.readouterr().out == (tmp_path / "gpu.md").read_text()
