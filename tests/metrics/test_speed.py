"""What scoring costs beside the libraries' own calls, measured side by side."""

import time

import auraloss
import numpy as np
import pesq
import pytest
import soundfile
import torch
import torchaudio
import torchcrepe
from metric_signals import SAMPLE_RATE, make_voice, with_noise, write_corpus

from evagan_plugin.metrics import score_systems

UTTERANCES = 100


def library_calls(reference, hypothesis, distance):
    """Score a pair by the libraries' own functions, as a script of a few lines would."""
    pair = []
    for path in (hypothesis, reference):
        wav = torch.from_numpy(soundfile.read(path, dtype="float32")[0])
        narrow = torchaudio.functional.resample(wav, SAMPLE_RATE, 16000)
        padded = torch.nn.functional.pad(narrow[None, None], (419, 419), mode="reflect")[0]
        torchcrepe.predict(
            padded, 16000, 185, 50.0, 550.0, "tiny", return_periodicity=True, batch_size=1024, pad=False
        )  # fmt: skip
        pair.append((wav, (narrow.clamp(-1, 1) * 32767).short().numpy()))
    with torch.no_grad():
        distance(pair[0][0][None, None], pair[1][0][None, None])
    pesq.pesq(16000, pair[1][1], pair[0][1], "wb")


@pytest.mark.slow
def test_the_fast_set_costs_at_most_1_3_times_the_library_calls(tmp_path):
    voices = {f"utt{index:03}": make_voice(0.6, 100 + index, seed=index) for index in range(UTTERANCES)}
    reference = write_corpus(tmp_path / "ref", voices)
    noisy = write_corpus(tmp_path / "noisy", {key: with_noise(wav, 20) for key, wav in voices.items()})
    distance = auraloss.freq.MultiResolutionSTFTLoss()
    names = sorted(voices)
    # Models are loaded and functions compiled before either clock runs; both count processor time.
    library_calls(reference / "utt000.wav", noisy / "utt000.wav", distance)
    first = write_corpus(tmp_path / "first", {"utt000": voices["utt000"]})
    score_systems(first, {"noisy": noisy})
    ratios = []
    for _ in range(2):
        start = time.process_time()
        for name in names:
            library_calls(reference / f"{name}.wav", noisy / f"{name}.wav", distance)
        middle = time.process_time()
        score_systems(reference, {"noisy": noisy})
        ratios.append((time.process_time() - middle) / (middle - start))
    assert np.min(ratios) <= 1.3, ratios
