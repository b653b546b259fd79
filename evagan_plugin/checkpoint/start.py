"""What a host's training starts from: a generator's weights under the names that they have in its checkpoints."""

from torch import Tensor

from evagan_plugin.checkpoint.tensors import fill, folded
from evagan_plugin.config import VocoderConfig
from evagan_plugin.config.parts import GENERATOR, IN_HOST
from evagan_plugin.model.generator import EVAGANGenerator


def training_start(config: VocoderConfig, generator: EVAGANGenerator) -> dict[str, Tensor]:
    """Return the weights, with weight norm and on the CPU, of a training that starts from a generator.

    Args:
        config: The whole vocoder.
        generator: Its generator, with weight norm or without.
    """
    trainable = EVAGANGenerator.from_config(config)
    fill(trainable, folded(generator.state_dict()), "the generator")
    return {f"{IN_HOST}{GENERATOR}{name}": value.cpu() for name, value in trainable.state_dict().items()}
