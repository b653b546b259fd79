"""EVA-GAN in Coqui TTS: config, model and data for Coqui's own trainer and synthesizer.

Importing this package imports no Coqui TTS; its modules do, all but ``register``.
"""

from evagan_plugin.coqui.register import register

__all__ = ["register"]
