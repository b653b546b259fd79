"""Singing and translation to speech, where ESPnet takes and trains vocoders in the same way."""

from pathlib import Path

import pytest
import torch
import yaml
from espnet2.bin.svs_inference import SingingGenerate
from espnet2.gan_svs.espnet_model import ESPnetGANSVSModel
from espnet2.gan_svs.joint.joint_score2wav import JointScore2Wav
from espnet2.tasks.s2st import S2STTask
from espnet2.tasks.svs import SVSTask
from espnet2.tts.feats_extract.log_mel_fbank import LogMelFbank
from tiny_models import FEATURES, HOP, SINGER, TINY_DISCRIMINATOR, TINY_GENERATOR

from evagan_plugin import EVAGANVocoder
from evagan_plugin.errors import ConfigError, UsageError
from evagan_plugin.espnet import register
from evagan_plugin.espnet.tts.joint import JointGenerator
from evagan_plugin.espnet.tts.vocoder import ESPnetVocoder

register()

NOTES = torch.tensor([1, 2, 3, 1])


@pytest.fixture(scope="module")
def singer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Config of a singing model of ESPnet, as its task writes it."""
    path = tmp_path_factory.mktemp("singer") / "config.yaml"
    settings = {"svs": "naive_rnn_dp", "svs_conf": SINGER, "feats_extract": "fbank", "feats_extract_conf": FEATURES}
    settings |= {"score_feats_extract": "syllable_score_feats", "score_feats_extract_conf": {}, "normalize": None}
    path.write_text(yaml.safe_dump(settings | {"token_list": ["<blank>", "<unk>", "a", "i"]}))
    line = ["--config", str(path), "--output_dir", str(path.parent)]
    args = SVSTask.get_parser().parse_args(line)
    path.write_text(yaml.safe_dump(vars(args)))
    return path


def test_singing_speaks_through_eva_gan(singer, tiny_vocoder):
    torch.manual_seed(0)
    sing = SingingGenerate(singer, vocoder_checkpoint=tiny_vocoder)
    assert isinstance(sing.vocoder, ESPnetVocoder)
    assert sing.fs == 16000
    score = {"label": NOTES, "midi": 40 + NOTES, "slur": torch.zeros(4, dtype=torch.long)}
    score |= {name: torch.full((4,), 5) for name in ("duration_phn", "duration_ruled_phn", "duration_syb")}
    out = sing(NOTES, phn_cnt=torch.ones(4, dtype=torch.long), **score)
    assert len(out["feat_gen"]) > 0
    assert out["wav"].shape == (len(out["feat_gen"]) * HOP,)
    mel = sing.vocoder.conversion(out["feat_gen"].t())
    assert torch.allclose(out["wav"], EVAGANVocoder.load(tiny_vocoder).synthesize(mel), atol=1e-4)


def test_normalised_features_are_refused(singer, tiny_vocoder):
    with pytest.raises(UsageError, match="prefer_normalized_feats: EVA-GAN takes features that are not normalised"):
        SingingGenerate(singer, vocoder_checkpoint=tiny_vocoder, prefer_normalized_feats=True)
    assert SingingGenerate(singer, prefer_normalized_feats=True).vocoder is None


@pytest.mark.parametrize(("fmin", "fits"), [(80, True), (0, False)])
def test_translation_compares_the_features_of_the_target(tiny_vocoder, fmin, fits):
    class Model:
        tgt_feats_extract = LogMelFbank(**{**FEATURES, "fmin": fmin})
        feats_extract = LogMelFbank(**{**FEATURES, "n_mels": 40})  # of the source's speech

    if fits:
        vocoder = S2STTask.build_vocoder_from_file(None, str(tiny_vocoder), Model(), "cpu")
        assert vocoder(torch.zeros(5, 80)).shape == (5 * HOP,)
    else:
        with pytest.raises(ConfigError, match="f_min is 0"):
            S2STTask.build_vocoder_from_file(None, str(tiny_vocoder), Model(), "cpu")


def joint() -> JointScore2Wav:
    torch.manual_seed(0)
    return JointScore2Wav(
        10,
        80,
        segment_size=8,
        score2mel_type="naive_rnn_dp",
        score2mel_params=dict(SINGER),
        vocoder_type="eva_gan",
        vocoder_params=TINY_GENERATOR,
        discriminator_type="eva_gan_discriminator",
        discriminator_params=TINY_DISCRIMINATOR,
    )


def test_joint_singing_trains_every_parameter_and_sings():
    model = joint()
    assert isinstance(model.generator["vocoder"], JointGenerator)
    assert model.fs == 16000
    tokens, lengths = NOTES.repeat(2, 1), torch.tensor([4, 4])
    durations = torch.full((2, 4), 5)
    items = {
        "text": tokens,
        "text_lengths": lengths,
        "feats": torch.randn(2, 20, 80),
        "feats_lengths": torch.tensor([20, 20]),
        "singing": 0.1 * torch.randn(2, 20 * HOP),
        "singing_lengths": torch.tensor([20, 20]) * HOP,
        "label": {"score": tokens, "lab": tokens},
        "label_lengths": {"score": lengths, "lab": lengths},
        "melody": {"score": 40 + tokens, "lab": 40 + tokens},
        "duration": {"lab": durations, "score_phn": durations, "score_syb": durations},
        "slur": torch.zeros(2, 4, dtype=torch.long),
        "pitch": torch.randn(2, 20),
    }
    for side, forward_generator in ((model.generator["vocoder"], True), (model.discriminator, False)):
        model.zero_grad(set_to_none=True)
        model(forward_generator=forward_generator, **items)["loss"].backward()
        assert [name for name, p in side.named_parameters() if p.grad is None] == []


def test_another_hop_is_refused_with_both_numbers():
    extractor = LogMelFbank(**{**FEATURES, "hop_length": 200})
    with pytest.raises(ConfigError, match=r"n_shift 200.*256 samples"):
        ESPnetGANSVSModel(None, None, extractor, *[None] * 9, svs=joint())
