"""The training program: the same in a plain process, in a container and in a cluster.

``python -P -m starfreight.jobs.train RUN`` reads ``run.json`` and ``inputs.json`` from the run directory
RUN, resumes from the last valid checkpoint in it, and reports progress as JSON lines on standard output.
"""
