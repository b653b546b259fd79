"""Joint training: the interface that ESPnet's own unit tests describe for vocoders and discriminators, with ours."""

import os
import subprocess
import sys

import pytest
import torch
from espnet2.bin.tts_inference import Text2Speech
from espnet2.gan_tts.espnet_model import ESPnetGANTTSModel
from espnet2.gan_tts.hifigan.loss import FeatureMatchLoss, GeneratorAdversarialLoss
from espnet2.gan_tts.joint.joint_text2wav import JointText2Wav
from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank
from tiny_models import FEATURES, TACOTRON2, TINY_DISCRIMINATOR, TINY_GENERATOR, awaken

from evagan_plugin.errors import ConfigError, UsageError
from evagan_plugin.espnet import register
from evagan_plugin.espnet.balanced import EVAGANJointText2Wav
from evagan_plugin.espnet.joint import JointDiscriminator, JointGenerator

register()

HOP = 256
ACOUSTIC = {"idim": 10, "odim": 80, "segment_size": 16, "text2mel_type": "tacotron2"}
FASTSPEECH2 = {
    "adim": 8,
    "aheads": 2,
    "elayers": 1,
    "eunits": 8,
    "dlayers": 1,
    "dunits": 8,
    "postnet_layers": 1,
    "postnet_chans": 8,
    "duration_predictor_layers": 1,
    "duration_predictor_chans": 8,
    "energy_predictor_layers": 1,
    "energy_predictor_chans": 8,
    "pitch_predictor_layers": 1,
    "pitch_predictor_chans": 8,
}
SPEAKERS = {"spks": 4, "langs": 3, "spk_embed_dim": 5}
WHOLE = {**TINY_GENERATOR, "discriminators": TINY_DISCRIMINATOR, "training": {"segment_frames": 16}}


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
    judged = discriminator(fake.requires_grad_())
    assert len(judged) == 3  # two periods, one resolution
    assert all(outputs[-1].dim() == 2 for outputs in judged)
    assert FeatureMatchLoss()(judged, judged) == 0
    loss = GeneratorAdversarialLoss()(judged) + FeatureMatchLoss()(judged, discriminator(real))
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
    assert shares["balancer/share_mel"] == pytest.approx(0.5, abs=0.01)
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


def run(module: str, line: list[str], autoload: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", module, *line],
        env={**os.environ, "EVAGAN_PLUGIN_AUTOLOAD": autoload, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "autoload"),
    [
        ("espnet2.bin.gan_tts_train", "1"),
        pytest.param("evagan_plugin.espnet.bin.gan_tts_train", "0", marks=pytest.mark.slow),
    ],
)
def test_espnets_command_trains_and_what_it_made_speaks(module, autoload, joint_config, speaking_command, tmp_path):
    exp = tmp_path / "exp"
    name = "eva_gan" if autoload == "1" else "eva_gan_generator"
    config = {**joint_config, "tts_conf": {**joint_config["tts_conf"], "vocoder_type": name}}
    done = run(module, speaking_command(exp, config), autoload)
    assert done.returncode == 0, done.stderr[-2000:]
    speaker = Text2Speech(exp / "config.yaml", exp / "1epoch.pth", maxlenratio=1.0)
    out = speaker("YES NO")
    assert speaker.fs == 16000
    assert len(out["wav"]) == len(out["feat_gen"]) * HOP
    assert torch.isfinite(out["wav"]).all()
    with pytest.raises(UsageError, match="a text has no token that the acoustic model knows"):
        speaker("\u03c9")
    vocoder, seen = speaker.tts.generator["vocoder"], []
    assert not any("parametrizations" in name for name in vocoder.state_dict())
    vocoder.register_forward_hook(lambda *_: seen.append(torch.is_inference_mode_enabled()))
    wav = speaker("YES")["wav"]
    assert seen == [True]
    wav *= 0.5  # which PyTorch refuses for what inference_mode has made


def test_without_hook_and_wrapper_espnets_command_fails_with_the_reason(joint_config, speaking_command, tmp_path):
    done = run("espnet2.bin.gan_tts_train", speaking_command(tmp_path / "exp", joint_config), "0")
    assert done.returncode == 1
    *_, error, reminder = done.stderr.strip().splitlines()
    assert error == "KeyError: 'eva_gan'"
    assert reminder.startswith("EVAGAN_PLUGIN_AUTOLOAD=0: espnet2 does not know EVA-GAN; unset it, or call ")
    assert not list(tmp_path.rglob("*.pth"))


SPAWN = """
import argparse, importlib, multiprocessing, sys

program = importlib.import_module(sys.argv.pop(1))
sys.modules["__main__"].__spec__ = program.__spec__  # as `python -m` leaves it for the workers to import
if __name__ == "__main__":
    from espnet2.tasks.gan_tts import GANTTSTask
    from espnet2.train.distributed_utils import free_port

    args = GANTTSTask.get_parser().parse_args()
    address = {"dist_master_addr": "localhost", "dist_master_port": free_port(), "dist_world_size": 2}
    workers = []
    for rank in range(2):
        options = {**vars(args), **address, "distributed": True, "dist_rank": rank, "local_rank": rank}
        options = argparse.Namespace(**options, version="")
        workers.append(multiprocessing.get_context("spawn").Process(target=GANTTSTask.main_worker, args=(options,)))
        workers[-1].start()
    for worker in workers:
        worker.join()
    sys.exit(max(worker.exitcode for worker in workers))
"""
"""What ``--multiprocessing_distributed true`` does with one process a GPU, here on CPUs."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "autoload", "status"),
    [
        ("espnet2.bin.gan_tts_train", "1", 0),
        ("evagan_plugin.espnet.bin.gan_tts_train", "0", 0),
        ("espnet2.bin.gan_tts_train", "0", 1),
    ],
)
def test_spawned_workers_know_the_classes(module, autoload, status, joint_config, speaking_command, tmp_path):
    config = {**joint_config, "dist_backend": "gloo", "unused_parameters": True, "batch_size": 4}
    line = speaking_command(tmp_path / "exp", config)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SPAWN, module, *line],
        env={**os.environ, "EVAGAN_PLUGIN_AUTOLOAD": autoload, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == status, done.stderr[-3000:]
    assert (tmp_path / "exp" / "1epoch.pth").exists() == (status == 0)


@pytest.mark.slow
def test_espnets_command_trains_and_resumes_with_the_balancer(joint_config, speaking_command, tmp_path):
    conf = {**joint_config["tts_conf"], "vocoder_params": WHOLE}
    for name in ("vocoder_type", "discriminator_type", "discriminator_params"):
        del conf[name]
    line = speaking_command(tmp_path / "exp", {"tts": "eva_gan_joint", "tts_conf": conf})
    assert run("espnet2.bin.gan_tts_train", line, "1").returncode == 0
    done = run("espnet2.bin.gan_tts_train", [*line, "--max_epoch", "2", "--resume", "true"], "1")
    assert done.returncode == 0, done.stderr[-2000:]
    state = torch.load(tmp_path / "exp" / "checkpoint.pth", weights_only=True)["model"]
    assert state["tts.gan.balancer.step"] == 4


@pytest.mark.slow
def test_a_wrong_config_ends_espnets_command_in_one_line(joint_config, speaking_command, tmp_path):
    conf = {**joint_config["tts_conf"], "vocoder_params": {"preset": "eva_gan_base_44k"}}
    done = run("espnet2.bin.gan_tts_train", speaking_command(tmp_path / "exp", {**joint_config, "tts_conf": conf}), "1")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "n_shift 256, the generator makes 512" in done.stderr.strip().splitlines()[-1]
