"""``evagan convert``: what it writes, what starts from it, and what it refuses."""

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from published import STYLES, EspnetHiFiGAN, Firefly, HiFiGAN, loud
from test_parity import FIREFLY, FIREFLY_CONFIG, PARAMS, PWG, V3, coqui_config, write_pwg

from evagan_plugin.checkpoint.convert import open_checkpoint
from evagan_plugin.checkpoint.files import load_config_of
from evagan_plugin.checkpoint.native import load_checkpoint
from evagan_plugin.config import DiscriminatorsConfig, PeriodConfig, build_config, config_to_dict, load_preset
from evagan_plugin.errors import ConfigError
from evagan_plugin.inference.eva_gan import EVAGANVocoder
from evagan_plugin.training.gan import GANVocoder

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*pickle protocol.*:UserWarning"),
]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def convert(evagan: Run) -> Run:
    """Return ``evagan convert`` as a function that gives exit status, standard output and standard error."""
    return lambda *arguments: evagan("convert", *arguments)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Official HiFi-GAN of the kind of V3, with its config.json."""
    torch.manual_seed(0)
    model = loud(HiFiGAN(V3, STYLES["weight_g"]))
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "config.json").write_text(json.dumps(V3))
    torch.save({"generator": model.state_dict()}, tmp_path / "source" / "generator_v3")
    return tmp_path / "source" / "generator_v3"


def test_it_says_what_came_out_and_that_discriminators_start_fresh(convert: Run, published: Path, tmp_path: Path):
    status, output, errors = convert(published, tmp_path / "out")
    assert (status, errors) == (0, "")
    for part in ("22050 Hz", "80 mels", "hop 256", "training from it starts the discriminators fresh"):
        assert part in output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"model.safetensors", "config.yaml"}
    assert EVAGANVocoder.load(tmp_path / "out").synthesize(torch.randn(80, 5)).shape == (5 * 256,)


def test_the_command_line_speaks_with_it(evagan: Run, convert: Run, published: Path, tmp_path: Path):
    convert(published, tmp_path / "ours")
    wav = 0.1 * np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    soundfile.write(tmp_path / "copy.wav", wav, 22050, subtype="FLOAT")
    np.save(tmp_path / "mel.npy", np.random.default_rng(1).standard_normal((80, 5)).astype(np.float32))
    vocoder = EVAGANVocoder.load(tmp_path / "ours")
    wanted = {"copy": vocoder.resynthesize(wav, 22050), "mel": vocoder.synthesize(np.load(tmp_path / "mel.npy"))}
    for name, source in {"copy": "copy.wav", "mel": "mel.npy"}.items():
        status, _, errors = evagan("synth", tmp_path / "ours", tmp_path / source, tmp_path / "out")
        assert status == 0, errors
        spoken, sample_rate = soundfile.read(tmp_path / "out" / f"{name}.wav", dtype="float32")
        assert sample_rate == 22050 and spoken.shape == wanted[name].shape
        assert np.abs(spoken - wanted[name].numpy()).max() < 1e-3


def test_a_published_checkpoint_speaks_without_being_converted(convert: Run, published: Path, tmp_path: Path):
    convert(published, tmp_path / "ours")
    mel = torch.randn(80, 5)
    wanted = EVAGANVocoder.load(tmp_path / "ours").synthesize(mel)
    assert torch.allclose(EVAGANVocoder.load(published).synthesize(mel), wanted, atol=1e-6)
    assert load_config_of(published) == load_config_of(tmp_path / "ours")


def test_for_espnet_it_writes_what_init_param_and_config_take(convert: Run, published: Path, tmp_path: Path):
    convert(published, tmp_path / "ours")
    status, _, errors = convert(tmp_path / "ours", tmp_path / "espnet", "--to", "espnet")
    assert (status, errors) == (0, "")
    settings = yaml.safe_load((tmp_path / "espnet" / "config.yaml").read_text())
    assert settings["vocoder"] == "eva_gan"
    state = torch.load(tmp_path / "espnet" / "model.pth", weights_only=True)
    gan = GANVocoder(build_config(settings["vocoder_conf"]))
    inner = {name.removeprefix("gan.generator."): value for name, value in state.items()}
    assert gan.generator.load_state_dict(inner)
    mel = torch.randn(1, 80, 5)
    with torch.no_grad():
        assert torch.allclose(gan.generator(mel), load_checkpoint(tmp_path / "ours")[1](mel), atol=1e-6)
    assert EVAGANVocoder.load(tmp_path / "espnet" / "model.pth").sample_rate == 22050


def test_for_coqui_it_writes_what_its_programs_take(convert: Run, tmp_path: Path):
    pytest.importorskip("TTS")
    (tmp_path / "config.json").write_text(json.dumps(coqui_config()))
    torch.save({"model": loud(HiFiGAN(V3, STYLES["folded"])).state_dict()}, tmp_path / "model.pth")
    status, _, errors = convert(tmp_path / "model.pth", tmp_path / "coqui", "--to", "coqui")
    assert (status, errors) == (0, "")
    mel = torch.randn(80, 5)
    again = EVAGANVocoder.load(tmp_path / "coqui" / "best_model.pth").synthesize(mel)
    assert torch.allclose(again, EVAGANVocoder(*open_checkpoint(tmp_path / "model.pth")).synthesize(mel), atol=1e-5)


def test_a_converted_generator_trains(convert: Run, published: Path, tmp_path: Path):
    convert(published, tmp_path / "ours")
    config, generator = load_checkpoint(tmp_path / "ours")
    config = replace(config, discriminators=DiscriminatorsConfig(mpd=PeriodConfig((2,), 4, 8), mrd=None))
    gan = GANVocoder(config, generator).train()
    gan.generator_step(0.1 * torch.randn(1, 1, 8 * 256)).loss.backward()
    gradients = [tensor.grad for tensor in generator.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert sum(float(gradient.abs().sum()) for gradient in gradients) > 0


def test_tensors_that_do_not_fit_are_listed_and_nothing_is_written(convert: Run, published: Path, tmp_path: Path):
    state = torch.load(published, weights_only=True)["generator"]
    del state["ups.1.bias"]
    state["conv_post.bias"] = torch.zeros(2)
    state["ups.7.bias"] = torch.zeros(3)
    torch.save({"generator": state}, published)
    status, _, errors = convert(published, tmp_path / "out")
    assert status == 1
    assert errors.count("\n") == 1
    for part in ("ups.1.bias is missing", "ups.7.bias is unexpected", "conv_post.bias is (2,), not (1,)"):
        assert part in errors
    assert not (tmp_path / "out").exists()


def test_errors_have_the_names_that_are_in_the_file(convert: Run, tmp_path: Path):
    """With the prefix of the training that wrote it, and of two modules that are one of ours the one of the file."""
    state = {
        f"generator.{name}": value for name, value in Firefly(**FIREFLY, wrap=STYLES["folded"]).state_dict().items()
    }
    state["generator.backbone.surprise"] = torch.zeros(1)
    state["generator.head.conv_post.bias"] = torch.zeros(2)
    (layer,) = (name.removesuffix(".bias") for name in state if name.endswith("_layers.1.1.bias"))
    del state[f"{layer}.bias"], state[f"{layer}.weight"]
    torch.save({"state_dict": state}, tmp_path / "model.ckpt")
    (tmp_path / "ours.yaml").write_text(yaml.safe_dump(FIREFLY_CONFIG))
    status, _, errors = convert(tmp_path / "model.ckpt", tmp_path / "out", "--config", tmp_path / "ours.yaml")
    assert status == 1
    for part in (
        f"{layer}.bias is missing",
        "generator.backbone.surprise is unexpected",
        "generator.head.conv_post.bias is (2,), not (1,)",
    ):
        assert part in errors


def test_half_of_a_weight_norm_is_not_loaded(convert: Run, published: Path, tmp_path: Path):
    state = torch.load(published, weights_only=True)["generator"]
    for change in (
        {"conv_post.weight_g": torch.ones(5, 1, 1)},
        {"conv_post.weight_g": torch.full((1, 1, 1), torch.nan)},
    ):
        torch.save({"generator": state | change}, published)
        status, _, errors = convert(published, tmp_path / "out")
        assert status == 1 and "conv_post.weight" in errors and errors.count("\n") == 1
        assert not (tmp_path / "out").exists()


class Code:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", ["torch", "pickle"])
def test_code_in_a_pickle_is_refused(convert: Run, published: Path, tmp_path: Path, protocol: str):
    content = {"generator": {"conv_pre.bias": torch.zeros(1)}, "extra": Code(tmp_path / "ran")}
    if protocol == "torch":
        torch.save(content, published)
    else:
        published.write_bytes(pickle.dumps(content))
    status, _, errors = convert(published, tmp_path / "out")
    assert status == 1
    assert errors.startswith(f"evagan: error: cannot load {published}: ")
    assert errors.count("\n") == 1
    assert not (tmp_path / "ran").exists() and not (tmp_path / "out").exists()


def test_a_truncated_file_is_told(convert: Run, published: Path, tmp_path: Path):
    published.write_bytes(published.read_bytes()[:5000])
    status, _, errors = convert(published, tmp_path / "out")
    assert (status, errors) == (1, f"evagan: error: cannot load {published}: damaged or truncated\n")


def test_unknown_names_come_with_the_nearest(convert: Run, published: Path, tmp_path: Path):
    status, _, errors = convert(published, tmp_path / "out", "--format", "firefli")
    assert status == 2 and "did you mean 'firefly'?" in errors
    status, _, errors = convert(published, tmp_path / "out", "--to", "espnett")
    assert status == 2 and "'espnet'" in errors
    status, _, errors = convert(tmp_path / "none", tmp_path / "out")
    assert status == 2 and errors == f"evagan: error: there is no checkpoint {tmp_path}/none\n"


def test_weights_without_a_known_generator_are_refused(convert: Run, published: Path, tmp_path: Path):
    torch.save({"encoder.bias": torch.zeros(3)}, published)
    status, _, errors = convert(published, tmp_path / "out")
    assert status == 1 and "no generator that is known" in errors and "its tensors are encoder.bias" in errors
    torch.save({"mpd": {"convs.0.bias": torch.zeros(3)}, "steps": 3}, published)
    status, _, errors = convert(published, tmp_path / "out")
    assert status == 1 and "holds no weights by name: its entries are mpd, steps" in errors


def test_a_missing_config_is_told(convert: Run, published: Path, tmp_path: Path):
    (published.parent / "config.json").unlink()
    status, _, errors = convert(published, tmp_path / "out")
    assert status == 2 and "give the hifigan config" in errors


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"upsample_rates": None}, "config.upsample_rates"),
        ({"resblock": "3"}, "generator.resblock"),
        ({"upsample_rates": 8}, "generator.upsample_rates"),
        ({"resblock": "one"}, None),
        ({"generator_model_params": 3}, None),
        ({"upsample_kernel_sizes": [16, 17, 8]}, None),
        ({"hop_size": 200}, "generator.upsample_rates"),
    ],
)
def test_a_config_that_cannot_be_converted_names_the_field(published: Path, change: dict, field: str | None):
    (published.parent / "config.json").write_text(json.dumps(V3 | change))
    with pytest.raises(ConfigError, match=f"^{published.parent}/config.json: ") as caught:
        open_checkpoint(published)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resblock": "one"}, "it is no hifigan config"),
        ({"generator_model_params": 3}, "it is no coqui config"),
        ({"upsample_kernel_sizes": [16, 17, 8]}, "differ by an odd number"),
        ({"hop_size": 200}, "is not mel.hop_length 200"),
    ],
)
def test_a_config_that_cannot_be_converted_is_one_line(
    convert: Run, published: Path, tmp_path: Path, change: dict, message: str
):
    (published.parent / "config.json").write_text(json.dumps(V3 | change))
    status, _, errors = convert(published, tmp_path / "out")
    assert status == 2
    assert f"{published.parent}/config.json: " in errors and message in errors and errors.count("\n") == 1


@pytest.mark.parametrize(
    "audio", [{"stats_path": "s.npy", "signal_norm": True}, {"log_func": "np.log2"}, {"do_amp_to_db_mel": False}]
)
def test_a_mel_of_coqui_that_has_no_equal_here_is_refused(published: Path, audio: dict[str, object]):
    (published.parent / "config.json").write_text(json.dumps(coqui_config(**audio)))
    with pytest.raises(ConfigError) as caught:
        open_checkpoint(published)
    assert caught.value.field == f"audio.{next(iter(audio))}"


def test_parallel_wavegan_without_statistics_is_refused(convert: Run, tmp_path: Path):
    source, *_ = write_pwg(tmp_path, EspnetHiFiGAN(PARAMS, STYLES["folded"]))
    status, _, errors = convert(source, tmp_path / "out")
    assert status == 2 and "has no stats.h5 or stats.npy" in errors


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"generator_type": "MelGANGenerator"}, "config.generator_type"),
        ({"generator_params": PARAMS | {"use_causal_conv": True}}, "generator_params.use_causal_conv"),
    ],
)
def test_other_generators_of_parallel_wavegan_are_refused(tmp_path: Path, change: dict, field: str):
    source, *_ = write_pwg(tmp_path, EspnetHiFiGAN(PARAMS, STYLES["folded"]), PWG | change)
    with pytest.raises(ConfigError) as caught:
        open_checkpoint(source)
    assert caught.value.field == field


def test_the_baseline_of_the_espnet_task_opens_without_espnet(convert: Run, tmp_path: Path):
    conf = build_config({"preset": "hifigan_v1_22k", "generator": {"channels": 32}})
    generator = {"upsample_scales": [8, 8, 2, 2], "resblock_kernel_sizes": [3, 7, 11]}
    params = PARAMS | generator | {"resblock_dilations": [[1, 3, 5]] * 3}
    published = loud(EspnetHiFiGAN(params, STYLES["weight_g"]))
    state = {f"gan.generator.{name}": value for name, value in published.state_dict().items()}
    torch.save(state | {"gan.balancer.steps": torch.zeros(1)}, tmp_path / "valid.mel.best.pth")
    training = {"vocoder": "hifigan", "vocoder_conf": config_to_dict(conf), "max_epoch": 3}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(training))
    mel = torch.randn(2, 80, 7)
    vocoder = EVAGANVocoder.load(tmp_path / "valid.mel.best.pth")
    with torch.no_grad():
        wanted = published(mel).squeeze(1)
    assert wanted.std() > 0.02
    assert torch.allclose(vocoder.synthesize(mel), wanted, atol=1e-5)
    status, *_ = convert(tmp_path / "valid.mel.best.pth", tmp_path / "out")
    assert status == 0
    assert torch.allclose(EVAGANVocoder.load(tmp_path / "out").synthesize(mel), wanted, atol=1e-5)


def test_a_list_of_dilations_may_be_one_for_all_blocks_or_one_for_each():
    shared = build_config({"preset": "hifigan_v1_22k", "generator": {"resblock_dilations": [1, 3]}}).generator
    assert shared.dilations == ((1, 3),) * 3
    each = build_config({"preset": "hifigan_v1_22k", "generator": {"resblock_dilations": [[1], [2], [3, 4]]}}).generator
    assert each.dilations == ((1,), (2,), (3, 4))
    assert load_preset("hifigan_v1_22k").generator.dilations == ((1, 3, 5),) * 3
