"""Making a listening test."""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from evagan_plugin.data.names import REFERENCE
from evagan_plugin.data.systems import read_source
from evagan_plugin.errors import UsageError
from evagan_plugin.listening.design.design import (
    ANCHOR,
    ListeningTest,
    System,
    check_system_name,
    new_id,
    save_design,
)
from evagan_plugin.listening.design.items import make_checks, make_item, write_levels
from evagan_plugin.listening.design.options import ListeningOptions
from evagan_plugin.listening.design.samples import rate_of
from evagan_plugin.listening.design.tokens import write_tokens
from evagan_plugin.listening.votes.store import open_store
from evagan_plugin.utils.progress import track

MOST_TOGETHER = 12
"""Samples that a rater can compare at once (ITU-R BS.1534-3 section 4.1)."""


def create_test(
    out: str | Path,
    reference: str | Path,
    systems: Mapping[str, str | Path],
    options: ListeningOptions | None = None,
    database: str | None = None,
) -> ListeningTest:
    """Make a test folder: ``test.yaml``, ``audio/``, ``loudness.tsv``, ``tokens.tsv`` and the vote store.

    Args:
        out: Folder to make; it must not exist.
        reference: Folder or wav.scp of the reference audio.
        systems: Folder or wav.scp of each system's audio, by system name; matched by utterance id (file stem).
        options: See :class:`ListeningOptions`.
        database: SQLAlchemy URL of the vote store; ``votes.sqlite`` in the folder when ``None``.

    Raises:
        UsageError: If names, folders or lengths do not fit together.
    """
    out, options = Path(out), options or ListeningOptions()
    if out.exists():
        raise UsageError(f"{out} exists already: choose another folder for the test")
    _check_names(systems, options)
    references = read_source(reference, options.allow_pipes)
    files = {name: read_source(source, options.allow_pipes) for name, source in systems.items()}
    chosen = _choose_utterances(references, files, options)
    rate = options.sample_rate or max(rate_of(references[utterance]) for utterance, _ in chosen)
    listed = _listed_systems(systems, str(reference), options)
    partial = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        items, levels = [], []
        for utterance, training in track(chosen, "listening items"):
            sources = {name: found[utterance] for name, found in files.items()}
            item, gains = make_item(partial, utterance, references[utterance], sources, rate, options, training)
            items.append(item)
            levels += gains
        design = ListeningTest(
            id=new_id(), title=options.title, protocol=options.protocol, language=options.language,
            created=datetime.now(UTC).isoformat(timespec="seconds"), seed=options.seed, sample_rate=rate,
            half_points=options.half_points, items_per_rater=options.items_per_rater,
            checks_per_rater=options.checks, max_seconds=options.max_seconds,
            loudness=options.loudness if options.align_loudness else None, consent=options.consent,
            systems=tuple(listed), items=tuple(items), checks=make_checks(partial, items, rate, options),
            crowd=options.crowd,
        )  # fmt: skip
        save_design(partial, design)
        write_levels(partial, levels)
        write_tokens(partial)
        with open_store(partial, design, database, create=True) as store:
            store.add_raters(options.raters)
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return design


def _check_names(systems: Mapping[str, object], options: ListeningOptions) -> None:
    if not systems:
        raise UsageError("no systems: give at least one as NAME=FOLDER")
    for name in systems:
        check_system_name(name)
    together = len(systems) + options.hidden_reference + options.anchor
    if options.protocol == "mushra" and together > MOST_TOGETHER:
        raise UsageError(f"MUSHRA compares at most {MOST_TOGETHER} samples at once, these are {together}")


def _choose_utterances(
    references: Mapping[str, Path], files: Mapping[str, Mapping[str, Path]], options: ListeningOptions
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
        raise UsageError(
            f"reference and systems have {len(common)} utterance(s) in common, which do not suffice where "
            f"{options.training_items} of them are for the raters' training: give more, or --training-items 0"
        )
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


def _listed_systems(systems: Mapping[str, object], reference: str, options: ListeningOptions) -> list[System]:
    listed = [System(name, source=str(source)) for name, source in systems.items()]
    if options.hidden_reference:
        listed.append(System(REFERENCE, "reference", reference))
    if options.anchor:
        listed.append(System(ANCHOR, "anchor", reference))
    return listed
