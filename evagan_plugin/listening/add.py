"""Adding a system to a listening test that runs."""

import os
import shutil
from collections.abc import Container, Mapping
from pathlib import Path

from evagan_plugin.data.systems import read_source
from evagan_plugin.errors import UsageError
from evagan_plugin.listening.design import samples
from evagan_plugin.listening.design.design import (
    ListeningTest,
    System,
    audio_path,
    check_system_name,
    load_design,
    new_id,
    save_design,
    with_system,
)
from evagan_plugin.listening.design.items import Level, write_levels
from evagan_plugin.listening.results.objective import ObjectiveMetrics, write_metrics
from evagan_plugin.listening.votes.store import open_store
from evagan_plugin.utils.lock import locked
from evagan_plugin.utils.progress import track


def add_system(
    test_dir: str | Path,
    name: str,
    wav_dir: str | Path,
    step: int | None = None,
    metrics: ObjectiveMetrics | None = None,
    database: str | None = None,
    allow_pipes: bool = False,
) -> ListeningTest:
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
        allow_pipes: Run the commands that a ``wav.scp`` may have in the place of files.

    Returns:
        The design with the system in it.

    Raises:
        UsageError: If the name is taken, utterances are missing or of another length, or the test is MUSHRA, whose
            trials hold all systems at once.
    """
    test_dir = Path(test_dir)
    check_system_name(name)
    files = read_source(wav_dir, allow_pipes)
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
            write_levels(test_dir, levels)
            # From here on new raters hear the system; those who have begun get it with the next line.
            save_design(test_dir, design)
            store.extend_sessions(design, name)
    return design


def check_addable(test_dir: str | Path, utterances: Container[str], source: str | Path) -> ListeningTest:
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
    test_dir: Path, design: ListeningTest, name: str, files: Mapping[str, Path]
) -> tuple[dict[str, str], list[Level]]:
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
            levels.append(Level(item.id, name, levelled.loudness[name], levelled.gain_db[name]))
        for sample in audio.values():
            os.replace(audio_path(staging, sample), audio_path(test_dir, sample))
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return audio, levels
