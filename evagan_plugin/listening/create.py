"""Making a listening test, and adding a system to one that runs."""

import csv
import math
import os
import re
import shutil
from collections.abc import Container, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from evagan_plugin.data.systems import REFERENCE, read_source
from evagan_plugin.errors import UsageError
from evagan_plugin.listening.design import samples
from evagan_plugin.listening.design.design import (
    Check,
    Item,
    System,
    TestDesign,
    audio_path,
    load_design,
    new_id,
    save_design,
    with_system,
)
from evagan_plugin.listening.design.lock import locked
from evagan_plugin.listening.design.options import TestOptions
from evagan_plugin.listening.design.tokens import write_tokens
from evagan_plugin.listening.results.objective import ObjectiveMetrics, write_metrics
from evagan_plugin.listening.votes.store import open_store
from evagan_plugin.utils.files import atomic_path
from evagan_plugin.utils.progress import track

ANCHOR = "anchor_3500hz"
MOST_TOGETHER = 12
"""Samples that a rater can compare at once (ITU-R BS.1534-3 section 4.1)."""
CHECK_SAMPLES = 6
CHECK_BEEPS = (3, 1, 4, 2, 3, 2)
"""Right answers of the attention checks; 5 is not among them, because who rates everything 5 would pass."""
SYSTEM_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,59}")
LEVELS_FILE = "loudness.tsv"


def create_test(
    out: str | Path,
    reference: str | Path,
    systems: Mapping[str, str | Path],
    options: TestOptions | None = None,
    database: str | None = None,
) -> TestDesign:
    """Make a test folder: ``test.yaml``, ``audio/``, ``loudness.tsv``, ``tokens.tsv`` and the vote store.

    Args:
        out: Folder to make; it must not exist.
        reference: Folder or wav.scp of the reference audio.
        systems: Folder or wav.scp of each system's audio, by system name; matched by utterance id (file stem).
        options: See :class:`TestOptions`.
        database: SQLAlchemy URL of the vote store; ``votes.sqlite`` in the folder when ``None``.

    Raises:
        UsageError: If names, folders or lengths do not fit together.
    """
    out, options = Path(out), options or TestOptions()
    if out.exists():
        raise UsageError(f"{out} exists already: choose another folder for the test")
    _check_names(systems, options)
    references = read_source(reference)
    files = {name: read_source(source) for name, source in systems.items()}
    chosen = _choose_utterances(references, files, options)
    rate = options.sample_rate or max(samples.rate_of(references[utterance]) for utterance, _ in chosen)
    listed = _listed_systems(systems, str(reference), options)
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        items, levels = [], []
        for utterance, training in track(chosen, "listening items"):
            category = options.categories.get(utterance, "all")
            sources = {name: found[utterance] for name, found in files.items()}
            item, gains = _make_item(partial, references[utterance], sources, rate, options)
            items.append(replace(item, id=utterance, category=category, training=training))
            levels += [(utterance, *row) for row in gains]
        design = TestDesign(
            id=new_id(), title=options.title, protocol=options.protocol, language=options.language,
            created=datetime.now(UTC).isoformat(timespec="seconds"), seed=options.seed, sample_rate=rate,
            half_points=options.half_points, items_per_rater=options.items_per_rater,
            checks_per_rater=options.checks, max_seconds=options.max_seconds,
            loudness=options.loudness if options.align_loudness else None, consent=options.consent,
            systems=tuple(listed), items=tuple(items), checks=_make_checks(partial, items, rate, options),
        )  # fmt: skip
        save_design(partial, design)
        _write_levels(partial, levels)
        write_tokens(partial)
        with open_store(partial, design, database, create=True) as store:
            store.add_raters(options.raters)
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return design


