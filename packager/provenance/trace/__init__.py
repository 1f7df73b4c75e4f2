"""Was it in the training data of this model? With the evidence for the answer.

traced = trace(opened, [FileQuestion.ask("src/app.py")], console)
print(traced.as_text())
"""

from starfreight.packager.provenance.trace.trace_package import Traced, trace

__all__ = ["Traced", "trace"]
