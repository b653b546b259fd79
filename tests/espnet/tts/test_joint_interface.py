"""Joint training: the interface that ESPnet's own unit tests describe for vocoders and discriminators, with ours."""

import pytest
import torch
from espnet2.gan_tts.espnet_model import ESPnetGANTTSModel
from espnet2.gan_tts.hifigan.loss import FeatureMatchLoss, GeneratorAdversarialLoss
from espnet2.gan_tts.joint.joint_text2wav import JointText2Wav
from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank
from tiny_models import (
    FASTSPEECH2,
    FEATURES,
    HOP,
    SPEAKERS,
    TACOTRON2,
    TINY_DISCRIMINATOR,
    TINY_GENERATOR,
    WHOLE,
    awaken,
)

from evagan_plugin.errors import ConfigError
from evagan_plugin.espnet import register
from evagan_plugin.espnet.tts.joint import JointDiscriminator, JointGenerator
from evagan_plugin.espnet.tts.joint_model import EVAGANJointText2Wav

register()

ACOUSTIC = {"idim": 10, "odim": 80, "segment_size": 16, "text2mel_type": "tacotron2"}


def joint(**options) -> JointText2Wav:
    torch.manual_seed(0)
    return JointText2Wav(**{**ACOUSTIC, "text2mel_params": dict(TACOTRON2), **options})


def ours(**options) -> JointText2Wav:
    return joint(
        vocoder_type="eva_gan",
        vocoder_params=TINY_GENERATOR,
        discriminator_type="eva_gan_discriminator",
        discriminator_params=TINY_DISCRIMINATOR,
        **options,
    )


def balanced(vocoder_params=WHOLE, **options) -> EVAGANJointText2Wav:
    torch.manual_seed(0)
    options = {**ACOUSTIC, "text2mel_params": dict(TACOTRON2), **options}
    return EVAGANJointText2Wav(vocoder_params=vocoder_params, **options)


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {
        "text": torch.randint(1, 9, (2, 6)),
        "text_lengths": torch.tensor([6, 5]),
        "feats": torch.randn(2, 20, 80),
        "feats_lengths": torch.tensor([20, 18]),
        "speech": 0.1 * torch.randn(2, 20 * HOP),
        "speech_lengths": torch.tensor([20 * HOP, 18 * HOP]),
    }


@pytest.fixture
def who() -> dict[str, torch.Tensor]:
    return {"sids": torch.tensor([[1], [2]]), "lids": torch.tensor([[0], [1]]), "spembs": torch.ones(2, 5)}


@pytest.fixture
def prosody() -> dict[str, torch.Tensor]:
    """What FastSpeech2 needs beside ``batch``: one more token, the end of the sentence."""
    lengths = torch.tensor([7, 6])
    return {
        "durations": torch.tensor([[3, 3, 3, 3, 3, 3, 2], [3, 3, 3, 3, 3, 3, 0]]),
        "durations_lengths": lengths,
        "pitch": torch.randn(2, 7, 1),
        "pitch_lengths": lengths,
        "energy": torch.randn(2, 7, 1),
        "energy_lengths": lengths,
    }


def without_gradient(module: torch.nn.Module) -> list[str]:
    return [name for name, p in module.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]


def test_generator_has_the_interface_of_espnets_vocoders():
    generator = awaken(JointGenerator(in_channels=80, **TINY_GENERATOR)).eval()
    assert generator.upsample_factor == HOP
    assert generator(torch.randn(2, 80, 5)).shape == (2, 1, 5 * HOP)
    feats = torch.randn(7, 80)
    wav = generator.inference(feats)
    assert wav.shape == (7 * HOP, 1)
    assert torch.equal(wav[:, 0], generator(feats.t()[None])[0, 0])
    assert not torch.allclose(wav, generator.inference(-feats), atol=1e-2)


def test_a_speaker_changes_the_waveform():
    conditioned = {**TINY_GENERATOR, "generator": {**TINY_GENERATOR["generator"], "global_channels": 4}}
    generator = awaken(JointGenerator(in_channels=12, **conditioned)).eval()
    c = torch.randn(2, 12, 5)
    speakers = torch.randn(2, 4, 1)
    assert not torch.allclose(generator(c, g=speakers), generator(c, g=-speakers), atol=1e-3)
    assert generator.inference(c[0].t(), g=speakers[0]).shape == (5 * HOP, 1)


def test_discriminator_fits_espnets_losses():
    discriminator = JointDiscriminator(**TINY_DISCRIMINATOR)
    real, fake = (0.1 * torch.randn(2, 1, 16 * HOP) for _ in range(2))
    scored = discriminator(fake.requires_grad_())
    assert len(scored) == 3  # two periods, one resolution
    assert all(outputs[-1].dim() == 2 for outputs in scored)
    assert FeatureMatchLoss()(scored, scored) == 0
    loss = GeneratorAdversarialLoss()(scored) + FeatureMatchLoss()(scored, discriminator(real))
    loss.backward()
    assert fake.grad.abs().sum() > 0


@pytest.mark.parametrize("build", [ours, balanced])
@pytest.mark.parametrize("acoustic", ["tacotron2", "tacotron2 of speakers and languages", "fastspeech2"])
def test_each_turn_reaches_every_parameter_of_its_side(build, acoustic, batch, who, prosody):
    if acoustic == "fastspeech2":
        model = build(text2mel_type="fastspeech2", text2mel_params=dict(FASTSPEECH2))
        batch |= prosody
    elif "speakers" in acoustic:
        model = build(text2mel_params={**TACOTRON2, **SPEAKERS})
        batch |= who
    else:
        model = build()
    result = model(forward_generator=True, **batch)
    assert result["optim_idx"] == 0
    result["loss"].backward()
    assert without_gradient(model.generator) == []
    model.zero_grad(set_to_none=True)
    result = model(forward_generator=False, **batch)
    assert result["optim_idx"] == 1
    result["loss"].backward()
    assert without_gradient(model.discriminator) == []
    if build is balanced:
        assert all(p.grad is None for p in model.generator.parameters())


