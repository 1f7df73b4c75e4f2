"""Nodes whose GPU failed under a job. A job that is created again avoids them.

The pods of a Job are all alike, and their template cannot change once it has started, so the retries of one
Job may meet the same node again. ``jobs resume`` and ``jobs run`` create a failed Job anew: then its pods get
a node affinity. The nodes come from the pods that are still there, and from the annotation of the job before.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from starfreight.errors import GpuFault, StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.container_log import PodLine
from starfreight.jobs.backends.kubernetes.client.job_status import container_status, containers
from starfreight.jobs.backends.kubernetes.client.refusals import clean
from starfreight.jobs.backends.kubernetes.client.targets import Target, pod_templates, pods_of
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.jobs.protocol.events import receive

ANNOTATION_SICK = "dev.starfreight/sick-nodes"
"""Names of the nodes that a job avoids, separated by commas."""

_NODE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_MOST = 20
"""Nodes to avoid; the oldest are forgotten."""
_MOST_WORDS = 300


@dataclass(frozen=True)
class NodeFault:
    """A pod's report of a GPU that failed.

    Attributes:
        node: its node.
        words: the report, if the pod left one.
    """

    node: str
    words: str


def fault_in(pod: Object) -> NodeFault | None:
    """The fault that a pod ended with; ``None`` for another end.

    The report is the last output of its container, which the cluster keeps as the termination message.
    """
    node = str((pod.get("spec") or {}).get("nodeName") or "")
    for name in containers(pod):
        ended = container_status(pod, name).get("terminated") or {}
        if ended.get("exitCode") == GpuFault.exit_code and _NODE.fullmatch(node):
            return NodeFault(node, _words(str(ended.get("message") or "")))
    return None


def nodes_to_avoid(pods: Iterable[Object], job: Object) -> list[str]:
    """Names of the nodes whose GPUs failed, by a job's pods and its annotation; the newest are the last."""
    noted = (job["metadata"].get("annotations") or {}).get(ANNOTATION_SICK, "")
    known = [name for name in noted.split(",") if _NODE.fullmatch(name)]
    found = [fault.node for pod in pods if (fault := fault_in(pod)) is not None]
    return list(dict.fromkeys((*known, *found)))[-_MOST:]


def avoiding(document: Object, nodes: Iterable[str]) -> Object:
    """A copy of a job's document whose pods are not scheduled to these nodes.

    The node's name is matched, not the label ``kubernetes.io/hostname``, which may differ from it. A term of
    an affinity with several is one of several choices, so each of them gets the condition.
    """
    names = list(nodes)
    if not names:
        return document
    copy: Object = json.loads(json.dumps(document))
    notes = copy["metadata"].get("annotations") or {}
    copy["metadata"]["annotations"] = {**notes, ANNOTATION_SICK: ",".join(names)}
    fields = [{"key": "metadata.name", "operator": "NotIn", "values": [name]} for name in names]
    for template in pod_templates(copy):
        pod = template.setdefault("spec", {})
        affinity = pod.setdefault("affinity", {}).setdefault("nodeAffinity", {})
        required = affinity.setdefault("requiredDuringSchedulingIgnoredDuringExecution", {})
        terms = required.get("nodeSelectorTerms") or [{}]
        for term in terms:
            there = term.get("matchFields") or []
            term["matchFields"] = [*there, *(field for field in fields if field not in there)]
        required["nodeSelectorTerms"] = terms
    return copy


def away_from_sick_nodes(cluster: Cluster, target: Target, old: Object, document: Object) -> Object:
    """The new document of a job that is created again, without the nodes that failed under the old one.

    Args:
        cluster: the cluster; its console shows the nodes.
        target: the old job.
        old: its object.
        document: of the new job.
    """
    try:
        pods = pods_of(cluster, target)
    except StarfreightError:
        pods = []
    nodes = nodes_to_avoid(pods, old)
    if nodes:
        cluster.console.note(
            f"{target.name}: its pods avoid {', '.join(nodes)}, where a GPU failed. To use "
            f"{'it' if len(nodes) == 1 else 'them'} again: starfreight jobs delete {target.name} "
            f"{cluster.on}, and submit the recipe"
        )
    return avoiding(document, nodes)


def remember_sick_nodes(cluster: Cluster, target: Target, lines: Iterable[PodLine]) -> Iterator[str]:
    """Yields the text of lines, and notes on the job the node of each pod that reports a fault of its GPU.

    A JobSet deletes the pods of a failed attempt at once, and with them the names of their nodes.
    """
    for line in lines:
        yield line.text
        if '"GpuFault"' in line.text and _NODE.fullmatch(line.node):
            event = receive(line.text)
            if event is not None and event["event"] == "error" and event.get("kind") == "GpuFault":
                # A user without the right loses the note alone.
                with contextlib.suppress(StarfreightError):
                    _remember(cluster, target, line.node)


def _remember(cluster: Cluster, target: Target, node: str) -> None:
    job = cluster.find(target.path(cluster))
    if job is None:
        return
    known = nodes_to_avoid((), job)
    if node not in known:
        note = ",".join((*known, node)[-_MOST:])
        cluster.patch(target.path(cluster), {"metadata": {"annotations": {ANNOTATION_SICK: note}}})
        cluster.console.note(
            f"A GPU of the node {node} failed. {target.name} avoids this node when it is created again: "
            f"starfreight jobs resume {target.name} {cluster.on}"
        )


def _words(message: str) -> str:
    """The error in a pod's last output."""
    for line in reversed(message.splitlines()):
        event = receive(line)
        if event is not None and event["event"] == "error":
            place = f" ({event['where']})" if event.get("where") else ""
            return clean(f"{event['what']}{place}")[:_MOST_WORDS]
    return ""
