"""Evaluations of a package: attached to its files, shown in its card, checked by its quality gate."""
