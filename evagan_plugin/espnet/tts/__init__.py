"""EVA-GAN behind, beside and inside ESPnet's text-to-speech models."""
