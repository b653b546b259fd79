"""Kaldi data directories, corpora, formatting, training items, folders of systems to compare."""
