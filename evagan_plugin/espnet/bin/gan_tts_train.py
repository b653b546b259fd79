"""ESPnet's ``gan_tts_train`` with EVA-GAN registered, where the hook at interpreter start is switched off."""

from evagan_plugin.espnet.register import register

register()  # at the top level, and before ESPnet: spawned workers import this module too

from espnet2.bin.gan_tts_train import get_parser, main  # noqa: E402

__all__ = ["get_parser", "main"]

if __name__ == "__main__":
    main()
