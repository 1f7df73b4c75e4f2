"""Evaluation of a packaged model: problems, generated code in a sandbox, figures."""
