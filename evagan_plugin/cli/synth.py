"""``evagan synth``: copy synthesis of audio, and waveforms from mels."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

from evagan_plugin.cli.options import AllowPipes, PartOfWork

if TYPE_CHECKING:
    from evagan_plugin.inference.vocoder import Vocoder


class SynthCommand(TyperCommand):
    """Takes ``--vocoder KIND:PATH SOURCE OUT_DIR``, the older way to write ``KIND:PATH SOURCE OUT_DIR``, too."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        """Parse arguments with the model in the first place, wherever ``--vocoder`` stands."""
        for place, argument in enumerate(args):
            name, sign, model = argument.partition("=")
            if name == "--vocoder" and (sign or args[place + 1 :]):
                rest = args[:place] + args[place + (1 if sign else 2) :]
                return super().parse_args(ctx, [model if sign else args[place + 1], *rest])
        return super().parse_args(ctx, args)


class Dtype(StrEnum):
    """Floating-point types to compute in."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float64 = "float64"
    auto = "auto"


class Stdin(StrEnum):
    """What standard input is."""

    mel = "mel"
    pcm = "pcm"


def synth(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Name of a model that comes with the package (see `evagan info`), checkpoint directory, .safetensors, "
            "training checkpoint (.pth), published weights, exported .onnx; bigvgan:PATH or vocos:PATH for another "
            "project's vocoder, which may also be written --vocoder KIND:PATH.",
        ),
    ],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="Audio or mel file (.npy, .pt: (n_mels, frames)), directory, wav.scp or feats.scp; - with OUT_DIR -: "
            "what comes on standard input, see --stdin.",
        ),
    ],
    out_dir: Annotated[
        Path,
        typer.Argument(metavar="OUT_DIR", help="Where UTT_ID.wav and wav.scp go; -: 16-bit PCM to standard output."),
    ],
    config: Annotated[Path | None, typer.Option(help="Config, where it does not lie beside the checkpoint.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    dtype: Annotated[
        Dtype,
        typer.Option(
            help="Type to compute in; auto: bfloat16 on a CPU that has it, where waveforms hardly change by it."
        ),
    ] = Dtype.float32,
    engine: Annotated[
        str | None,
        typer.Option(help="torch or onnxruntime (CPU); an .onnx opens with the latter, all else with torch."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads to compute with; OMP_NUM_THREADS where it is set, else all cores.")
    ] = None,
    untrained: Annotated[
        bool, typer.Option("--untrained", help="Use the model's config with random weights: a floor to compare with.")
    ] = False,
    chunk_frames: Annotated[
        int | None,
        typer.Option(
            "--chunk_frames",
            "--chunk-frames",
            min=1,
            help="Synthesise so many mel frames at a time, with the same result; standard input: 8.",
        ),
    ] = None,
    batch_size: Annotated[
        int,
        typer.Option(
            "--batch_size",
            "--batch-size",
            min=1,
            help="Utterances to synthesise at once, with the same result.",
        ),
    ] = 1,
    initial_frames: Annotated[
        int | None,
        typer.Option("--initial_frames", "--initial-frames", min=1, help="Standard input: frames of the first chunk."),
    ] = None,
    stdin: Annotated[
        Stdin | None,
        typer.Option(
            help="What standard input is, little endian: mel (if not given), frame after frame of n_mels float32 "
            "values; or pcm, 16-bit samples of one channel at the model's rate."
        ),
    ] = None,
    part: PartOfWork = None,
    allow_pipes: AllowPipes = False,
) -> None:
    """Synthesise waveforms; audio that goes in comes out exactly as long as it was."""
    from evagan_plugin.data.utterances import find_utterances
    from evagan_plugin.errors import EvaganError, UsageError
    from evagan_plugin.inference.journal import model_state, synthesize_unfinished
    from evagan_plugin.inference.model_argument import check_vocoder
    from evagan_plugin.utils.parts import in_part

    # Before torch is imported, which takes seconds.
    piped = [str(path) == "-" for path in (source, out_dir)]
    if any(piped) and not all(piped):
        raise UsageError("SOURCE - and OUT_DIR - go together: standard input is synthesised to standard output")
    for option, value in {"--initial_frames": initial_frames, "--stdin": stdin}.items():
        if value and not any(piped):
            raise UsageError(f"{option} is for standard input (SOURCE - and OUT_DIR -)")
    if batch_size > 1 and (any(piped) or chunk_frames):
        raise UsageError("--batch_size is for whole utterances in files: leave --chunk_frames and standard input out")
    if part and any(piped):
        raise UsageError("--part divides a list of utterances, which standard input is not")
    utterances = [] if any(piped) else find_utterances(source, features=True, pipes=allow_pipes)
    check_vocoder(model, config, engine, device, dtype.value, threads)

    def opened() -> "Vocoder":
        from evagan_plugin.inference.third_party import open_vocoder

        return open_vocoder(model, config, device, dtype.value, untrained, engine, threads)

    if any(piped):
        from evagan_plugin.inference.stdio import standard_streams, synthesize_stdio
        from evagan_plugin.inference.stream import CHUNK_FRAMES

        kind = (stdin or Stdin.mel).value
        synthesize_stdio(opened(), *standard_streams(), kind, chunk_frames or CHUNK_FRAMES, initial_frames)
        return
    utterances = in_part(part, utterances, lambda utterance: utterance.utt_id)
    how = {"model": model_state(model, config), "device": device, "dtype": dtype.value, "engine": engine}
    how |= {"untrained": untrained, "chunk_frames": chunk_frames}
    failed = synthesize_unfinished(opened, utterances, out_dir, how, part, batch_size)
    typer.echo(f"{len(utterances) - len(failed)} of {len(utterances)} utterances written to {out_dir}")
    if failed:
        listed = "; ".join(f"{utt_id}: {reason}" for utt_id, reason in failed.items())
        raise EvaganError(f"{len(failed)} of {len(utterances)} utterances failed: {listed}")
