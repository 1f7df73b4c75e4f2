"""Figures of runs for Prometheus: ``metrics.jsonl`` and the state of jobs as metrics."""
