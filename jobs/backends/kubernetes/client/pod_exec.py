"""Runs a program in a container of a pod and streams its output, like ``kubectl exec``.

The official client keeps all output in memory and copies it with each frame. Here each frame is passed on.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from starfreight.errors import ServiceError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.refusals import clean, no_answer

_OUTPUT, _ERRORS, _END = 1, 2, 3
_PROTOCOL = "v4.channel.k8s.io"
_LONGEST_ERRORS = 1 << 14
_QUIET = 300


class Execution(io.RawIOBase):
    """Standard output of a program in a pod, as a stream of bytes.

    Args:
        cluster: the cluster.
        pod: name of the pod.
        container: name of the container.
        command: the program and its arguments.

    Raises:
        ServiceError: the program cannot be run.
    """

    def __init__(self, cluster: Cluster, pod: str, container: str, command: list[str]) -> None:
        from kubernetes.stream.ws_client import create_websocket, get_websocket_url
        from websocket import WebSocketException

        path = cluster.core("pods", f"{pod}/exec")
        api = cluster.api
        query = [("command", part) for part in command]
        query += [("container", container), ("stdout", "true"), ("stderr", "true")]
        headers: dict[str, str] = {"sec-websocket-protocol": _PROTOCOL}
        api.update_params_for_auth(headers, query, ["BearerToken"], path, "GET", None)
        self._where = f"pod {pod}, namespace {cluster.namespace}"
        self._cluster = cluster
        self.errors = b""
        """Standard error of the program, up to a limit."""
        self.exit_code: int | None = None
        self._rest = b""
        try:
            address: Any = get_websocket_url  # Both are untyped.
            connect: Any = create_websocket
            self._socket: Any = connect(api.configuration, address(cluster.server + path, query), headers)
            self._socket.settimeout(_QUIET)
        except WebSocketException as error:
            status, answer = getattr(error, "status_code", None), getattr(error, "resp_body", None)
            if status:
                raise cluster.refusal(status, answer or b"", path, "POST") from None
            raise no_answer(error, cluster.origin) from None
        except OSError as error:
            raise no_answer(error, cluster.origin) from None
        self._frames = self._read_frames()

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Reads the next bytes of standard output; 0 at the program's end."""
        while not self._rest:
            piece = next(self._frames, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Closes the connection, which also ends a program that is still writing."""
        if not self.closed:
            self._socket.close()
        super().close()

    def _read_frames(self) -> Iterator[bytes]:
        from websocket import ABNF, WebSocketException

        try:
            while True:
                kind, frame = self._socket.recv_data_frame(True)
                if kind == ABNF.OPCODE_CLOSE:
                    return
                if kind not in (ABNF.OPCODE_BINARY, ABNF.OPCODE_TEXT) or not frame.data:
                    continue
                channel, data = frame.data[0], bytes(frame.data[1:])
                if channel == _OUTPUT and data:
                    yield data
                elif channel == _ERRORS:
                    self.errors = (self.errors + data)[:_LONGEST_ERRORS]
                elif channel == _END:
                    self.exit_code = _exit_code(data)
                    return
        except (WebSocketException, OSError) as error:
            raise ServiceError(
                f"The connection to the pod was lost: {clean(error)}",
                where=self._where,
                fix="run the same command again",
            ) from None


def _exit_code(status: bytes) -> int:
    """Exit code in the ``Status`` at the end of an execution."""
    try:
        value = json.loads(status)
        if value.get("status") == "Success":
            return 0
        return int(value["details"]["causes"][0]["message"])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return 1
