"""Configs of models that train in seconds, and features that fit them."""

from pathlib import Path

from torch.nn import Module

from evagan_plugin.checkpoint.native import save_checkpoint
from evagan_plugin.config import build_config
from evagan_plugin.model.generator import EVAGANGenerator

TINY = {
    "vocoder": "eva_gan",
    "vocoder_conf": {
        "preset": "eva_gan_mini_16k",
        "generator": {
            "context": {"dims": [8], "depths": [1]},
            "channels": 64,
            "resblock_kernels": [3],
            "resblock_dilations": [1],
        },
        "discriminators": {
            "mpd": {"periods": [2, 3], "channels": 2, "max_channels": 8},
            "mrd": {"channels": 2, "resolutions": [[512, 128, 512]]},
        },
        "training": {"segment_frames": 32, "discriminator_frames": 16},
    },
    "batch_size": 4,
    "max_epoch": 1,
    "num_iters_per_epoch": 6,
    "log_interval": 1,
    "num_workers": 0,
    "use_matplotlib": False,
    "optim_conf": {"lr": 1.0e-3},
}

ALL_ON = {
    "discriminator_start_steps": 2,
    "ema": 0.9,
    "gain_db": [-6, 3],
    "pitch_shift": [-2, 2],
    "mel_smoothing": 1.5,
}
"""Everything of ``training`` that a resumed run has to take up, or to draw again."""

VOCOS = {"generator": "none", "vocos": {"dim": 16, "intermediate_dim": 24, "num_layers": 2}}
"""``vocoder_conf`` of a rival."""

TACOTRON2 = {
    "embed_dim": 8,
    "elayers": 1,
    "eunits": 8,
    "econv_layers": 1,
    "econv_chans": 8,
    "adim": 8,
    "aconv_chans": 2,
    "aconv_filts": 3,
    "dlayers": 1,
    "dunits": 8,
    "prenet_layers": 1,
    "prenet_units": 8,
    "postnet_layers": 1,
    "postnet_chans": 8,
    "reduction_factor": 1,
}
LAYERS = {"elayers": 1, "eunits": 8, "dlayers": 1, "dunits": 8}
DURATIONS = {"duration_predictor_layers": 1, "duration_predictor_chans": 8}
POSTNET = {"postnet_layers": 1, "postnet_chans": 8}
PITCH_AND_ENERGY = {
    "energy_predictor_layers": 1,
    "energy_predictor_chans": 8,
    "pitch_predictor_layers": 1,
    "pitch_predictor_chans": 8,
}
FASTSPEECH2 = {"adim": 8, "aheads": 2, **LAYERS, **POSTNET, **DURATIONS, **PITCH_AND_ENERGY}
SINGER = {"embed_dim": 8, "eprenet_conv_layers": 0, **LAYERS, **POSTNET, **DURATIONS}
"""ESPnet's ``naive_rnn_dp``."""
SPEAKERS = {"spks": 4, "langs": 3, "spk_embed_dim": 5}
TINY_GENERATOR = {name: TINY["vocoder_conf"][name] for name in ("preset", "generator")}
TINY_DISCRIMINATOR = TINY["vocoder_conf"]["discriminators"]
WHOLE = {**TINY_GENERATOR, "discriminators": TINY_DISCRIMINATOR, "training": {"segment_frames": 16}}
HOP = 256
FEATURES = {"fs": 16000, "n_fft": 1024, "hop_length": HOP, "win_length": 1024, "n_mels": 80, "fmin": 80, "fmax": 7600}


def awaken(generator: Module, size: float = 1.5) -> Module:
    """Give weights a size at which the waveform depends on the input: at HiFi-GAN's initial size it hardly does."""
    for name, parameter in generator.named_parameters():
        if name.endswith("weight.original0"):
            parameter.data.fill_(size)
    return generator


def vocoder_of(directory: Path, **mel: object) -> Path:
    """Save a vocoder of another mel."""
    config = build_config({**TINY["vocoder_conf"], "mel": mel})
    save_checkpoint(directory, config, EVAGANGenerator.from_config(config))
    return directory
