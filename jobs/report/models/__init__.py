"""Comparison of model files by their evaluations: one row per file."""
