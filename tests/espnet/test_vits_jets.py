"""VITS and JETS with an EVA-GAN decoder: gradients, conditions, inference, and units of training by ESPnet's task."""

import pytest
import torch
from espnet2.bin.tts_inference import Text2Speech
from espnet2.tasks.gan_tts import GANTTSTask
from espnet2.torch_utils.safe_torch_load import safe_torch_load
from tiny_models import FEATURES, TINY_DISCRIMINATOR, TINY_GENERATOR, awaken

from evagan_plugin.errors import ConfigError
from evagan_plugin.espnet import register
from evagan_plugin.espnet.end_to_end import EVAGANJETS, EVAGANVITS
from evagan_plugin.espnet.joint import JointGenerator

register()

HOP = 256
VITS_PARAMS = {
    "hidden_channels": 8,
    "segment_size": 16,
    "text_encoder_blocks": 1,
    "posterior_encoder_layers": 1,
    "flow_flows": 1,
    "flow_layers": 1,
    "stochastic_duration_predictor_flows": 1,
}
JETS_PARAMS = {
    "adim": 8,
    "elayers": 1,
    "eunits": 8,
    "dlayers": 1,
    "dunits": 8,
    "duration_predictor_chans": 8,
    "pitch_predictor_layers": 1,
    "pitch_predictor_chans": 8,
    "energy_predictor_chans": 8,
    "segment_size": 16,
}
SPEAKERS = {"spks": 4, "langs": 3, "spk_embed_dim": 5, "global_channels": 6}
WHO = {"sids": torch.tensor([[1], [2]]), "lids": torch.tensor([[0], [1]]), "spembs": torch.randn(2, 5)}


def vits(odim: int = 513, **params) -> EVAGANVITS:
    torch.manual_seed(0)
    return EVAGANVITS(10, odim, TINY_GENERATOR, {**VITS_PARAMS, **params}, discriminator_params=TINY_DISCRIMINATOR)


def jets(**params) -> EVAGANJETS:
    torch.manual_seed(0)
    return EVAGANJETS(10, 80, TINY_GENERATOR, {**JETS_PARAMS, **params}, discriminator_params=TINY_DISCRIMINATOR)


def batch(odim: int, **more: torch.Tensor) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    lengths = torch.tensor([20, 18])
    return {
        "text": torch.randint(1, 9, (2, 6)),
        "text_lengths": torch.tensor([6, 5]),
        "feats": torch.randn(2, 20, odim),
        "feats_lengths": lengths,
        "speech": 0.1 * torch.randn(2, 20 * HOP),
        "speech_lengths": lengths * HOP,
        **more,
    }


def jets_batch(**more: torch.Tensor) -> dict[str, torch.Tensor]:
    lengths = torch.tensor([20, 18])
    curves = {name: torch.randn(2, 20, 1) for name in ("pitch", "energy")}
    return batch(80, **curves, pitch_lengths=lengths, energy_lengths=lengths, **more)


