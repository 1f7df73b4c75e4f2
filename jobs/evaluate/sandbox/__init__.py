"""Boxes for code that a model wrote: no network, nothing to write to, bounded in every resource.

boxes = Bubblewrap(Limits()).boxes(source)
with boxes.start() as box:
    box.send(b"question", deadline)
    answer = box.receive(deadline)
"""

from starfreight.jobs.evaluate.sandbox.bubblewrap import Bubblewrap
from starfreight.jobs.evaluate.sandbox.interface import Box, BoxEndedError, BoxSource, Limits, Sandbox

__all__ = ["Box", "BoxEndedError", "BoxSource", "Bubblewrap", "Limits", "Sandbox"]
