"""Set the finished runs of ablate.sh side by side: ``ablation_table.py EXP_DIR TEST_SET``.

Writes ``ABLATION.md`` (the table, which is printed too), ``ablation.json`` (every run), ``curves.csv`` and
``curves.png`` (mel losses by step).
"""

import csv
import io
import json
import math
import os
import re
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from ablation_curves import PANELS, Curve, draw_curves, read_curve

from evagan_plugin.checkpoint.files import load_config_of
from evagan_plugin.config import read_settings
from evagan_plugin.errors import EvaganError, one_line_errors
from evagan_plugin.evaluation.cost import inspect_generator
from evagan_plugin.evaluation.metrics.base import MetricInfo
from evagan_plugin.evaluation.report.tables import ARROW
from evagan_plugin.evaluation.scores import GROUND_TRUTH, Scores
from evagan_plugin.utils.device import DEVICE_NOTE, PEAK_RSS
from evagan_plugin.utils.files import write_text
from evagan_plugin.utils.markdown import markdown_table

RUN = re.compile(r"voc_(?P<variant>.+)_seed(?P<seed>\d+)")
BASE = "base"
CONTROLS = "untrained", GROUND_TRUTH


@dataclass(frozen=True)
class Run:
    """A variant that was trained with one seed."""

    variant: str
    seed: int
    steps: int
    parameters: int
    """Of the generator, weight normalisation folded in."""
    seconds_a_step: float
    """Both steps and the reading of data; median over the epochs of ESPnet's ``train_time``."""
    peak_memory: float
    """Most memory of the training (GiB): that of the GPU as ESPnet states it, else the process's resident set."""
    device: str
    """GPU or CPU."""
    machine: str
    """The same in words, as the training noted it; empty where it noted none."""
    batch_size: int
    schedule: str
    """How the learning rate fell."""
    metrics: dict[str, float | None]
    """Corpus figures by name."""
    controls: dict[str, dict[str, float | None]]
    """The same of the untrained model and of the reference itself, where they were judged."""
    categories: dict[str, dict[str, float | None]]
    """Figures by metric and category."""
    curves: Curve
    """Mel losses by step."""


def read_run(folder: Path, scores: Scores) -> Run:
    """Return the figures of a finished run."""
    name = RUN.fullmatch(folder.name)
    note = folder / DEVICE_NOTE
    checkpoint = torch.load(folder / "checkpoint.pth", map_location="cpu", weights_only=True, mmap=True)
    epochs = checkpoint["reporter"]["stats"]
    trained = [epochs[epoch]["train"] for epoch in sorted(epochs)]
    config = read_settings(folder / "config.yaml")
    memory = "gpu_max_cached_mem_GB" if "gpu_max_cached_mem_GB" in trained[-1] else PEAK_RSS
    system = folder.name.removeprefix("voc_")
    by_category = {category: figures_of(scores, system, category) for category in scores.categories}
    return Run(
        variant=name["variant"],
        seed=int(name["seed"]),
        steps=trained[-1]["total_count"],
        parameters=inspect_generator(load_config_of(folder / "checkpoint.pth")).parameters,
        seconds_a_step=statistics.median(stats["train_time"] for stats in trained),
        peak_memory=max(stats[memory] for stats in trained),
        device="GPU" if memory != PEAK_RSS else "CPU",
        machine=note.read_text(encoding="utf-8").strip() if note.is_file() else "",
        batch_size=config["batch_size"],
        schedule=schedule_of(config),
        metrics=figures_of(scores, system),
        categories={
            metric.name: {category: figures[metric.name] for category, figures in by_category.items()}
            for metric in scores.metrics
        },
        controls={control: figures_of(scores, control) for control in CONTROLS if control in scores.systems},
        curves=read_curve(folder, [epochs[epoch] for epoch in sorted(epochs)]),
    )


def figures_of(scores: Scores, system: str, category: str | None = None) -> dict[str, float | None]:
    """Return the corpus figures of a system by metric, None where one is not defined."""
    values = {metric.name: scores.estimate(system, metric, category).value for metric in scores.metrics}
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def schedule_of(config: dict[str, Any]) -> str:
    """Return the schedulers of a training config of ESPnet in words, e.g. ``"exponentiallr (gamma 0.5)"``."""
    words = []
    for part in ("scheduler", "scheduler2"):
        settings = ", ".join(f"{name} {value}" for name, value in config[f"{part}_conf"].items())
        words.append(f"{config[part]} ({settings})" if config[part] else "none")
    return words[0] if words[0] == words[1] else f"{words[0]}, of the discriminators {words[1]}"


def render(runs: Sequence[Run], metrics: Sequence[MetricInfo], about: str) -> str:
    """Return the table of all: a row per variant, mean and range over its seeds."""
    base = [run for run in runs if run.variant == BASE]
    head = ["variant", "seeds", "parameters"]
    head += [f"{metric.label} {ARROW[metric.better]}" for metric in metrics]
    head += ["ms per step", "time ratio", f"{runs[0].device} memory (GiB)", "memory ratio"]
    rows = []
    for variant in variants_of(runs):
        own = [run for run in runs if run.variant == variant]
        row = [variant, str(len(own)), f"{own[0].parameters / 1e6:.2f} M"]
        row += [spread((run.metrics[metric.name] for run in own), 3) for metric in metrics]
        row += [spread((1000 * run.seconds_a_step for run in own), 0), ratio("seconds_a_step", own, base)]
        row += [spread((run.peak_memory for run in own), 2), ratio("peak_memory", own, base)]
        rows.append(row)
    for name, figures in next((run.controls for run in runs if run.controls), {}).items():
        rows.append([name, "", "", *(spread([figures[metric.name]], 3) for metric in metrics), *[""] * 4])
    return "\n".join([about, "", markdown_table(head, rows), ""])


