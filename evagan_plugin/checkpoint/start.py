"""What a host's training starts from: a generator's weights under the names that they have in its checkpoints."""

from torch import Tensor

from evagan_plugin.checkpoint.discriminators import TrainedDiscriminators
from evagan_plugin.checkpoint.tensors import fill, folded
from evagan_plugin.config import VocoderConfig
from evagan_plugin.config.parts import GENERATOR, IN_HOST
from evagan_plugin.model.generator import EVAGANGenerator, build_generator
from evagan_plugin.model.vocos import VocosGenerator


def training_start(
    config: VocoderConfig,
    generator: EVAGANGenerator | VocosGenerator,
    discriminators: TrainedDiscriminators | None = None,
) -> dict[str, Tensor]:
    """Return the weights, with weight norm and on the CPU, of a training that starts from a generator.

    Args:
        config: The whole vocoder.
        generator: Its generator, with weight norm or without.
        discriminators: Those that were trained with it; without them a training starts its own anew.

    Raises:
        EvaganError: If the discriminators do not fit the config.
    """
    trainable = build_generator(config)
    fill(trainable, folded(generator.state_dict()), "the generator")
    start = {f"{IN_HOST}{GENERATOR}{name}": value.cpu() for name, value in trainable.state_dict().items()}
    return start | (discriminators.training_start(config.discriminators) if discriminators else {})
