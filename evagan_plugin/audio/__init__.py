"""Audio files (``io``) and mel spectrograms (``mel``)."""