def render_categories(runs: Sequence[Run], metrics: Sequence[MetricInfo]) -> str:
    """Return a table by category for every metric that all categories have; nothing where there are none."""
    blocks = []
    for metric in metrics:
        categories = sorted(runs[0].categories[metric.name])
        if not categories or any(value is None for run in runs for value in run.categories[metric.name].values()):
            continue
        rows = []
        for variant in variants_of(runs):
            own = [run.categories[metric.name] for run in runs if run.variant == variant]
            rows.append([variant, *(spread((one[category] for one in own), 3) for category in categories)])
        blocks.append(f"\n{markdown_table([f'{metric.label} {ARROW[metric.better]}', *categories], rows)}\n")
    return "".join(blocks)


def variants_of(runs: Sequence[Run]) -> list[str]:
    """Return the variants, the base first."""
    return sorted({run.variant for run in runs}, key=lambda name: (name != BASE, name))


def spread(values: Iterable[float | None], digits: int) -> str:
    """Return the mean and, of several values, the range."""
    known = [value for value in values if value is not None]
    if not known:
        return "n/a"
    mean = f"{statistics.fmean(known):.{digits}f}"
    return mean if len(known) == 1 else f"{mean} [{min(known):.{digits}f}, {max(known):.{digits}f}]"


def ratio(field: str, runs: Sequence[Run], base: Sequence[Run]) -> str:
    """Return the mean of a field over the base's."""
    means = [statistics.fmean(getattr(run, field) for run in group) if group else None for group in (runs, base)]
    return f"{means[0] / means[1]:.2f}" if means[1] else ""


def check_alike(exp_dir: Path, runs: Sequence[Run]) -> None:
    """Raise :class:`EvaganError` if runs cannot stand in one table."""
    alike = {
        "steps": lambda run: run.steps,
        "batch size": lambda run: run.batch_size,
        "schedule": lambda run: run.schedule,
        "device": lambda run: run.device,
        # Of a run that noted nothing nobody knows.
        "machine": lambda run: run.machine or None,
        "test categories": lambda run: ", ".join(sorted({name for own in run.categories.values() for name in own})),
    }
    for what, value_of in alike.items():
        seen = {value: run for run in runs if (value := value_of(run)) is not None}
        if len(seen) > 1:
            values = "; ".join(f"{value or 'none'} (voc_{run.variant}_seed{run.seed})" for value, run in seen.items())
            raise EvaganError(f"{exp_dir}: runs differ in {what}: {values}; each table has its own --expdir")


def describe(runs: Sequence[Run], scores: Scores) -> str:
    """Return what the table's runs have in common."""
    utterances = len({score.utt_id for score in scores.utterances})
    seeds = ", ".join(map(str, sorted({run.seed for run in runs})))
    machine = next((run.machine for run in runs if run.machine), "") or present_machine(runs[0].device)
    return (
        f"{runs[0].steps} steps of {runs[0].batch_size} items, {runs[0].schedule}, seed {seeds}, {utterances} test "
        f"utterances at {scores.sample_rate} Hz; {machine}, torch {torch.__version__}. "
        "Mean and, in brackets, range over seeds."
    )


def present_machine(device: str) -> str:
    """Return what this machine has, for runs that noted nothing."""
    if device == "CPU":
        return f"CPU ({os.cpu_count()} cores)"
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "a GPU"


def curves(runs: Sequence[Run]) -> str:
    """Return the losses of all runs as CSV."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, ["variant", "seed", "step", *PANELS], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"variant": run.variant, "seed": run.seed, **point} for run in runs for point in run.curves)
    return stream.getvalue()


def main(exp_dir: Path, test_set: str) -> None:
    """Collect the runs that have scores and write the table."""
    found = {}
    for folder in sorted(exp_dir.glob("voc_*_seed*")):
        scores = folder / "scores" / test_set / "scores.json"
        if scores.is_file():
            found[folder] = Scores.load(scores)
    if not found:
        raise EvaganError(f"{exp_dir}: no run with scores/{test_set}/scores.json in it; ablate.sh makes them")
    runs = sorted((read_run(*item) for item in found.items()), key=lambda run: (run.variant, run.seed))
    check_alike(exp_dir, runs)
    reference = next(iter(found.values()))
    # Runs may have been scored by different metrics.
    metrics = [metric for metric in reference.metrics if all(metric.name in run.metrics for run in runs)]
    text = render(runs, metrics, describe(runs, reference)) + render_categories(runs, metrics)
    write_text(exp_dir / "ABLATION.md", text)
    write_text(exp_dir / "ablation.json", json.dumps([asdict(run) for run in runs], indent=2) + "\n")
    write_text(exp_dir / "curves.csv", curves(runs))
    draw_curves(
        {variant: [run.curves for run in runs if run.variant == variant] for variant in variants_of(runs)},
        exp_dir / "curves.png",
    )
    sys.stdout.write(text)


if __name__ == "__main__":
    with one_line_errors("ablation_table.py"):
        main(Path(sys.argv[1]), sys.argv[2])
