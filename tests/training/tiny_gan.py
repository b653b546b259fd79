"""A model of everything in it that a step takes milliseconds of, and two tones to train it on."""

import torch

from evagan_plugin.config import build_config
from evagan_plugin.training.gan import GANVocoder

FRAMES, HOP = 32, 64
TINY = {
    "mel": {"hop_length": HOP, "n_fft": 256, "win_length": 256, "n_mels": 20, "sample_rate": 8000},
    "generator": {
        "context": {"dims": [16], "depths": [1], "drop_path": 0.0},
        "channels": 32,
        "upsample_rates": [4, 4, 4],
        "resblock_kernels": [3],
    },
    "discriminators": {
        "mpd": {"periods": [2, 3], "channels": 4, "max_channels": 8},
        "mrd": {"resolutions": [[256, 64, 256]], "channels": 4},
    },
    "training": {"segment_frames": FRAMES},
}


def tiny_gan(**overrides) -> GANVocoder:
    """Return the model in training mode, the same for the same settings; ``training`` is completed."""
    torch.manual_seed(0)
    if "training" in overrides:
        overrides["training"] = TINY["training"] | overrides["training"]
    return GANVocoder(build_config(TINY | overrides)).train()


def two_tones() -> torch.Tensor:
    """Return waveforms (2, 1, FRAMES * HOP)."""
    torch.manual_seed(1)
    t = torch.arange(FRAMES * HOP) / 8000
    tones = torch.stack([0.4 * torch.sin(2 * torch.pi * f * t) for f in (220.0, 330.0)]).unsqueeze(1)
    return tones + 0.05 * torch.randn(2, 1, FRAMES * HOP)


class Training:
    """A loop as hosts have it: discriminators first, optimizers with momentum and weight decay."""

    def __init__(self, fused: bool = False, **overrides) -> None:
        self.gan = tiny_gan(**overrides)
        self.optimizers = [
            torch.optim.AdamW(part.parameters(), 2e-3, weight_decay=0.1, fused=fused)
            for part in (self.gan.discriminators, self.gan.generator)
        ]

    def steps(self, waves: list[torch.Tensor]) -> list:
        """Take both steps on each batch and return the outputs of the generator's."""
        outputs = []
        for wav in waves:
            for step, optimizer in zip(
                (self.gan.discriminator_step, self.gan.generator_step), self.optimizers, strict=True
            ):
                self.gan.zero_grad()
                output = step(wav)
                output.loss.backward()
                optimizer.step()
            outputs.append(output)
        return outputs

    def state(self) -> dict:
        """Return what a host saves."""
        return {"model": self.gan.state_dict(), "optimizers": [one.state_dict() for one in self.optimizers]}

    def load(self, state: dict) -> "Training":
        """Take up a saved run."""
        self.gan.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        return self
