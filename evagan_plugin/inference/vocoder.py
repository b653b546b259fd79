"""EVA-GAN for users: log-mels or waveforms in, waveforms out."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from huggingface_hub import ModelCard, ModelHubMixin
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from evagan_plugin.audio.features import check_mel
from evagan_plugin.audio.io import resample
from evagan_plugin.audio.likelihood import MelWatch
from evagan_plugin.audio.mel import MelSpectrogram
from evagan_plugin.checkpoint.convert import open_checkpoint
from evagan_plugin.checkpoint.files import could_be_a_name, load_config_of
from evagan_plugin.checkpoint.hub import ModelFacts, download, model_card
from evagan_plugin.checkpoint.native import save_checkpoint
from evagan_plugin.config import MelConfig, MelStatistics, VocoderConfig
from evagan_plugin.errors import UsageError
from evagan_plugin.inference.export import exportable, onnx_model
from evagan_plugin.inference.exported import is_onnx, read_facts
from evagan_plugin.inference.model_argument import choose_engine
from evagan_plugin.inference.onnx_engine import OnnxGenerator
from evagan_plugin.inference.padding import batches
from evagan_plugin.inference.precision import automatic_dtype
from evagan_plugin.inference.stream import CHUNK_FRAMES, CopyStream, Stream, lookahead_frames
from evagan_plugin.model.generator import EVAGANGenerator, build_generator
from evagan_plugin.model.vocos import VocosGenerator
from evagan_plugin.utils.device import checked_device

logger = logging.getLogger(__name__)

Dtype = torch.dtype | Literal["auto"]
"""Type to compute in; ``"auto"``: bfloat16 on a CPU that has it, where waveforms hardly change by it, else float32."""


class Vocoder:
    """A generator made ready for inference, with the mel front end that it was trained on.

    Everything runs under ``torch.inference_mode``; what comes out is an ordinary tensor, which may be changed in place.

    Args:
        mel: What the generator hears.
        generator: Maps log-mels (B, n_mels, F) to waveforms (B, 1, F * hop); it is put into evaluation mode.
        device: Where to compute, e.g. ``"cpu"`` or ``"cuda"``.
        dtype: Floating-point type of weights and computation, or ``"auto"``, of which a line says what was chosen.
        statistics: Of the mels that it was trained on, where they are known.
    """

    def __init__(
        self,
        mel: MelConfig,
        generator: nn.Module,
        device: str | torch.device = "cpu",
        dtype: Dtype = torch.float32,
        statistics: MelStatistics | None = None,
    ) -> None:
        self.mel_config = mel
        """What the mels that go in must be."""
        self.device = checked_device(device)
        if dtype == "auto":
            dtype = automatic_dtype(generator.eval().to(self.device, torch.float32), mel, self.device)
        if dtype == torch.bfloat16 and isinstance(generator, VocosGenerator):
            raise UsageError("vocos cannot compute in bfloat16: its inverse Fourier transform has none")
        self.dtype = dtype
        self.generator = generator.eval().to(self.device, dtype)
        self.mel_spectrogram = MelSpectrogram(mel).to(self.device)
        self.watch = MelWatch(mel, statistics, logger)
        """Compares the mels that go in with those that it was trained on."""

    mel = property(lambda self: self.mel_config, doc="Old name of :attr:`mel_config`.")

    @property
    def sample_rate(self) -> int:
        """Samples per second (Hz) of what comes out."""
        return self.mel_config.sample_rate

    def synthesize(self, mel: Tensor | np.ndarray, source: str | Path = "the mel") -> Tensor:
        """Turn log-mels into waveforms; of the first that can hardly be this vocoder's a line says why.

        Args:
            mel: (n_mels, F) or (B, n_mels, F), as :attr:`mel_config` defines it.
            source: What it is called in that line.

        Returns:
            Tensor: Waveforms in [-1, 1], float32 on the CPU, (F * hop,) or (B, F * hop).

        Raises:
            UsageError: If the shape is wrong (bands, orientation, no frames) or values are not finite.
        """
        mel = torch.as_tensor(mel)
        self._check(mel, source)
        return self._generate(mel)

    def synthesize_batch(self, mels: Sequence[Tensor | np.ndarray], batch_size: int = 8) -> list[Tensor]:
        """Turn the log-mels of many utterances into waveforms, several at a time, each as :meth:`synthesize` makes it.

        Those of about the same length go together and are padded, which changes nothing of what is heard; where
        :attr:`can_pad` is false, those of the same length.

        Args:
            mels: (n_mels, F) each.
            batch_size: Utterances at a time at most; fewer of long ones.

        Returns:
            list: Waveforms (F * hop,) in the order of the mels.

        Raises:
            UsageError: If a shape is wrong, values are not finite, or the batch size is not positive.
        """
        mels = [torch.as_tensor(mel) for mel in mels]
        for index, mel in enumerate(mels):
            if mel.dim() != 2:
                raise UsageError(f"mel {index} has {mel.dim()} dimensions: (n_mels, frames) is expected of each")
            self._check(mel, f"mel {index}")
        wavs = {}
        for batch in batches([mel.shape[-1] for mel in mels], batch_size, self.can_pad):
            wavs |= zip(batch, self.synthesize_padded([mels[index] for index in batch]), strict=True)
        return [wavs[index] for index in range(len(mels))]

    def synthesize_padded(self, mels: Sequence[Tensor]) -> list[Tensor]:
        """Turn log-mels (n_mels, F) into waveforms (F * hop,) at once, unchecked.

        Where :attr:`can_pad` is false all must have the same length.
        """
        frames = [mel.shape[-1] for mel in mels]
        batch = pad_sequence([mel.transpose(0, 1) for mel in mels], batch_first=True).transpose(1, 2)
        if min(frames) == max(frames):
            return list(self._generate(batch))
        hop = self.mel_config.hop_length
        return [wav[: count * hop].clone() for wav, count in zip(self._generate(batch, frames), frames, strict=True)]

    @property
    def can_pad(self) -> bool:
        """Whether utterances of different lengths can be synthesised at once: by a generator of ours, in PyTorch."""
        return isinstance(self.generator, EVAGANGenerator)

    def _check(self, mel: Tensor, source: str | Path = "the mel") -> None:
        check_mel(mel, self.mel_config)
        self.watch.look(mel, source)

    def _generate(self, mel: Tensor, frames: Sequence[int] | None = None) -> Tensor:
        batch = (mel if mel.dim() == 3 else mel.unsqueeze(0)).to(self.device, self.dtype)
        with torch.inference_mode():
            wav = self.generator(batch) if frames is None else self.generator(batch, frames=frames)
            wav = wav.squeeze(1).float().cpu()
        return (wav if mel.dim() == 3 else wav.squeeze(0)).clone()

    def resynthesize(self, wav: Tensor | np.ndarray, sample_rate: int) -> Tensor:
        """Copy synthesis: waveform to mel to waveform.

        Args:
            wav: (T,) or (B, T) in [-1, 1].
            sample_rate: Samples per second of ``wav``; another rate than the vocoder's is resampled.

        Returns:
            Tensor: Waveforms at :attr:`sample_rate`, exactly as long as the (resampled) input.

        Raises:
            UsageError: If there is no sample or a value is not finite.
        """
        mel, length = self.analyse(wav, sample_rate)
        return self._generate(mel)[..., :length]

    def analyse(self, wav: Tensor | np.ndarray, sample_rate: int) -> tuple[Tensor, int]:
        """Return the log-mels of a waveform, (n_mels, F) or (B, n_mels, F), and its samples at :attr:`sample_rate`.

        Args:
            wav: As for :meth:`resynthesize`.
            sample_rate: Samples per second of ``wav``.

        Raises:
            UsageError: As :meth:`resynthesize`.
        """
        wav = torch.as_tensor(wav, dtype=torch.float32)
        if wav.dim() not in (1, 2) or not wav.shape[-1]:
            raise UsageError(f"waveforms of shape (T,) or (batch, T) are expected, not {tuple(wav.shape)}")
        if wav.dim() == 2 and wav.shape[0] > 64 * wav.shape[1]:
            raise UsageError(f"a waveform of shape {tuple(wav.shape)} looks like (T, channels): pass one channel (T,)")
        if not torch.isfinite(wav).all():
            raise UsageError("the waveform has values that are not finite (NaN or infinity)")
        wav = resample(wav, sample_rate, self.sample_rate)
        length, hop = wav.shape[-1], self.mel_config.hop_length
        # To whole frames, and to enough of them for the reflection at the ends of the first transform.
        padded = max(-(-length // hop) * hop, self.mel_config.n_fft)
        with torch.inference_mode():
            mel = self.mel_spectrogram(F.pad(wav, (0, padded - length)).to(self.device).view(-1, 1, padded))
        return (mel if wav.dim() == 2 else mel.squeeze(0)), length

    def stream(self, frames: int = CHUNK_FRAMES, initial_frames: int | None = None) -> Stream:
        """Begin a stream: mels piece by piece in, waveforms chunk by chunk out, which joined equal :meth:`synthesize`.

        Args:
            frames: Mel frames of a chunk.
            initial_frames: Frames of the first audio; as of any chunk when None.

        Raises:
            UsageError: If the generator is not ours, or a number of frames is not positive.
        """
        return Stream(self._own_generator(), self._check, frames, initial_frames)

    def stream_copy(self, frames: int = CHUNK_FRAMES, initial_frames: int | None = None) -> CopyStream:
        """Begin a stream of audio at :attr:`sample_rate`: what comes out, joined, equals :meth:`resynthesize`."""
        stream = Stream(self._own_generator(), lambda mel: None, frames, initial_frames)
        return CopyStream(stream, self.mel_spectrogram)

    @property
    def can_stream(self) -> bool:
        """Whether :meth:`stream` works: with a generator of ours, computed by PyTorch."""
        return isinstance(self.generator, EVAGANGenerator)

    @property
    def lookahead_frames(self) -> int:
        """Mel frames after its own that a frame's audio waits for."""
        return lookahead_frames(self._own_generator())

    def latency(self, frames: int = CHUNK_FRAMES, audio: bool = False) -> float:
        """Return the seconds that a sample is late at most in a stream of chunks, computation not counted.

        Args:
            frames: Mel frames of a chunk.
            audio: Whether mels are computed of audio that comes in (:meth:`stream_copy`), so that the part of a frame's
                window counts that reaches beyond its hop.
        """
        mel = self.mel_config
        ahead = max(mel.n_fft - self.mel_spectrogram.padding[0] - mel.hop_length, 0) if audio else 0
        return ((frames + self.lookahead_frames) * mel.hop_length + ahead) / mel.sample_rate

    def _own_generator(self) -> EVAGANGenerator:
        if not self.can_stream:
            raise UsageError("only a model of ours can stream, computed by PyTorch")
        return self.generator


