"""What each metric says about signals whose score is known."""

import numpy as np
import pytest
import soundfile
import torch
from metric_signals import SAMPLE_RATE, make_voice, with_noise

from evagan_plugin.evaluation.metrics.base import NotScored
from evagan_plugin.evaluation.metrics.catalogue import all_families
from evagan_plugin.evaluation.metrics.cepstrum import GeneralisedCepstrum, WorldCepstrum
from evagan_plugin.evaluation.metrics.intelligibility import Intelligibility
from evagan_plugin.evaluation.metrics.log_mel import LogMel, log_mel_l1
from evagan_plugin.evaluation.metrics.naturalness import DistillMOS
from evagan_plugin.evaluation.metrics.periodicity import Periodicity, PitchTrack
from evagan_plugin.evaluation.metrics.pesq import PESQ
from evagan_plugin.evaluation.metrics.speaker import SpeakerCosine
from evagan_plugin.evaluation.metrics.stft import MultiResolutionSTFT

MINUS_1_DB = np.float32(10 ** (-1 / 20))
MCD = (WorldCepstrum, GeneralisedCepstrum)
FAST = (MultiResolutionSTFT, PESQ, Intelligibility, LogMel, lambda: Periodicity("tiny"))


def measure(family, reference, hypothesis, sample_rate=SAMPLE_RATE):
    """Return the values of a family's metrics for one pair."""
    family.prepare()
    sums = family.compare(family.analyse(reference, sample_rate), family.analyse(hypothesis, sample_rate))
    return {metric.name: metric.value(sums[metric.name]) for metric in family.metrics}


@pytest.mark.parametrize("make", FAST)
@pytest.mark.parametrize("sample_rate", [16000, 44100])
def test_identical_audio_has_the_best_score(make, sample_rate):
    wav = make_voice(0.6, sample_rate=sample_rate)
    best = {"pesq_wb": 4.644, "vuv_f1_tiny": 1.0, "f0_corr_tiny": 1.0, "stoi": 1.0, "estoi": 1.0}
    for name, value in measure(make(), wav, wav.copy(), sample_rate).items():
        assert value == pytest.approx(best.get(name, 0.0), abs=1e-3), name


@pytest.mark.parametrize("make", MCD)
def test_distortion_of_identical_audio_is_0_and_grows_with_noise(make):
    wav = make_voice(0.4)
    (same, little, much) = (
        next(iter(measure(make(), wav, other).values())) for other in (wav, with_noise(wav, 30), with_noise(wav, 0))
    )
    assert same == 0.0 < little < much


def test_the_two_distortions_differ_in_what_they_take_for_a_change():
    wav = make_voice(0.4)
    # One leaves the level out, the other warps time.
    assert measure(WorldCepstrum(), wav, MINUS_1_DB * wav)["mcd_world"] < 0.01
    assert measure(GeneralisedCepstrum(), wav, MINUS_1_DB * wav)["mcd_ttslr"] > 0.1


def test_digital_silence_has_a_cepstrum():
    family = GeneralisedCepstrum()
    family.prepare()
    half_silent = np.concatenate([np.zeros(3000, np.float32), make_voice(0.1)])
    assert np.isfinite(family.analyse(half_silent, SAMPLE_RATE)).all()


@pytest.mark.slow
def test_mean_opinion_falls_with_noise(shared_audio):
    wav, sample_rate = soundfile.read(shared_audio / "lowrate/speech/speech_ljspeech_0004.flac", dtype="float32")
    clean, noisy = (measure(DistillMOS(), wav, other, sample_rate) for other in (wav, with_noise(wav, 10)))
    assert clean["distillmos"] > 3.8
    assert noisy["distillmos"] < clean["distillmos"] - 0.5
    with pytest.raises(NotScored, match="shorter than 4 s"):
        DistillMOS().analyse(wav[:sample_rate], sample_rate)


@pytest.mark.slow
def test_speakers_are_told_apart(shared_audio):
    folder = shared_audio / "lowrate"
    manifest = [line.split("\t") for line in (folder / "manifest.tsv").read_text().splitlines()[1:]]
    speakers = {row[4]: folder / row[1] for row in manifest if row[2] == "speech" and float(row[7]) > 2}
    other = next(path for speaker, path in sorted(speakers.items()) if speaker != "ljspeech")
    family = SpeakerCosine()
    family.prepare()
    first, second, stranger = (
        family.analyse(*soundfile.read(path, dtype="float32"))
        for path in (folder / "speech/speech_ljspeech_0004.flac", folder / "speech/speech_ljspeech_0006.flac", other)
    )
    same, different = (family.compare(first, voice)["speaker_cosine"][0] for voice in (second, stranger))
    assert same > 0.8
    assert different < same - 0.1
    with pytest.raises(NotScored, match="silent"):
        family.analyse(np.zeros(16000, np.float32), 16000)


@pytest.mark.parametrize("make", FAST)
def test_more_noise_is_worse(make):
    family = make()
    wav = make_voice()
    little, much = (measure(family, wav, with_noise(wav, decibels)) for decibels in (30, 0))
    for metric in family.metrics[:2]:
        assert (little[metric.name] < much[metric.name]) == (metric.better == "lower"), metric.name


def test_every_metric_has_one_family_and_one_name():
    names = [metric.name for family in all_families() for metric in family.metrics]
    labels = [metric.label for family in all_families() for metric in family.metrics]
    assert len(set(names)) == len(names)
    assert len(set(labels)) == len(labels)


