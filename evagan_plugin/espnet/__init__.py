"""EVA-GAN in ESPnet: a stand-alone vocoder task on ESPnet's own trainer, and adapters for its text-to-speech models.

Importing this package imports no ESPnet; its modules do.
"""

from evagan_plugin.espnet.register import register

__all__ = ["register"]
