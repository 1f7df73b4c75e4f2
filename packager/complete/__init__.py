"""Completions by a packaged model on this machine: ``starfreight try`` and ``starfreight serve-model``."""
