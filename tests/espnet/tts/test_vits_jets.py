"""VITS and JETS with an EVA-GAN decoder: gradients, conditions, inference, and units of training by ESPnet's task."""

import numpy as np
import pytest
import soundfile
import torch
from espnet2.bin.tts_inference import Text2Speech
from espnet2.tasks.gan_tts import GANTTSTask
from espnet2.torch_utils.safe_torch_load import safe_torch_load
from host_commands import run
from tiny_models import FEATURES, HOP, LAYERS, PITCH_AND_ENERGY, SPEAKERS, TINY_DISCRIMINATOR, TINY_GENERATOR, awaken

from evagan_plugin.errors import ConfigError
from evagan_plugin.espnet import register
from evagan_plugin.espnet.tts.joint import JointGenerator
from evagan_plugin.espnet.tts.vits_jets import EVAGANJETS, EVAGANVITS

register()

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
    **LAYERS,
    **PITCH_AND_ENERGY,
    "duration_predictor_chans": 8,
    "segment_size": 16,
}
VITS_SPEAKERS = {**SPEAKERS, "global_channels": 6}
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
    "vits, speakers": (lambda: vits(spks=4, global_channels=6), lambda: batch(513, sids=WHO["sids"])),
    "vits, languages": (lambda: vits(langs=3, global_channels=6), lambda: batch(513, lids=WHO["lids"])),
    "vits, embeddings": (lambda: vits(spk_embed_dim=5, global_channels=6), lambda: batch(513, spembs=WHO["spembs"])),
    "vits, speakers and languages": (lambda: vits(**VITS_SPEAKERS), lambda: batch(513, **WHO)),
    "jets": (lambda: jets(), lambda: jets_batch()),
    "jets, speakers": (
        lambda: jets(spks=4, spk_embed_dim=5),
        lambda: jets_batch(sids=WHO["sids"], spembs=WHO["spembs"]),
    ),
    "jets, languages": (lambda: jets(langs=3), lambda: jets_batch(lids=WHO["lids"])),
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


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_inference_has_whole_frames_with_and_without_teacher_forcing(case):
    build, items = CASES[case]
    model = build().eval()
    one = {name: value[0] for name, value in items().items() if not name.endswith("_lengths") and name != "speech"}
    forced = model.inference(**one, use_teacher_forcing=True)["wav"]
    assert forced.shape == (20 * HOP,)
    assert torch.isfinite(forced).all()
    free = model.inference(**{name: one[name] for name in one.keys() & {"text", *WHO}})["wav"]
    assert free.dim() == 1
    assert len(free) % HOP == 0


def test_the_decoder_is_ours_and_takes_the_condition():
    model = vits(**VITS_SPEAKERS).eval()
    assert isinstance(model.generator.decoder, JointGenerator)
    assert model.generator.decoder.config.global_channels == VITS_SPEAKERS["global_channels"]
    assert model.generator.upsample_factor == HOP
    assert model.fs == 16000
    assert isinstance(jets().generator.generator, JointGenerator)
    assert not any(name.startswith("generator.decoder.input_conv") for name in model.state_dict())


@torch.no_grad()
def test_vits_speaks_differently_for_another_speaker():
    model = vits(**VITS_SPEAKERS).eval()
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