def add_system(
    test_dir: str | Path,
    name: str,
    wav_dir: str | Path,
    step: int | None = None,
    metrics: ObjectiveMetrics | None = None,
    database: str | None = None,
) -> TestDesign:
    """Put another system into a test that may be running: the samples of a new checkpoint, for one.

    Raters who start later hear it like any other system; those who started (or finished) get its samples of their
    items as further trials, mixed into what they have left.

    Args:
        test_dir: The test folder.
        name: Name of the new system.
        wav_dir: Folder or wav.scp with all utterances of the test.
        step: Training step of the checkpoint; the report draws scores against it.
        metrics: Objective metrics of its utterances, to stand beside the scores.
        database: URL of the vote store, where it is not ``votes.sqlite`` in the folder.

    Returns:
        The design with the system in it.

    Raises:
        UsageError: If the name is taken, utterances are missing or of another length, or the test is MUSHRA, whose
            trials hold all systems at once.
    """
    test_dir = Path(test_dir)
    _check_name(name)
    files = read_source(wav_dir)
    check_addable(test_dir, files, wav_dir)
    with locked(test_dir):
        # Another system may have come in while this one waited.
        design = load_design(test_dir)
        if name in {system.name for system in design.systems}:
            raise UsageError(f"{test_dir}: there is a system '{name}' already")
        audio, levels = _write_system(test_dir, design, name, files)
        design = with_system(design, System(name, source=str(wav_dir), step=step), audio)
        with open_store(test_dir, design, database) as store:
            if metrics:
                write_metrics(test_dir, name, metrics)
            _write_levels(test_dir, levels)
            # From here on new raters hear the system; those who have begun get it with the next line.
            save_design(test_dir, design)
            store.extend_sessions(design, name)
    return design


def check_addable(test_dir: str | Path, utterances: Container[str], source: str | Path) -> TestDesign:
    """Return the design of a test that a system with these utterances can be added to.

    Args:
        test_dir: The test folder.
        utterances: Ids that the system has or will have.
        source: Where they come from, for the error.

    Raises:
        UsageError: If the folder holds no test, the test is MUSHRA, or an utterance of the test is missing.
    """
    design = load_design(test_dir)
    if design.rules.samples == "all":
        raise UsageError(f"{test_dir}: a {design.protocol} trial holds all systems at once: make a new test instead")
    lacking = sorted(item.id for item in design.items if item.id not in utterances)
    if lacking:
        raise UsageError(
            f"{source}: {len(lacking)} of the {len(design.items)} utterances of {test_dir} are missing: "
            f"{', '.join(lacking[:3])}"
        )
    return design


def _write_system(
    test_dir: Path, design: TestDesign, name: str, files: Mapping[str, Path]
) -> tuple[dict[str, str], list[tuple]]:
    """Write the samples of a system; return their ids by item and their rows of the level report."""
    audio, levels = {item.id: new_id() for item in design.items}, []
    staging = test_dir / f".{name}.{os.getpid()}.part"
    try:
        for item in track(design.items, f"samples of {name}"):
            length = round(item.seconds * design.sample_rate)
            wav = samples.load_passage(files[item.id], design.sample_rate, item.start, length, item.whole_seconds)
            wav = samples.fade_edges(wav, design.sample_rate)
            levelled = samples.level({name: wav}, design.sample_rate, design.loudness, item.lowered_db)
            samples.write_sample(audio_path(staging, audio[item.id]), levelled.wavs[name], design.sample_rate)
            levels.append((item.id, name, levelled.loudness[name], levelled.gain_db[name]))
        for sample in audio.values():
            os.replace(audio_path(staging, sample), audio_path(test_dir, sample))
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return audio, levels


def _check_names(systems: Mapping[str, object], options: TestOptions) -> None:
    if not systems:
        raise UsageError("no systems: give at least one as NAME=FOLDER")
    for name in systems:
        _check_name(name)
    together = len(systems) + options.hidden_reference + options.anchor
    if options.protocol == "mushra" and together > MOST_TOGETHER:
        raise UsageError(f"MUSHRA compares at most {MOST_TOGETHER} samples at once, these are {together}")


def _check_name(name: str) -> None:
    if name in (REFERENCE, ANCHOR, "check"):
        raise UsageError(f"'{name}' is the name of a sample that the test adds itself: rename the system")
    if not SYSTEM_NAME.fullmatch(name):
        raise UsageError(f"system name '{name}': letters, digits and . _ + - only, 60 at most, no dot at the start")


