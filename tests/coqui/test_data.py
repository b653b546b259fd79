"""What the trainer's loaders give."""

import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from TTS.vocoder.datasets.preprocess import load_wav_data

from evagan_plugin.coqui.config import EvaGanConfig
from evagan_plugin.coqui.data import EpochBatches, load_audio_dir, recordings_of
from evagan_plugin.coqui.model import EvaGan
from evagan_plugin.data.segments import SegmentSampler
from evagan_plugin.errors import EvaganError, UsageError

HOP, FRAMES = 256, 32


@pytest.fixture
def config(settings, tmp_path) -> EvaGanConfig:
    config = EvaGanConfig()
    config.from_dict(settings(tmp_path))
    return config


def batches(config: EvaGanConfig, samples: list, epoch: int = 0, workers: int = 0, is_eval: bool = False) -> list[dict]:
    config.num_loader_workers = workers
    loader = EvaGan(config).get_data_loader(config, is_eval=is_eval, samples=samples)
    loader.batch_sampler.epoch = epoch
    return list(loader)


def same(left: list[dict], right: list[dict]) -> bool:
    return all(torch.equal(a["waveform"], b["waveform"]) for a, b in zip(left, right, strict=True))


def test_segments_of_coquis_own_samples(config, speech):
    evaluation, training = load_wav_data(str(speech), 2)
    assert [batch["waveform"].shape for batch in batches(config, training)] == [(2, 1, FRAMES * HOP)] * 3
    assert [batch["waveform"].shape for batch in batches(config, evaluation, is_eval=True)] == [(2, 1, FRAMES * HOP)]


def test_workers_and_the_order_of_samples_change_nothing_and_the_epoch_does(config, speech):
    samples = [str(path) for path in speech.iterdir()]
    first = batches(config, samples)
    assert same(first, batches(config, samples[::-1], workers=2))
    assert not same(first, batches(config, samples, epoch=1))
    assert same(batches(config, samples, is_eval=True), batches(config, samples, epoch=1, is_eval=True))


def test_features_are_cut_where_the_audio_is(config, speech, tmp_path):
    """Features made by Coqui, beside the audio, are the mel of the segment's audio."""
    model = EvaGan(config)
    samples = []
    for path in sorted(speech.iterdir()):
        wav, _ = soundfile.read(path, dtype="float32")
        np.save(tmp_path / f"{path.stem}.npy", model.ap.melspectrogram(wav))
        samples.append((str(path), str(tmp_path / f"{path.stem}.npy")))
    for batch in batches(config, samples):
        mel = model.gan.mel(batch["waveform"])[..., :FRAMES]
        assert batch["mel"].shape == mel.shape == (2, 80, FRAMES)
        inner = slice(4, FRAMES - 4)  # the segment's ends are reflected, the utterance's were not
        heard = batch["waveform"].reshape(2, FRAMES, HOP).abs().amax(dim=(1, 2)) > 0
        assert heard.all()
        gap = (batch["mel"] - mel)[..., inner].abs()
        assert gap.median() < 1e-3


def test_samples_of_coquis_own_ljspeech_formatter(config, speech, tmp_path):
    from TTS.tts.configs.glow_tts_config import GlowTTSConfig
    from TTS.tts.configs.shared_configs import BaseDatasetConfig
    from TTS.tts.datasets import load_tts_samples

    corpus = tmp_path / "LJSpeech-1.1"
    shutil.copytree(speech, corpus / "wavs")
    names = sorted(path.stem for path in speech.iterdir())
    (corpus / "metadata.csv").write_text("".join(f"{name}|Said.|said.\n" for name in names))
    dataset = BaseDatasetConfig(formatter="ljspeech", meta_file_train="metadata.csv", path=str(corpus))
    training, evaluation = load_tts_samples(GlowTTSConfig(datasets=[dataset]), eval_split_size=2)
    assert len(batches(config, training)) == 3 and len(batches(config, evaluation, is_eval=True)) == 1
    everything = [str(path) for path in (corpus / "wavs").iterdir()]
    assert same(batches(config, training + evaluation), batches(config, everything))


def test_samples_of_coquis_formatters(speech):
    samples = [{"text": "a", "audio_file": str(path)} for path in speech.iterdir()]
    assert list(recordings_of(samples)) == sorted(str(path) for path in speech.iterdir())
    with pytest.raises(UsageError, match="no samples"):
        recordings_of([])
    with pytest.raises(UsageError, match="a sample is a path"):
        recordings_of([3])


def test_any_audio_is_read_where_resampling_is_on(config, tmp_path):
    tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    soundfile.write(tmp_path / "stereo.flac", np.stack([tone, tone / 2], axis=1), 44100)
    with pytest.raises(UsageError, match=r"stereo.flac has 44100 Hz, the model 16000 Hz: set audio.resample true"):
        batches(config, [str(tmp_path / "stereo.flac")])
    config.audio.resample = True
    (batch,) = batches(config, [str(tmp_path / "stereo.flac")])
    assert batch["waveform"].abs().max() == pytest.approx(0.75, abs=0.02)


def test_bad_features_are_named(config, speech, tmp_path):
    path = str(sorted(speech.iterdir())[0])
    np.save(tmp_path / "bands.npy", np.zeros((40, 100), dtype=np.float32))
    (tmp_path / "text.npy").write_text("no array")
    for name, message in {"bands.npy": "40 bands", "text.npy": "not readable", "none.npy": "not readable"}.items():
        with pytest.raises(EvaganError, match=message) as caught:
            batches(config, [(path, str(tmp_path / name))])
        assert name in str(caught.value)


def test_a_folder_is_split_by_names_alone(tmp_path):
    for index in range(6):
        soundfile.write(tmp_path / f"{index}.flac", np.zeros(100), 16000)
    evaluation, training = load_audio_dir(tmp_path, 2)
    assert len(evaluation) == 2 and len(training) == 4 and not set(evaluation) & set(training)
    assert load_audio_dir(tmp_path, 2) == (evaluation, training)
    with pytest.raises(UsageError, match="6 recordings below"):
        load_audio_dir(tmp_path, 6)
    for nowhere in ("", tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="--data_path"):
            load_audio_dir(nowhere, 1)


def test_an_epoch_can_begin_and_end_within():
    all_of_it = EpochBatches(SegmentSampler([f"{n}" for n in range(10)], 2, True))
    part = EpochBatches(SegmentSampler([f"{n}" for n in range(10)], 2, True))
    part.start, part.stop = 1, 3
    assert list(part) == list(all_of_it)[1:3]
    assert len(part) == len(all_of_it) == 5


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"eval_split_size": 10}, "8 recordings below {speech}: more than eval_split_size 10 are needed"),
        ({"data_path": "/nowhere"}, "data_path /nowhere: /nowhere is empty."),
    ],
)
def test_too_few_recordings_are_told_before_anything_is_built(settings, program, speech, tmp_path, fields, said):
    (tmp_path / "config.json").write_text(json.dumps(settings(tmp_path / "out", **fields)))
    done = program("-m", "TTS.bin.train_vocoder", "--config_path", tmp_path / "config.json")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"evagan: error: {said.format(speech=speech)}"
    assert "Traceback" not in done.stderr
    assert "Audio Processor" not in done.stdout  # which comes before the model and the trainer
    assert not (tmp_path / "out").exists()