VITS_SETTINGS = {
    "tts_conf": {"vocoder_params": TINY_GENERATOR, "generator_params": VITS_PARAMS},
    "feats_extract": "linear_spectrogram",
    "feats_extract_conf": {"n_fft": 1024, "hop_length": HOP},
}
CONDITIONED = {**VITS_PARAMS, "spks": 12, "langs": 2, "spk_embed_dim": 12, "global_channels": 6}
MODELS = {
    "eva_gan_vits": VITS_SETTINGS,
    "eva_gan_vits of speakers": {
        **VITS_SETTINGS,
        "tts_conf": {"vocoder_params": TINY_GENERATOR, "generator_params": CONDITIONED},
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


def settings(name: str) -> dict:
    """Config of a model; the discriminators are as small as they get."""
    config = {"generator_first": True, "tts": name.partition(" ")[0], **MODELS[name]}
    return {**config, "tts_conf": {**config["tts_conf"], "discriminator_params": TINY_DISCRIMINATOR}}


@pytest.fixture(scope="module")
def voices(spoken) -> dict[str, list[str]]:
    """Data beside text and speech, as options of ESPnet: each speaker's number, language and embedding."""
    names = {line.split("-")[1] for split in ("train", "valid") for line in (spoken / split / "text").open()}
    numbers = {name: number for number, name in enumerate(sorted(names))}
    options: dict[str, list[str]] = {}
    for split in ("train", "valid"):
        folder = spoken / split
        utterances = [line.split()[0] for line in (folder / "text").open()]
        speakers = [numbers[utterance.split("-")[1]] for utterance in utterances]
        for number in speakers:
            np.save(folder / f"speaker{number}.npy", np.eye(12, dtype=np.float32)[number])
        tables = {
            "utt2sid,sids,text_int": speakers,
            "utt2lid,lids,text_int": [number % 2 for number in speakers],
            "spembs.scp,spembs,npy": [f"{folder}/speaker{number}.npy" for number in speakers],
        }
        options[split] = []
        for table, values in tables.items():
            lines = [f"{utterance} {value}\n" for utterance, value in zip(utterances, values, strict=True)]
            (folder / table.partition(",")[0]).write_text("".join(lines))
            options[split].append(f"{folder}/{table}")
    return options


def training(command: list[str], name: str, voices: dict[str, list[str]]) -> list[str]:
    """Add the data of the speakers to a command line where the model wants it."""
    if "speakers" not in name:
        return command
    more = [(f"--{split}_data_path_and_name_and_type", one) for split in voices for one in voices[split]]
    return [*command, *(word for pair in more for word in pair)]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "eva_gan_vits" else ()) for name in MODELS]
)
def test_espnets_task_trains_resumes_and_speaks(name, speaking_command, voices, tmp_path):
    exp = tmp_path / "exp"
    line = training(speaking_command(exp, settings(name)), name, voices)
    GANTTSTask.main(cmd=line)
    first = safe_torch_load(exp / "1epoch.pth", map_location="cpu")
    GANTTSTask.main(cmd=[*line, "--max_epoch", "2", "--resume", "true"])
    second = safe_torch_load(exp / "2epoch.pth", map_location="cpu")
    ours = [key for key in first if ".upsampler." in key]
    assert ours
    assert any(not torch.equal(first[key], second[key]) for key in ours)

    speaker = Text2Speech(exp / "config.yaml", exp / "2epoch.pth")
    assert not any("parametrizations" in key for key in speaker.model.state_dict() if ".upsampler." in key)
    who = {"sids": np.array([1]), "lids": np.array([1]), "spembs": np.eye(12, dtype=np.float32)[1]}
    wav = speaker("YES NO", **(who if "speakers" in name else {}))["wav"]
    assert wav.dim() == 1
    assert len(wav) % HOP == 0
    assert torch.isfinite(wav).all()
    wav *= 0.5  # which PyTorch refuses for what inference_mode has made
    with pytest.raises(ConfigError, match="another configuration"):
        torch.save({k: v for k, v in second.items() if k != ours[0]}, exp / "broken.pth")
        Text2Speech(exp / "config.yaml", exp / "broken.pth")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_espnets_commands_train_resume_and_speak(name, speaking_command, voices, spoken, tmp_path):
    exp, out = tmp_path / "exp", tmp_path / "out"
    line = training(speaking_command(exp, settings(name)), name, voices)
    line = ["-m", "espnet2.bin.gan_tts_train", *line]
    for more in ([], ["--max_epoch", 2, "--resume", "true"]):
        done = run(*line, *more)
        assert done.returncode == 0, done.stderr[-3000:]
    line = ["--train_config", f"{exp}/config.yaml", "--model_file", f"{exp}/2epoch.pth", "--num_workers", "0"]
    for data in [f"{spoken / 'valid'}/text,text,text", *(voices["valid"] if "speakers" in name else [])]:
        line += ["--data_path_and_name_and_type", data]
    done = run("-m", "espnet2.bin.tts_inference", *line, "--output_dir", out)
    assert done.returncode == 0, done.stderr[-3000:]
    wavs = sorted((out / "wav").glob("*.wav"))
    assert len(wavs) == 2
    for path in wavs:
        info = soundfile.info(path)
        assert info.samplerate == 16000
        assert info.frames % HOP == 0
