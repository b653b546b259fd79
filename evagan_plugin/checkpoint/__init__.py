"""Checkpoints in and out: our own format, the published ones of others, and the Hugging Face Hub."""
