"""Published checkpoints in our classes: one file a source (names and config), ``converter`` for the whole way."""
