"""Faults of GPUs: telling them from faults of a job, and their record in a run."""
