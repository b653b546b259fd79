"""Several systems against one reference: ``compare_systems`` measures, ``write_comparison`` makes tables and a page."""

from evagan_plugin.compare.comparison import CompareOptions, Comparison, compare_systems, write_comparison

__all__ = ["CompareOptions", "Comparison", "compare_systems", "write_comparison"]