def _choose_utterances(
    references: Mapping[str, Path], files: Mapping[str, Mapping[str, Path]], options: TestOptions
) -> list[tuple[str, bool]]:
    """Return (utterance, whether it is for training), drawn by category; the same for the same seed."""
    common = sorted(set(references).intersection(*files.values()))
    if options.categories:
        common = [utterance for utterance in common if utterance in options.categories]
    if not common:
        examples = {"the reference": references, **files}
        shown = "; ".join(f"{name} has '{min(ids)}'" for name, ids in examples.items())
        raise UsageError(f"no utterance id is common to the reference, all systems and the categories: {shown}")
    if len(common) <= options.training_items:
        raise UsageError(f"{len(common)} common utterances do not suffice for {options.training_items} training items")
    rng = np.random.default_rng(options.seed)
    by_category: dict[str, list[str]] = {}
    for utterance in rng.permutation(common).tolist():
        by_category.setdefault(options.categories.get(utterance, "all"), []).append(utterance)
    # Training takes from the fullest categories, where the test can spare an utterance best.
    training = []
    for _ in range(options.training_items):
        training.append(max(by_category.values(), key=len).pop())
    kept = [utterance for group in by_category.values() for utterance in sorted(group[: options.items_per_category])]
    return [(utterance, True) for utterance in training] + [(utterance, False) for utterance in kept]


def _listed_systems(systems: Mapping[str, object], reference: str, options: TestOptions) -> list[System]:
    listed = [System(name, source=str(source)) for name, source in systems.items()]
    if options.hidden_reference:
        listed.append(System(REFERENCE, "reference", reference))
    if options.anchor:
        listed.append(System(ANCHOR, "anchor", reference))
    return listed


def _make_item(
    folder: Path, reference: Path, sources: Mapping[str, Path], rate: int, options: TestOptions
) -> tuple[Item, list[tuple]]:
    """Write all audio of one item; return it and its rows of the level report."""
    whole = samples.load_mono(reference, rate)
    begin, end = samples.choose_passage(whole, rate, options.max_seconds)
    wavs = {REFERENCE: whole[begin:end]}
    for name, path in sources.items():
        wavs[name] = samples.load_passage(path, rate, begin / rate, end - begin, len(whole) / rate)
    wavs = {name: samples.fade_edges(wav, rate) for name, wav in wavs.items()}
    if options.anchor:
        wavs[ANCHOR] = samples.low_anchor(wavs[REFERENCE], rate)
    levelled = samples.level(wavs, rate, options.loudness if options.align_loudness else None)
    if math.isinf(levelled.loudness[REFERENCE]):
        raise UsageError(f"{reference}: silent (below the gate of BS.1770): leave the utterance out")
    open_reference = new_id()
    samples.write_sample(audio_path(folder, open_reference), levelled.wavs[REFERENCE], rate)
    audio = {}
    for name in [*sources, *([REFERENCE] if options.hidden_reference else []), *([ANCHOR] if options.anchor else [])]:
        audio[name] = new_id()
        samples.write_sample(audio_path(folder, audio[name]), levelled.wavs[name], rate)
    item = Item(
        reference.stem, "all", begin / rate, (end - begin) / rate, len(whole) / rate,
        levelled.lowered_db, open_reference, audio,
    )  # fmt: skip
    return item, [(name, levelled.loudness[name], levelled.gain_db[name]) for name in wavs]


def _make_checks(folder: Path, items: list[Item], rate: int, options: TestOptions) -> tuple[Check, ...]:
    if not options.checks:
        return ()
    longest = sorted((item for item in items if not item.training), key=lambda item: -item.seconds)
    if not longest or samples.most_beeps(longest[0].seconds) < 1:
        raise UsageError("every item is too short for an attention check (beeps in its second half): use --checks 0")
    checks = []
    for number in range(max(CHECK_SAMPLES, options.checks)):
        item = longest[number % len(longest)]
        beeps = min(CHECK_BEEPS[number % len(CHECK_BEEPS)], samples.most_beeps(item.seconds))
        if beeps < 1:
            item, beeps = longest[0], 1
        check = Check(item.id, new_id(), beeps)
        wav = samples.load_mono(audio_path(folder, item.reference), rate)
        samples.write_sample(audio_path(folder, check.audio), samples.with_beeps(wav, rate, beeps), rate)
        checks.append(check)
    return tuple(checks)


def _write_levels(folder: Path, rows: list[tuple]) -> None:
    """Write (or extend) the report of loudness: item, sample, LUFS before, gain in dB."""
    path = folder / LEVELS_FILE
    kept = path.read_text(encoding="utf-8") if path.exists() else "item\tsample\tlufs_before\tgain_db\n"
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        stream.write(kept)
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerows((item, name, f"{lufs:.2f}", f"{gain:.2f}") for item, name, lufs, gain in rows)