CASES = {
    "vits": (lambda: vits(), lambda: batch(513)),
    "vits, speakers and languages": (lambda: vits(**SPEAKERS), lambda: batch(513, **WHO)),
    "jets": (lambda: jets(), lambda: jets_batch()),
    "jets, speakers": (
        lambda: jets(spks=4, spk_embed_dim=5),
        lambda: jets_batch(sids=WHO["sids"], spembs=WHO["spembs"]),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_turn_reaches_every_parameter_of_its_side(case):
    build, items = CASES[case]
    model, items = build(), items()
    for side, forward_generator in ((model.generator, True), (model.discriminator, False)):
        model.zero_grad(set_to_none=True)
        model(forward_generator=forward_generator, **items)["loss"].backward()
        missing = [name for name, p in side.named_parameters() if p.grad is None]
        assert missing == []


def test_the_decoder_is_ours_and_takes_the_condition():
    model = vits(**SPEAKERS).eval()
    assert isinstance(model.generator.decoder, JointGenerator)
    assert model.generator.decoder.config.global_channels == SPEAKERS["global_channels"]
    assert model.generator.upsample_factor == HOP
    assert model.fs == 16000
    assert isinstance(jets().generator.generator, JointGenerator)
    assert not any(name.startswith("generator.decoder.input_conv") for name in model.state_dict())


@torch.no_grad()
def test_vits_speaks_differently_for_another_speaker():
    model = vits(**SPEAKERS).eval()
    awaken(model.generator.decoder)
    text, feats = torch.randint(1, 9, (6,)), torch.randn(12, 513)
    wavs = []
    for speaker in (1, 2):
        torch.manual_seed(0)
        who = {"sids": torch.tensor([speaker]), "lids": torch.tensor([0]), "spembs": torch.ones(5)}
        wavs.append(model.inference(text, feats=feats, use_teacher_forcing=True, **who)["wav"])
        assert wavs[-1].shape == (12 * HOP,)
        assert len(model.inference(text, **who)["wav"]) % HOP == 0
    assert not torch.allclose(*wavs, atol=1e-2)


@torch.no_grad()
def test_jets_speaks_with_and_without_teacher_forcing():
    model = jets().eval()
    text = torch.randint(1, 9, (6,))
    assert len(model.inference(text)["wav"]) % HOP == 0
    forced = model.inference(
        text, feats=torch.randn(12, 80), pitch=torch.randn(12, 1), energy=torch.randn(12, 1), use_teacher_forcing=True
    )
    assert forced["wav"].shape == (12 * HOP,)


@pytest.mark.parametrize(
    ("build", "option"), [(vits, "decoder_channels"), (jets, "generator_upsample_scales")], ids=["vits", "jets"]
)
def test_options_of_the_hifigan_that_is_gone_are_refused(build, option):
    with pytest.raises(ConfigError, match=f"{option} is of ESPnet's HiFi-GAN"):
        build(**{option: 8})


MODELS = {
    "eva_gan_vits": {
        "tts_conf": {"vocoder_params": TINY_GENERATOR, "generator_params": VITS_PARAMS},
        "feats_extract": "linear_spectrogram",
        "feats_extract_conf": {"n_fft": 1024, "hop_length": HOP},
    },
    "eva_gan_jets": {
        "tts_conf": {"vocoder_params": TINY_GENERATOR, "generator_params": JETS_PARAMS},
        "feats_extract_conf": FEATURES,
        "pitch_extract": "dio",
        "pitch_extract_conf": {"fs": 16000, "n_fft": 1024, "hop_length": HOP, "use_token_averaged_f0": False},
        "energy_extract": "energy",
        "energy_extract_conf": {
            "fs": 16000,
            "n_fft": 1024,
            "hop_length": HOP,
            "win_length": 1024,
            "use_token_averaged_energy": False,
        },
        "pitch_normalize": None,
        "energy_normalize": None,
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_espnets_task_trains_resumes_and_speaks(name, speaking_command, tmp_path):
    config = MODELS[name]
    config["tts_conf"]["discriminator_params"] = TINY_DISCRIMINATOR
    exp = tmp_path / "exp"
    GANTTSTask.main(cmd=speaking_command(exp, {**config, "tts": name, "generator_first": True}))
    first = safe_torch_load(exp / "1epoch.pth", map_location="cpu")
    GANTTSTask.main(cmd=[*speaking_command(exp, {**config, "tts": name}), "--max_epoch", "2", "--resume", "true"])
    second = safe_torch_load(exp / "2epoch.pth", map_location="cpu")
    ours = [key for key in first if ".upsampler." in key]
    assert ours
    assert any(not torch.equal(first[key], second[key]) for key in ours)

    speaker = Text2Speech(exp / "config.yaml", exp / "2epoch.pth")
    assert not any("parametrizations" in key for key in speaker.model.state_dict() if ".upsampler." in key)
    wav = speaker("YES NO")["wav"]
    assert wav.dim() == 1
    assert len(wav) % HOP == 0
    assert torch.isfinite(wav).all()
    with pytest.raises(ConfigError, match="another configuration"):
        torch.save({k: v for k, v in second.items() if k != ours[0]}, exp / "broken.pth")
        Text2Speech(exp / "config.yaml", exp / "broken.pth")
