"""Models as directories of the Hugging Face Hub, without a network."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, constants

from evagan_plugin.checkpoint.hub import UNSTATED, ModelFacts
from evagan_plugin.config import build_config
from evagan_plugin.errors import EvaganError, UsageError
from evagan_plugin.evaluation.bootstrap import MetricEstimate
from evagan_plugin.evaluation.metrics.base import MetricInfo
from evagan_plugin.evaluation.scores import Scores
from evagan_plugin.inference.eva_gan import EVAGANVocoder
from evagan_plugin.model.generator import EVAGANGenerator

TINY = {
    "preset": "eva_gan_mini_16k",
    "mel": {"hop_length": 16, "win_length": 64, "n_fft": 256, "n_mels": 20},
    "generator": {
        "context": {"dims": [8], "depths": [1]},
        "channels": 16,
        "upsample_rates": [4, 4],
        "resblock_kernels": [3],
    },
    "discriminators": {"mrd": "none"},
}
FACTS = ModelFacts(
    data="LJSpeech-1.1", license="cc-by-4.0", metrics={"pesq_wb": 3.9, "mstft": 1.02}, test_data="LJSpeech, 50 items"
)


@pytest.fixture
def vocoder() -> EVAGANVocoder:
    torch.manual_seed(0)
    config = build_config(TINY)
    return EVAGANVocoder(config, EVAGANGenerator.from_config(config))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Cache of the Hub that holds USER/NAME, and no network; the cache folder."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def test_a_saved_directory_opens_with_the_same_sound(vocoder: EVAGANVocoder, tmp_path: Path):
    vocoder.save_pretrained(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"config.yaml", "model.safetensors", "README.md"}
    again = EVAGANVocoder.from_pretrained(tmp_path / "model")
    mel = torch.randn(20, 9)
    assert torch.allclose(again.synthesize(mel), vocoder.synthesize(mel), atol=1e-6)
    assert again.config == vocoder.config


def test_saving_leaves_a_bfloat16_vocoder_as_it_is(vocoder: EVAGANVocoder, tmp_path: Path):
    half = EVAGANVocoder(vocoder.config, vocoder.generator, dtype=torch.bfloat16)
    half.save_pretrained(tmp_path / "model")
    assert half.synthesize(torch.randn(20, 9)).shape == (9 * 16,)
    assert EVAGANVocoder.from_pretrained(tmp_path / "model").generator.upsampler.pre.bias.dtype == torch.float32


def test_the_card_states_data_metrics_licence_and_mel(vocoder: EVAGANVocoder, tmp_path: Path):
    vocoder.save_pretrained(tmp_path / "model", model_card_kwargs={"facts": FACTS})
    card = ModelCard.load(tmp_path / "model" / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.library_name == "evagan-plugin"
    assert card.data.pipeline_tag == "audio-to-audio"
    for line in (
        "| hop_length | 16 |",
        "| f_max | 7600.0 |",
        "| log | ln |",
        "| center | True |",
        "| pesq_wb | 3.9 |",
        "Measured on: LJSpeech, 50 items.",
        "LJSpeech-1.1",
        f"{sum(tensor.numel() for tensor in vocoder.generator.parameters()):,} parameters",
    ):
        assert line in card.text


def test_the_card_says_what_is_not_stated(vocoder: EVAGANVocoder):
    card = vocoder.generate_model_card()
    assert card.text.count(UNSTATED) == 3
    assert card.data.license is None


def test_a_model_of_the_hub_opens_from_earlier_downloads(vocoder: EVAGANVocoder, offline: Path):
    repository = offline / "models--user--name"
    vocoder.save_pretrained(repository / "snapshots" / "c0ffee")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee")
    again = EVAGANVocoder.from_pretrained("user/name", cache_dir=offline, local_files_only=True)
    assert again.config == vocoder.config


@pytest.mark.parametrize("local_files_only", [True, False])
def test_a_model_that_is_nowhere_is_one_line(offline: Path, local_files_only: bool):
    with pytest.raises(EvaganError, match="there is no directory user/other, and no such model"):
        EVAGANVocoder.from_pretrained("user/other", cache_dir=offline, local_files_only=local_files_only)


def test_a_path_that_is_not_there_is_a_usage_error(tmp_path: Path):
    with pytest.raises(UsageError, match="there is no directory"):
        EVAGANVocoder.from_pretrained(tmp_path / "none")


def test_a_directory_without_a_checkpoint_is_told(tmp_path: Path):
    with pytest.raises(UsageError, match=r"has no model\.safetensors"):
        EVAGANVocoder.from_pretrained(tmp_path)


def test_pack_writes_a_card_with_the_scores(vocoder: EVAGANVocoder, tmp_path: Path, evagan: Callable):
    vocoder.save(tmp_path / "checkpoint")
    pesq = MetricInfo("pesq_wb", "PESQ-wb", "MOS-LQO", "higher", "mean of utterances", "pesq")
    estimates = {
        ("eva_gan", None, "pesq_wb"): MetricEstimate(3.91237, 3.8, 4.0, 9),
        ("other", None, "pesq_wb"): MetricEstimate(math.nan, math.nan, math.nan, 0),
    }
    scores = Scores("ref", {"eva_gan": "x", "other": "y"}, 22050, (pesq,), [], [], estimates, [])
    (tmp_path / "scores.json").write_text(json.dumps(scores.as_dict()))
    options = ["--scores", tmp_path / "scores.json", "--test-data", "nine items"]
    assert evagan("pack", tmp_path / "checkpoint", tmp_path / "out", *options)[0] == 2
    options += ["--system", "eva_gan", "--license", "mit", "--data", "LJSpeech-1.1"]
    assert evagan("pack", tmp_path / "checkpoint", tmp_path / "out", *options)[0] == 0
    card = ModelCard.load(tmp_path / "out" / "README.md")
    assert "| pesq_wb | 3.9124 |" in card.text and "LJSpeech-1.1" in card.text and card.data.license == "mit"
    assert EVAGANVocoder.from_pretrained(tmp_path / "out").config == vocoder.config


def test_pack_onto_a_file_is_one_line(vocoder: EVAGANVocoder, tmp_path: Path, evagan: Callable):
    vocoder.save(tmp_path / "checkpoint")
    (tmp_path / "out").write_text("")
    status, _, errors = evagan("pack", tmp_path / "checkpoint", tmp_path / "out")
    assert (status, errors) == (1, f"evagan: error: cannot write {tmp_path}/out: File exists\n")


def test_push_sends_the_same_directory(vocoder: EVAGANVocoder, monkeypatch: pytest.MonkeyPatch):
    sent = {}

    class Api:
        """The Hub's client up to the network."""

        def __init__(self, token: str | None = None) -> None:
            self.token = token

        def create_repo(self, repo_id: str, **_: object) -> "Api":
            self.repo_id = repo_id
            return self

        def upload_folder(self, repo_id: str, folder_path: Path, **_: object) -> str:
            sent.update({path.name: path.stat().st_size for path in Path(folder_path).iterdir()})
            return f"https://hub/{repo_id}"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    assert vocoder.push_to_hub("user/name", model_card_kwargs={"facts": FACTS}) == "https://hub/user/name"
    assert set(sent) == {"config.yaml", "model.safetensors", "README.md"}
