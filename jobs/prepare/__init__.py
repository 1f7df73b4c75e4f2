"""Preparation of runs: inputs located, checked and hashed."""
