"""ESPnet's ``tts_inference`` with EVA-GAN registered, where the hook at interpreter start is switched off."""

from evagan_plugin.espnet.register import register

register()  # at the top level, and before ESPnet

from espnet2.bin.tts_inference import Text2Speech, get_parser, main  # noqa: E402

__all__ = ["Text2Speech", "get_parser", "main"]

if __name__ == "__main__":
    main()
