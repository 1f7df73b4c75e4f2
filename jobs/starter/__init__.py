"""Builds the starter: a small StarCoder2 shipped with Starfreight, so everything can be tried offline.

The model is in :data:`starfreight.base_model.STARTER_FOLDER`, with Python's license and a manifest of
every file it was trained on. ``starfreight starter build`` rebuilds it from the standard library. Its
bytes depend on the code here and on ``jobs/data/fim.py``.
"""
