"""Raters, their trials and their votes in a database."""
