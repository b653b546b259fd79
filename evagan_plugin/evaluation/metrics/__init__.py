"""Objective metrics, one file per family; ``catalogue`` names them all."""
