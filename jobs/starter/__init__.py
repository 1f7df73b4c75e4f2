"""Makes the starter: a small StarCoder2 that ships with Starfreight, so that all of it can be tried offline.

The model itself lies where :data:`starfreight.base_model.STARTER_FOLDER` says, with Python's license and the
list of every file it was trained on beside it. ``starfreight starter build`` makes it again from the
standard library. What decides its bytes is here and in ``jobs/data/fim.py``.
"""
