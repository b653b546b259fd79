"""EVA-GAN for users: a checkpoint of ours, a pretrained name or a model of the Hub, opened on an engine and saved."""

from pathlib import Path

import torch
from huggingface_hub import ModelCard, ModelHubMixin

from evagan_plugin.checkpoint.convert import open_checkpoint
from evagan_plugin.checkpoint.files import could_be_a_name, load_config_of
from evagan_plugin.checkpoint.hub import ModelFacts, download, model_card
from evagan_plugin.checkpoint.native import save_checkpoint
from evagan_plugin.config import VocoderConfig
from evagan_plugin.errors import UsageError
from evagan_plugin.inference.engine import choose_engine
from evagan_plugin.inference.export import exportable, onnx_model
from evagan_plugin.inference.exported import is_onnx, read_facts
from evagan_plugin.inference.onnx_engine import OnnxGenerator
from evagan_plugin.inference.vocoder import Dtype, Vocoder
from evagan_plugin.model.generator import EVAGANGenerator, build_generator
from evagan_plugin.model.vocos import VocosGenerator


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
