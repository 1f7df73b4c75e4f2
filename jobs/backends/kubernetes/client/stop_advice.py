"""Advice in the output of a stopped job: its program does not know that the cluster continues it."""

from __future__ import annotations

import json

from starfreight.jobs.backends.kubernetes.client.targets import Target
from starfreight.jobs.protocol.events import receive


def with_advice(line: str, target: Target, on: str) -> str:
    """A line of a job's output; the report of a stop says how the job goes on in a cluster.

    A pod that is preempted, evicted or drained is replaced without anybody's doing. After ``jobs cancel`` the
    job waits for ``jobs resume``, which reaches it with the options ``on``.
    """
    event = receive(line)
    if event is None or event["event"] != "error" or event.get("kind") != "JobStopped":
        return line
    advice = (
        "nothing, if the cluster stopped it: it continues in a new pod. After jobs cancel: "
        f"starfreight jobs resume {target.name} {on}"
    )
    return json.dumps({**event, "next": advice})
