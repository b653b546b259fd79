"""``python -m evagan_plugin.benchmark data``: what an hour of audio takes, and from it a plan for many hours."""
