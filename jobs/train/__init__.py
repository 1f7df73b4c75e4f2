"""The program that trains. It runs the same in a plain process, in a container and in a cluster.

``python -P -m starfreight.jobs.train RUN`` reads ``run.json`` and ``inputs.json`` in the folder RUN, goes on
from the last good checkpoint there, and tells what it does in JSON lines on standard output.
"""