def test_what_follows_from_the_preset_is_filled_in():
    model = ours()
    assert model.fs == 16000
    assert model.mel_loss.wav_to_mel.fs == 16000
    assert ours(sampling_rate=8000).fs == 8000
    wide = joint(vocoder_type="eva_gan_generator", vocoder_params={**TINY_GENERATOR, "in_channels": 3})
    assert wide.generator["vocoder"].n_mels == ACOUSTIC["odim"]


def test_hifigan_is_built_as_before():
    params = {"channels": 8, "upsample_scales": [16, 16], "upsample_kernel_sizes": [32, 32]}
    model = joint(vocoder_type="hifigan_generator", vocoder_params=params)
    assert type(model.generator["vocoder"]).__name__ == "HiFiGANGenerator"
    assert model.fs == 22050


def test_inference_has_whole_frames(batch):
    model = ours().eval()
    out = model.inference(torch.randint(1, 9, (6,)), maxlenratio=1.0)
    assert len(out["wav"]) == len(out["feat_gen"]) * HOP
    forced = model.inference(torch.randint(1, 9, (6,)), feats=batch["feats"][0], use_teacher_forcing=True)
    assert len(forced["wav"]) == 20 * HOP


@torch.no_grad()
def test_inference_of_fastspeech2_has_whole_frames(prosody):
    model = ours(text2mel_type="fastspeech2", text2mel_params=dict(FASTSPEECH2)).eval()
    text = torch.randint(1, 9, (6,))
    free = model.inference(text)
    assert len(free["wav"]) == len(free["feat_gen"]) * HOP
    known = {name: prosody[name][0] for name in ("durations", "pitch", "energy")}
    forced = model.inference(text, use_teacher_forcing=True, **known)
    assert len(forced["wav"]) == 20 * HOP


@torch.no_grad()
def test_another_speaker_or_language_is_heard(who):
    model = ours(text2mel_params={**TACOTRON2, **SPEAKERS}).eval()
    awaken(model.generator["vocoder"])
    text, feats = torch.randint(1, 9, (6,)), torch.randn(20, 80)

    def speak(**change: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)  # the prenet of Tacotron2 drops out at inference too
        given = {name: value[0] for name, value in who.items()} | change
        wav = model.inference(text, feats=feats, use_teacher_forcing=True, **given)["wav"]
        assert len(wav) == 20 * HOP
        return wav

    assert torch.equal(speak(), speak())
    for change in ({"sids": torch.tensor([2])}, {"lids": torch.tensor([1])}, {"spembs": -torch.ones(5)}):
        assert not torch.equal(speak(), speak(**change)), change


def test_the_balancer_shares_as_configured_and_can_be_left_out(batch):
    model = balanced()
    stats = model(forward_generator=True, **batch)["stats"]
    shares = {name: float(value) for name, value in stats.items() if name.startswith("balancer/share_")}
    weights = model.gan.weights
    for name, weight in weights.items():
        assert shares[f"balancer/share_{name}"] == pytest.approx(weight / sum(weights.values()), abs=0.001)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert float(stats["loss"]) == pytest.approx(float(stats["text2mel_loss"]) + float(stats["vocoder_loss"]), rel=1e-5)
    plain = balanced({**WHOLE, "balancer": "off"})
    stats = plain(forward_generator=True, **batch)["stats"]
    assert not any(name.startswith("balancer/") for name in stats)


def test_another_hop_is_refused_with_both_numbers():
    extractor = LogMelFbank(**{**FEATURES, "hop_length": 200})
    with pytest.raises(ConfigError, match=r"n_shift 200.*256 samples"):
        ESPnetGANTTSModel(extractor, None, None, None, None, None, ours())


def test_another_rate_is_refused_with_both_numbers():
    extractor = LogMelFbank(**{**FEATURES, "fs": 22050})
    with pytest.raises(ConfigError, match=r"have fs 22050, the model has sampling_rate 16000"):
        ESPnetGANTTSModel(extractor, None, None, None, None, None, ours())
    ESPnetGANTTSModel(extractor, None, None, None, None, None, ours(sampling_rate=22050))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocoder_type": "eva_gan", "vocoder_params": {"preset": "eva_gan_tiny_16"}}, "eva_gan_tiny_16k"),
        (
            {"vocoder_type": "eva_gan", "vocoder_params": {"balancer": "off"}},
            "vocoder_params: unknown field 'balancer'",
        ),
        ({"vocoder_type": "eva_gan", "vocoder_params": {"generator": {"chanels": 8}}}, "did you mean 'channels'"),
        (
            {
                "vocoder_type": "eva_gan",
                "vocoder_params": TINY_GENERATOR,
                "discriminator_type": "eva_gan_discriminator",
                "discriminator_params": {"mpd": {"period": [2]}},
            },
            "discriminator_params: .*did you mean 'periods'",
        ),
    ],
)
def test_a_wrong_config_names_the_field(options, message):
    with pytest.raises(ConfigError, match=message):
        joint(**options)


def test_options_without_effect_are_refused():
    with pytest.raises(ConfigError, match="use_pqmf has no effect"):
        balanced(use_pqmf=True)
    with pytest.raises(ConfigError, match="use_pqmf is for vocoders of several bands"):
        ours(use_pqmf=True)
