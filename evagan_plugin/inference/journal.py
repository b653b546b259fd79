"""What the parts of a synthesis have made, so that it is not made twice; without torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evagan_plugin import __version__
from evagan_plugin.audio.archive import source_state
from evagan_plugin.checkpoint.files import config_beside, weights_file
from evagan_plugin.data.kaldi import write_table
from evagan_plugin.data.utterances import Utterance
from evagan_plugin.inference.model_argument import split_model, third_party_files
from evagan_plugin.utils.json_lines import JsonLines, Line
from evagan_plugin.utils.parts import Part, files_of_parts

if TYPE_CHECKING:
    from evagan_plugin.inference.vocoder import Vocoder

FILE = "synth.jsonl"


def model_state(model: str, config: str | Path | None) -> dict[str, str]:
    """Return what changes when the files of a model do, weights and config, by path."""
    kind, path = split_model(model)
    if kind:
        files = list(third_party_files(kind, path, config))
    else:
        weights = weights_file(path)
        files = [weights, Path(config) if config else config_beside(weights)]
    return {str(file.resolve()): source_state(file) for file in files if file}


def synthesize_unfinished(
    open_vocoder: Callable[[], "Vocoder"],
    utterances: Sequence[Utterance],
    out_dir: Path,
    how: dict[str, Any],
    part: Part | None = None,
    batch_size: int = 1,
) -> dict[str, str]:
    """Synthesise what parts have not made yet, with :func:`~evagan_plugin.inference.batch.synthesize_all`.

    Args:
        open_vocoder: Opens the vocoder; not called where nothing is left to do.
        utterances: Audio and mels; of a part, its own.
        out_dir: Where to; ``wav.scp`` is the whole's alone.
        how: Whatever the waveforms depend on, the states of the model's files among it, and ``chunk_frames``.
        part: Which part they are, None if they are the whole.
        batch_size: Utterances to synthesise at once, with the same result.

    Returns:
        dict: Reason by utterance id of those that failed.
    """
    journal = SynthesisJournal.of(out_dir, how, part)
    waiting = journal.waiting(utterances) if journal else utterances
    failed = {}
    if waiting:
        from evagan_plugin.inference.batch import synthesize_all  # brings torch, which takes seconds

        done = journal.add if journal else None
        failed = synthesize_all(open_vocoder(), waiting, out_dir, how["chunk_frames"], batch_size, done)
    if journal:
        journal.close(utterances)
    return failed


@dataclass(frozen=True)
class SynthesisJournal:
    """A line for each utterance that is done: what it was made of, and the state of its file."""

    out_dir: Path
    how: dict[str, Any]
    """Model and options."""
    part: Part | None
    lines: JsonLines
    of_parts: list[Path]
    """Journals that the whole's takes the place of."""

    @classmethod
    def of(cls, out_dir: Path, how: dict[str, Any], part: Part | None) -> "SynthesisJournal | None":
        """Open the journal of a part, or that of the whole; there is none where no part has been made."""
        whole = out_dir / FILE
        of_parts = files_of_parts(whole, part)
        if not part and not of_parts and not whole.is_file():
            return None
        lines = JsonLines(part.file(whole) if part else whole, _utterance_of, [whole, *of_parts])
        return cls(out_dir, how, part, lines, of_parts)

    def waiting(self, utterances: Sequence[Utterance]) -> list[Utterance]:
        """Return the utterances that are not done, or not in this way."""
        return [utterance for utterance in utterances if not self._is_done(utterance)]

    def add(self, utterance: Utterance) -> None:
        """Note that the file of an utterance is written."""
        self.lines.add(self._line(utterance))

    def close(self, utterances: Sequence[Utterance]) -> None:
        """Close the file, with the lines of those utterances that are done; of the whole also write ``wav.scp``."""
        done = [utterance.utt_id for utterance in utterances if self._is_done(utterance)]
        if done and not self.part:
            write_table(self.out_dir / "wav.scp", {utt_id: self.out_dir / f"{utt_id}.wav" for utt_id in done})
        self.lines.close(done)
        if not self.part:  # which may still need them
            for path in self.of_parts:
                path.unlink(missing_ok=True)

    def _is_done(self, utterance: Utterance) -> bool:
        return self.lines.lines.get(utterance.utt_id) == self._line(utterance)

    def _line(self, utterance: Utterance) -> Line:
        made_from = {
            "version": __version__,
            **self.how,
            "source": [str(utterance.source), utterance.layout, source_state(utterance.source)],
        }
        output = source_state(self.out_dir / f"{utterance.utt_id}.wav")
        return {"utt_id": utterance.utt_id, "made_from": made_from, "output": output}


def _utterance_of(line: Line) -> str:
    _ = line["made_from"], line["output"]
    return line["utt_id"]