def test_gain_moves_the_spectral_distances_by_theory():
    noise = 0.3 * np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32)
    decibel = np.log(10) / 20
    assert log_mel_l1(noise, MINUS_1_DB * noise, SAMPLE_RATE) == pytest.approx(decibel, rel=1e-3)
    # Spectral convergence of a gain g is 1 - g, the L1 of ln magnitudes is -ln g.
    distance = measure(MultiResolutionSTFT(), noise, MINUS_1_DB * noise)["m_stft"]
    assert distance == pytest.approx(1 - MINUS_1_DB + decibel, rel=1e-3)


def test_log_mel_sees_the_whole_band():
    time = np.arange(44100) / 44100
    reference = make_voice(1.0, sample_rate=44100)
    whistle = (0.1 * np.sin(2 * np.pi * 20000 * time)).astype(np.float32)
    assert log_mel_l1(reference, reference + whistle, 44100) > 0.01


def test_pesq_clips_instead_of_wrapping():
    wav = make_voice()
    loud = wav / np.abs(wav).max() * 1.02
    assert measure(PESQ(), wav, loud)["pesq_wb"] > 4.0


@pytest.mark.parametrize(
    ("wav", "reason"), [(np.zeros(SAMPLE_RATE, np.float32), "silent"), (make_voice(0.2), "0.200 s are shorter")]
)
def test_pesq_does_not_score_silence_and_short_audio(wav, reason):
    with pytest.raises(NotScored, match=reason):
        PESQ().analyse(wav, SAMPLE_RATE)


def test_pesq_says_so_where_the_library_refuses():
    family = PESQ()
    family.prepare()
    voice = family.analyse(make_voice(), SAMPLE_RATE)
    with pytest.raises(NotScored, match="no speech"):
        family.compare(np.zeros_like(voice), voice)
    with pytest.raises(NotScored, match="NaN"):
        family.compare(voice, np.zeros_like(voice))


@pytest.mark.parametrize("make", [*FAST, *MCD])
def test_a_handful_of_samples_is_not_scored(make):
    family = make()
    family.prepare()
    with pytest.raises(NotScored):
        family.analyse(make_voice(0.01), SAMPLE_RATE)


def test_pitch_error_is_in_cents():
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    low, high = (
        sum(np.sin(2 * np.pi * pitch * order * time) / order for order in range(1, 9)).astype(np.float32) * 0.2
        for pitch in (200.0, 200.0 * 2 ** (1 / 12))
    )
    assert measure(Periodicity("tiny"), low, high)["pitch_rmse_cents_tiny"] == pytest.approx(100, abs=15)


def test_f0_error_is_in_hz_and_its_correlation_that_of_the_voiced_frames():
    family = Periodicity("tiny")
    family.prepare()
    pitch = torch.tensor([100.0, 110.0, 130.0, 90.0, 500.0])
    voiced = torch.tensor([True, True, True, True, False])
    first = PitchTrack(pitch, torch.ones(5), voiced)
    higher = PitchTrack(pitch + torch.tensor([3.0, 3.0, 3.0, 3.0, -400.0]), torch.ones(5), voiced)
    other = PitchTrack(torch.tensor([120.0, 100.0, 125.0, 95.0, 60.0]), torch.ones(5), torch.ones(5) > 0)
    moved, unlike = (
        {m.name: m.value(family.compare(first, x)[m.name]) for m in family.metrics} for x in (higher, other)
    )
    assert (moved["f0_rmse_tiny"], moved["f0_corr_tiny"]) == (pytest.approx(3.0), pytest.approx(1.0))
    assert unlike["f0_corr_tiny"] == pytest.approx(np.corrcoef(pitch[:4], other.pitch[:4])[0, 1])


def test_intelligibility_knows_no_level_and_falls_with_noise_and_lost_syllables():
    wav = make_voice(1.5)
    assert measure(Intelligibility(), wav, 0.2 * wav)["stoi"] == pytest.approx(1.0, abs=1e-6)
    little, much = (measure(Intelligibility(), wav, with_noise(wav, decibels)) for decibels in (15, -5))
    assert all(little[name] > much[name] + 0.1 for name in ("stoi", "estoi"))
    mostly_silent = wav * (np.arange(wav.size) < 0.2 * SAMPLE_RATE)
    with pytest.raises(NotScored, match="are not silent"):
        measure(Intelligibility(), mostly_silent, wav)


def test_noise_for_a_voice_is_unvoiced():
    voice = make_voice()
    noise = 0.1 * np.random.default_rng(0).standard_normal(voice.size).astype(np.float32)
    scores = measure(Periodicity("tiny"), voice, noise)
    assert scores["vuv_f1_tiny"] < 0.3
    assert scores["periodicity_rmse_tiny"] > 0.3


def test_voicing_of_silence_is_not_defined():
    silence = np.zeros(SAMPLE_RATE, np.float32)
    scores = measure(Periodicity("tiny"), silence, silence)
    assert np.isnan(scores["vuv_f1_tiny"])
    assert np.isnan(scores["pitch_rmse_cents_tiny"])
    assert scores["periodicity_rmse_tiny"] == 0.0


def test_pitch_metrics_repeat_and_leave_the_global_generator_alone():
    family = Periodicity("tiny")
    wav, other = make_voice(0.5), with_noise(make_voice(0.5), 10)
    np.random.seed(7)
    expected = np.random.RandomState(7).rand()
    first = measure(family, wav, other)
    assert np.random.rand() == expected
    assert measure(family, wav, other) == first
