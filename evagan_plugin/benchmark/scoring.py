"""What ``evagan score`` costs beside the libraries' own calls: the same pairs, in one run."""

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import soundfile
import torch
import torchaudio
import typer

from evagan_plugin.audio.io import read_header
from evagan_plugin.data.kaldi import write_table
from evagan_plugin.data.systems import MatchedUtterance, match
from evagan_plugin.errors import EvaganError, require
from evagan_plugin.evaluation.metrics import periodicity
from evagan_plugin.evaluation.metrics.child import Child
from evagan_plugin.evaluation.report.markdown import scores_markdown
from evagan_plugin.evaluation.report.write import write_scores
from evagan_plugin.evaluation.scores import Scores
from evagan_plugin.evaluation.scoring import score_systems
from evagan_plugin.utils.progress import track

SYSTEM = "hypothesis"
READING = "reading and resampling"


def score(
    reference: Annotated[Path, typer.Argument(metavar="REF", help="Directory of audio, or wav.scp.")],
    hypothesis: Annotated[Path, typer.Argument(metavar="HYP", help="The same of a system.")],
    utterances: Annotated[int, typer.Option(min=1, help="How many of the common utterances.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="How often, in turn, after a warm-up.")] = 1,
) -> None:
    """Compare `evagan score` with the fast set with the sum of the calls of auraloss, pesq and torchcrepe."""
    items = match(reference, {SYSTEM: hypothesis})[0][:utterances]
    libraries = Libraries()
    for item in items[:1]:  # loads models and compiles functions
        libraries.values(item)
        score_pairs([item])
    libraries.seconds.clear()
    ratios, ours = [], 0.0
    for _ in range(rounds):
        before = sum(libraries.seconds.values())
        for item in track(items, "libraries"):
            libraries.values(item)
        start = time.process_time() + Child.seconds
        score_pairs(items).check_complete()
        taken = time.process_time() + Child.seconds - start
        ratios.append(taken / (sum(libraries.seconds.values()) - before))
        ours += taken
    typer.echo(
        f"{len(items)} utterances, {sum(map(_seconds, items)):.0f} s of audio, {rounds} round(s), fast set; processor "
        f"seconds on {torch.get_num_threads()} thread(s)"
    )
    for name, seconds in libraries.seconds.items():
        typer.echo(f"{name:28}{seconds / rounds:>9.2f}")
    typer.echo(f"{'sum of the libraries':28}{sum(libraries.seconds.values()) / rounds:>9.2f}")
    typer.echo(f"{'evagan score':28}{ours / rounds:>9.2f}")
    typer.echo(f"{'ratio':28}{statistics.median(ratios):>9.2f}")


def score_pairs(items: Sequence[MatchedUtterance]) -> Scores:
    """Do all that ``evagan score --out`` does for these pairs: journal, table and files."""
    with tempfile.TemporaryDirectory() as folder:
        reference, hypothesis, out = (Path(folder, name) for name in ("reference", SYSTEM, "out"))
        write_table(reference / "wav.scp", {item.utt_id: item.reference.absolute() for item in items})
        write_table(hypothesis / "wav.scp", {item.utt_id: item.hypotheses[SYSTEM].absolute() for item in items})
        scores = score_systems(reference, {SYSTEM: hypothesis}, "fast", out=out)
        scores_markdown(scores)
        write_scores(scores, out)
        return scores


class Libraries:
    """The fast set's libraries, called as a script of a few lines would; it adds up the time of each.

    The log-mel distance is left out, since it is the package's own, and so are tables, intervals and checks.
    """

    def __init__(self) -> None:
        self.auraloss, self.pesq, self.crepe = (require(name, "score") for name in ("auraloss", "pesq", "torchcrepe"))
        self.distance = self.auraloss.freq.MultiResolutionSTFTLoss()
        self.seconds: dict[str, float] = {}
        """Processor seconds by library."""

    def values(self, item: MatchedUtterance) -> dict[str, Any]:
        """Return what the libraries say of a pair: M-STFT, PESQ, and pitch and periodicity ``(1, F)`` of both."""
        with self._timed(READING):
            wavs, narrow = zip(*map(self._read, (item.reference, item.hypotheses[SYSTEM])), strict=True)
        with self._timed("auraloss"), torch.no_grad():
            m_stft = float(self.distance(wavs[1][None], wavs[0][None]))
        with self._timed("pesq"):
            samples = [(wav[0].clamp(-1, 1) * 32767).to(torch.int16).numpy() for wav in narrow]
            try:
                pesq_wb = self.pesq.pesq(periodicity.CREPE_RATE, *samples, "wb")
            except self.pesq.NoUtterancesError:
                raise EvaganError(f"{item.reference}: PESQ finds no speech in it: leave it out") from None
        with self._timed("torchcrepe, tiny"):
            tracks = [self._track(wav) for wav in narrow]
        return {"m_stft": m_stft, "pesq_wb": pesq_wb, "tracks": tracks}

    def _read(self, path: Path) -> tuple[torch.Tensor, torch.Tensor]:
        wav, sample_rate = soundfile.read(path, dtype="float32")
        if wav.ndim > 1:
            raise EvaganError(f"{path}: {wav.shape[1]} channels: the comparison is for one")
        wav = torch.from_numpy(wav)[None]
        return wav, torchaudio.functional.resample(wav, sample_rate, periodicity.CREPE_RATE)

    def _track(self, wav: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hop = int(periodicity.HOP * periodicity.CREPE_RATE / periodicity.SAMPLE_RATE)
        padding = (periodicity.CREPE_WINDOW - hop) // 2
        wav = torch.nn.functional.pad(wav[None], (padding, padding), mode="reflect")[0]
        np.random.seed(0)
        limits = {"fmin": periodicity.PITCH_MIN, "fmax": periodicity.PITCH_MAX}
        pitch, harmonicity = self.crepe.predict(
            wav,
            periodicity.CREPE_RATE,
            hop,
            **limits,
            model="tiny",
            return_periodicity=True,
            batch_size=1024,
            pad=False,
        )
        silence = self.crepe.threshold.Silence(-60)
        return pitch, silence(harmonicity, wav, periodicity.CREPE_RATE, hop_length=hop, pad=False)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - start


def _seconds(item: MatchedUtterance) -> float:
    header = read_header(item.reference)
    return header.frames / header.sample_rate
