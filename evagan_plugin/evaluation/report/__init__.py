"""Scores and comparisons as tables, LaTeX, JSON and one page to hear and see."""
