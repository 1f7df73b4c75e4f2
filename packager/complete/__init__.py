"""Completions in the terminal and in editors: ``starfreight try`` and ``starfreight serve-model``."""
