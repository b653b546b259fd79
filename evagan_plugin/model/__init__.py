"""EVA-GAN's networks: ``generator`` (``context``, then ``upsampler``) and ``discriminators``."""
