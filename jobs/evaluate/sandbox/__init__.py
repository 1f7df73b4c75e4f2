"""Boxes for code that a model wrote: no network, nothing to write to, bounded in every resource.

boxes = open_sandbox(Limits()).boxes(source)
with boxes.start() as box:
    box.send(b"question", deadline)
    answer = box.receive(deadline)
"""

from starfreight.jobs.evaluate.sandbox.bubblewrap import Bubblewrap
from starfreight.jobs.evaluate.sandbox.choose import open_sandbox
from starfreight.jobs.evaluate.sandbox.interface import Box, BoxEndedError, BoxSource, Limits, Sandbox
from starfreight.jobs.evaluate.sandbox.landlock import Landlock

__all__ = ["Box", "BoxEndedError", "BoxSource", "Bubblewrap", "Landlock", "Limits", "Sandbox", "open_sandbox"]