class EVAGANVocoder(
    Vocoder,
    ModelHubMixin,
    library_name="evagan-plugin",
    pipeline_tag="audio-to-audio",
    tags=["vocoder", "neural-vocoder", "eva-gan"],
    paper_url="https://arxiv.org/abs/2402.00892",
):
    """EVA-GAN, or anything that its generator's config describes.

    Args:
        config: The whole vocoder.
        generator: Its generator, or that of another engine; it is changed in place (evaluation mode, weight norm
            folded in).
        device: Where to compute, e.g. ``"cpu"`` or ``"cuda"``.
        dtype: Floating-point type of weights and computation, or ``"auto"``, of which a line says what was chosen.
    """

    def __init__(
        self,
        config: VocoderConfig,
        generator: EVAGANGenerator | VocosGenerator | OnnxGenerator,
        device: str | torch.device = "cpu",
        dtype: Dtype = torch.float32,
    ) -> None:
        if isinstance(generator, EVAGANGenerator):
            generator.remove_weight_norm()
        super().__init__(config.mel, generator, device, dtype, config.mel_statistics)
        self.config = config
        # The mixin would write it a second time, as config.json.
        self._hub_mixin_config = None

    @classmethod
    def load(
        cls,
        path: str | Path,
        config: str | Path | None = None,
        device: str | torch.device = "cpu",
        dtype: Dtype = torch.float32,
        engine: str | None = None,
        threads: int | None = None,
    ) -> "EVAGANVocoder":
        """Open a checkpoint, or an ONNX file that was made of one.

        Args:
            path: Directory with ``config.yaml`` and ``model.safetensors``, the name of a model that comes with the
                package (``"eva_gan_tiny_16k"``), a training checkpoint (``.pth``) of ESPnet or Coqui TTS, or a
                published one that can be converted; with its config beside it. Or what ``evagan export`` has
                written as ``.onnx``, whose config is inside.
            config: Config file, where it does not lie beside the weights.
            device: Where to compute.
            dtype: Floating-point type to compute in, or ``"auto"``.
            engine: ``"torch"`` or ``"onnxruntime"`` (CPU, float32), which takes a checkpoint too and exports it in
                memory; the one that opens the file when None.
            threads: Threads to compute with: of the whole process with torch, of this vocoder with onnxruntime; as
                PyTorch has chosen (``OMP_NUM_THREADS``) when None.

        Raises:
            EvaganError: If there is no checkpoint, it is damaged, weights and config do not fit, or the engine is not
                installed.
        """
        name = str(dtype).removeprefix("torch.")
        engine = choose_engine(path, config, engine, str(device), name, threads)
        if is_onnx(path):
            return cls(read_facts(path).config, OnnxGenerator(path, threads), device, dtype)
        return cls._on(engine, threads, *open_checkpoint(path, config), device, dtype)

    @classmethod
    def _on(
        cls,
        engine: str,
        threads: int | None,
        config: VocoderConfig,
        generator: EVAGANGenerator | VocosGenerator,
        device: str | torch.device,
        dtype: Dtype,
    ) -> "EVAGANVocoder":
        """Return the vocoder of a generator on an engine."""
        if engine == "onnxruntime":
            model = onnx_model(exportable(generator).remove_weight_norm().eval(), conditioned=False)
            return cls(config, OnnxGenerator(model, threads), device, dtype)
        if threads:
            torch.set_num_threads(threads)
        return cls(config, generator, device, dtype)

    @classmethod
    def untrained(
        cls,
        path: str | Path,
        config: str | Path | None = None,
        device: str | torch.device = "cpu",
        dtype: Dtype = torch.float32,
        seed: int = 0,
        engine: str | None = None,
        threads: int | None = None,
    ) -> "EVAGANVocoder":
        """Build the vocoder of a checkpoint's config with random weights: what training started from, in kind."""
        name = str(dtype).removeprefix("torch.")
        engine = choose_engine(path, config, engine, str(device), name, threads)
        settings = read_facts(path).config if is_onnx(path) else load_config_of(path, config)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            generator = build_generator(settings)
        return cls._on(engine, threads, settings, generator, device, dtype)

    def save(self, directory: str | Path, dtype: torch.dtype = torch.float32) -> None:
        """Write the checkpoint as a directory with ``config.yaml`` and ``model.safetensors``, stored in ``dtype``.

        Raises:
            UsageError: If another engine than PyTorch computes: it has no weights to be read.
        """
        if isinstance(self.generator, OnnxGenerator):
            raise UsageError("engine onnxruntime has no weights to save: open the checkpoint with engine torch")
        save_checkpoint(directory, self.config, self.generator, dtype)

    @classmethod
    def from_pretrained(
        cls,
        model_id: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        device: str | torch.device = "cpu",
        dtype: Dtype = torch.float32,
        engine: str | None = None,
        threads: int | None = None,
    ) -> "EVAGANVocoder":
        """Open a directory that :meth:`save_pretrained` wrote, a model of the package or of the Hugging Face Hub.

        Args:
            model_id: Directory, name of a model that comes with the package, or ``USER/NAME`` on the Hub.
            revision: Branch, tag or commit on the Hub.
            cache_dir: Where downloads are kept.
            force_download: Download again what is there.
            local_files_only: Use what has been downloaded before, without the network.
            token: Access token of the Hub; the one of ``hf auth login`` when None.
            device: Where to compute.
            dtype: Floating-point type to compute in, or ``"auto"``.
            engine: ``"torch"`` or ``"onnxruntime"``, as :meth:`load` takes it.
            threads: Threads to compute with, as :meth:`load` takes them.

        Raises:
            UsageError: If the engine is unknown or cannot do what is asked for; nothing is downloaded then.
            EvaganError: If there is neither such a directory nor such a model, or it cannot be opened.
        """
        choose_engine(model_id, None, engine, str(device), str(dtype).removeprefix("torch."), threads)
        options = {"cache_dir": cache_dir, "force_download": force_download, "local_files_only": local_files_only}
        local = Path(model_id).exists() or could_be_a_name(model_id)
        path = model_id if local else download(str(model_id), revision, token, **options)
        return cls.load(path, device=device, dtype=dtype, engine=engine, threads=threads)

    def _save_pretrained(self, save_directory: Path) -> None:
        self.save(save_directory)

    def generate_model_card(self, facts: ModelFacts | None = None) -> ModelCard:
        """Return the README of the model: mel contract, sizes, and the facts that only its maker knows.

        ``save_pretrained`` and ``push_to_hub`` take the facts as ``model_card_kwargs={"facts": ModelFacts(...)}``.
        """
        info = self._hub_mixin_info
        return model_card(self.config, self.generator, info.model_card_data, facts or ModelFacts())
