"""Curation of data directories: cut, measure, sort by rules; ``curate.py`` is where to begin."""
