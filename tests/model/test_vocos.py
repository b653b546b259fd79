"""Vocos by its package as a generator: lengths, what it sees, what it cannot do."""

import sys

import pytest
import torch

from evagan_plugin.config import VocoderConfig, build_config
from evagan_plugin.errors import ConfigError, EvaganError
from evagan_plugin.evaluation.cost import inspect_generator
from evagan_plugin.evaluation.speed import gflops_per_second
from evagan_plugin.model.generator import EVAGANGenerator, build_generator
from evagan_plugin.model.vocos import VocosGenerator
from evagan_plugin.training.gan import GANVocoder

SIZES = {"dim": 12, "intermediate_dim": 20, "num_layers": 2}


def config(preset: str = "eva_gan_tiny_16k", **sizes: object) -> VocoderConfig:
    return build_config({"preset": preset, "generator": "none", "vocos": SIZES | sizes})


@pytest.fixture(autouse=True)
def package():
    """The package, or no test."""
    pytest.importorskip("vocos", reason="the extra 'vocos' is not installed")


CENTRED, UNCENTRED = "eva_gan_tiny_16k", "eva_gan_base_22k"


@pytest.mark.parametrize("preset", [CENTRED, UNCENTRED])
def test_frames_times_hop_samples_come_out(preset: str):
    settings = config(preset)
    generator = build_generator(settings)
    assert isinstance(generator, VocosGenerator)
    mel, hop = torch.randn(2, settings.mel.n_mels, 32), settings.mel.hop_length
    wav = generator(mel)
    assert wav.shape == (2, 1, 32 * hop)
    # Of centred frames the last goes in twice; what does not see it is the package's own.
    own = generator.head(generator.backbone(mel)).unsqueeze(1)
    unchanged = (31 - inspect_generator(settings).lookahead_frames) * hop
    torch.testing.assert_close(wav[..., :unchanged], own[..., :unchanged])


@pytest.mark.parametrize("preset", [CENTRED, UNCENTRED])
def test_it_is_counted_as_it_is_built(preset: str):
    settings = config(preset, layer_scale_init_value=1.0)
    generator = build_generator(settings).double()
    facts = inspect_generator(settings)
    assert facts.parameters == sum(one.numel() for one in generator.parameters())
    repeated = 65 / 64 if settings.mel.center else 1  # of the 64 frames that are measured the last goes in twice
    measured = gflops_per_second(generator.float(), settings.mel)
    assert facts.gflops_per_second * repeated == pytest.approx(measured, rel=1e-9)


def test_the_frames_that_reach_a_sample_are_those_that_are_told():
    settings, frame, frames = config(layer_scale_init_value=1.0), 20, 40
    generator, hop = build_generator(settings), settings.mel.hop_length
    generator.head.forward = lambda x: generator.head.istft(
        torch.complex(*generator.head.out(x).transpose(1, 2).chunk(2, 1))
    )
    mel = torch.randn(1, settings.mel.n_mels, frames, requires_grad=True)
    reached: set[int] = set()
    longest = 0
    for sample in range(frame * hop, (frame + 1) * hop, 5):
        (gradient,) = torch.autograd.grad(generator(mel)[0, 0, sample], mel)
        seen = set(gradient.abs().sum((0, 1)).nonzero().flatten().tolist())
        reached |= seen
        longest = max(longest, max(seen) - min(seen) + 1)
    facts = inspect_generator(settings)
    assert (longest, max(reached) - frame) == (facts.receptive_field_frames, facts.lookahead_frames)


def test_the_head_computes_in_float32_under_autocast():
    settings = config()
    gan = GANVocoder(settings, build_generator(settings)).train()
    with torch.autocast("cpu", torch.bfloat16):
        wav = gan.generator(torch.randn(1, settings.mel.n_mels, 16))
    assert wav.dtype == torch.float32 and wav.isfinite().all()


@pytest.mark.parametrize(
    ("preset", "mel"),
    [(CENTRED, {"n_fft": 1025}), (CENTRED, {"hop_length": 600, "win_length": 1024}), (UNCENTRED, {"hop_length": 255})],
)
def test_transforms_that_its_head_cannot_invert_are_refused(preset: str, mel: dict):
    with pytest.raises(ConfigError, match="vocos has a head of the mel's n_fft"):
        build_config({"preset": preset, "mel": mel, "generator": "none", "vocos": SIZES})


def test_what_is_for_our_generator_alone_says_so():
    with pytest.raises(ConfigError, match="this vocoder is a Vocos"):
        EVAGANGenerator.from_config(config())
    with pytest.raises(ConfigError, match=r"vocoder: vocos needs vocoder_conf\.generator: none"):
        VocosGenerator.from_config(build_config({"preset": "eva_gan_tiny_16k"}))


class Without:
    """A finder that finds no package of this name, as where it is not installed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, name: str, *place: object) -> None:
        if name.partition(".")[0] == self.name:
            raise ModuleNotFoundError(f"No module named '{self.name}'", name=self.name)


def test_a_missing_package_is_one_line_with_the_extra(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name == "vocos" or name.startswith("vocos.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Without("vocos"), *sys.meta_path])
    with pytest.raises(
        EvaganError, match=r"^the package 'vocos' is not installed: pip install 'evagan-plugin\[vocos\]'$"
    ):
        build_generator(config())
