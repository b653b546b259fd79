"""Measurements that back what the README claims: ``python -m evagan_plugin.benchmark --help``."""
