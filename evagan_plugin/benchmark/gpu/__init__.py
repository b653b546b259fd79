"""All that a few minutes on a GPU can tell: ``python -m evagan_plugin.benchmark gpu --help``."""
