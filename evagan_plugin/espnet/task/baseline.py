"""The baseline that trains beside EVA-GAN: ESPnet's own HiFi-GAN generator, described in our config's terms.

Its checkpoints open like any other (``EVAGANVocoder.load``, ``evagan synth``): see ``checkpoint/formats/espnet.py``.
"""

from espnet2.gan_tts.hifigan.hifigan import HiFiGANGenerator

from evagan_plugin.config import HeadConfig, VocoderConfig
from evagan_plugin.errors import ConfigError


def hifigan_generator(config: VocoderConfig) -> HiFiGANGenerator:
    """Build ESPnet's ``HiFiGANGenerator`` for a vocoder whose generator has neither context module nor SiLU.

    Raises:
        ConfigError: If ``config.generator`` describes what ESPnet's generator is not.
    """
    generator = config.own_generator
    wanted = {
        "context": None,
        "activation": "leaky_relu",
        "post_kernel": generator.pre_kernel,
        "kernels": tuple(2 * rate for rate in generator.upsample_rates),
        "normalize": False,
        "head": HeadConfig(),
    }
    for name, value in wanted.items():
        if getattr(generator, name) != value:
            raise ConfigError(
                f"vocoder: hifigan needs vocoder_conf.generator.{name.replace('kernels', 'upsample_kernels')}: "
                f"{_yaml(value)}; start from preset hifigan_v1_22k, or set context: none and activation: leaky_relu"
            )
    return HiFiGANGenerator(
        in_channels=config.mel.n_mels,
        channels=generator.channels,
        kernel_size=generator.pre_kernel,
        upsample_scales=list(generator.upsample_rates),
        upsample_kernel_sizes=list(generator.kernels),
        resblock_kernel_sizes=list(generator.resblock_kernels),
        resblock_dilations=[list(dilations) for dilations in generator.dilations],
        use_additional_convs=generator.resblock == 1,
        nonlinear_activation_params={"negative_slope": generator.leaky_slope},
    )


def _yaml(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, HeadConfig):
        return "waveform"
    return str(list(value) if isinstance(value, tuple) else value).replace("False", "false")
