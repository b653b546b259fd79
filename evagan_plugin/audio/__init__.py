"""Audio files (``io``), mel spectrograms (``mel``), and features in files (``features``)."""
