"""The cluster's API, over the connections and credentials of the official client.

Objects are plain JSON as sent by the server. The client's typed models take many times the memory and drop
unknown fields, which jobs rendered for other versions of Kubernetes may have.
"""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import json
from collections.abc import Iterator, Mapping
from typing import Any

from starfreight.console import Console
from starfreight.errors import ServiceError, StarfreightError
from starfreight.jobs.backends.kubernetes.client.permissions import Permissions, operation
from starfreight.jobs.backends.kubernetes.client.refusals import Origin, no_answer, refusal
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

_CONNECT = 10.0
_READ = 60.0
_ATTEMPTS = 3
_LARGEST = 256 << 20
"""Maximum size of an answer in bytes; the largest ones are pages of lists."""


class Cluster:
    """The API of a cluster for one user and one namespace.

    Args:
        api: the official client's ``ApiClient``.
        namespace: namespace of the jobs.
        context: the kubeconfig's context, for messages.
        console: shows warnings of the server.
        on: options of commands that reach this namespace of this cluster, for messages.
    """

    def __init__(
        self, api: Any, namespace: str, context: str, console: Console, on: str = "--on kubernetes"
    ) -> None:
        self.api = api
        self.namespace = namespace
        self.context = context
        self.console = console
        self.on = on
        self._skew = datetime.timedelta(0)
        self._warned: set[str] = set()
        self._permissions = Permissions(console)

    @property
    def server(self) -> str:
        """Address of the API server."""
        return str(self.api.configuration.host)

    @property
    def origin(self) -> Origin:
        """Details of this cluster for error messages, and the credentials to remove from them."""
        settings = self.api.configuration
        held = [*settings.api_key.values(), settings.password, settings.access_token]
        secrets = (part for value in held if value for part in (str(value), str(value).rpartition(" ")[2]))
        return Origin(self.context, self.server, self.namespace, tuple(secrets), self.on)

    def version(self) -> str:
        """Version of the API server, e.g. ``v1.34.2``.

        Raises:
            ServiceError: the server refuses, or does not answer.
        """
        return str(self.get("/version").get("gitVersion") or "unknown")

    def now(self) -> datetime.datetime:
        """Current time by the server's clock, from its last answer; this machine's clock may be wrong."""
        return datetime.datetime.now(datetime.UTC) + self._skew

    def jobs(self, name: str = "") -> str:
        """Path of the namespace's Jobs, or of the one with a name."""
        return self.path("apis/batch/v1", "jobs", name)

    def core(self, kind: str, name: str = "") -> str:
        """Path of the namespace's objects of a core kind, e.g. ``pods``, or of the one with a name."""
        return self.path("api/v1", kind, name)

    def path(self, group: str, kind: str, name: str = "") -> str:
        """Path of the namespace's objects of any kind, e.g. of ``apis/batch/v1`` and ``jobs``."""
        return f"/{group}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def get(self, path: str, **query: str | int) -> Object:
        """Reads an object, or a page of a list.

        Raises:
            InputError: it does not exist.
            ServiceError: the server refuses, or does not answer.
        """
        return self._json(*self._call("GET", path, query), path)

    def page(self, path: str, query: Mapping[str, str | int]) -> tuple[int, Object]:
        """Reads a page of a list; returns the status, too, which is 410 if the list's version has expired.

        Raises:
            InputError: the list does not exist.
            ServiceError: the server refuses, or does not answer.
        """
        status, answer = self._call("GET", path, query, allowed=(410,))
        return status, self._json(status, answer, path)

    def find(self, path: str) -> Object | None:
        """Reads an object; ``None`` if it does not exist.

        Raises:
            ServiceError: the server refuses, or does not answer.
        """
        status, answer = self._call("GET", path, {}, allowed=(404,))
        return None if status == 404 else self._json(status, answer, path)

    def create(self, path: str, body: Object, *, dry_run: bool = False) -> Object | None:
        """Creates an object; ``None`` if its name is taken.

        Args:
            path: of its kind.
            body: the object.
            dry_run: only let the server validate it; unknown fields are errors.

        Raises:
            RecipeError: the server rejects it as invalid.
            ServiceError: the server refuses, or does not answer.
        """
        query = {"dryRun": "All", "fieldValidation": "Strict"} if dry_run else {}
        status, answer = self._call("POST", path, query, body, allowed=(409,))
        if status == 409:
            if b'"AlreadyExists"' in answer:
                return None
            raise refusal(status, answer, "POST", path, self.origin)
        return self._json(status, answer, path)

    def patch(self, path: str, body: Object) -> Object | None:
        """Changes an object by a merge patch; ``None`` if it does not exist.

        Raises:
            RecipeError: the server rejects the change as invalid.
            ServiceError: the server refuses, or does not answer.
        """
        status, answer = self._call("PATCH", path, {}, body, allowed=(404,))
        return None if status == 404 else self._json(status, answer, path)

    def delete(self, path: str, **options: Any) -> bool:
        """Deletes an object; false if it did not exist.

        Args:
            path: of the object.
            options: of the API's ``DeleteOptions``.

        Raises:
            ServiceError: the server refuses, or does not answer.
        """
        status, answer = self._call("DELETE", path, {}, options, allowed=(404, 409))
        if status == 409:  # Another object has its name now, so this one is gone.
            return False
        if status >= 300 and status != 404:
            raise refusal(status, answer, "DELETE", path, self.origin)
        return status != 404

    @contextlib.contextmanager
    def stream(self, path: str, *, quiet_for: float, **query: str | int) -> Iterator[tuple[int, Any]]:
        """Opens a streamed answer, e.g. a watch or a log.

        Args:
            path: of the resource.
            quiet_for: seconds without data after which the connection counts as broken.
            query: parameters of the request.

        Yields:
            the status and the response, a urllib3 ``HTTPResponse`` to read from.
        """
        asked = operation("GET", path, query)
        while True:
            response = self._send("GET", path, query, None, (_CONNECT, quiet_for), packed=False)
            kind = response.headers.get("Content-Type")
            if not self._permissions.shall_repeat(asked, response.status, kind):
                break
            response.close()
        self._permissions.answered(asked, response.status, kind)
        try:
            yield response.status, response
        finally:
            response.close()

    def refusal(self, status: int, answer: bytes, path: str, method: str = "GET") -> StarfreightError:
        """The error for an answer to a streamed request."""
        return refusal(status, answer, method, path, self.origin)

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        body: Object | None = None,
        allowed: tuple[int, ...] = (),
    ) -> tuple[int, bytes]:
        """Status and body of an answer; any status but success and those allowed is an error."""
        asked = operation(method, path, query)
        earlier = self._permissions.earlier_refusal(asked)
        if earlier is not None:
            raise refusal(*earlier, method, path, self.origin)
        while True:
            response, answer = self._send_and_read(method, path, query, body)
            kind = response.headers.get("Content-Type")
            if not self._permissions.shall_repeat(asked, response.status, kind):
                break
        self._note_date(response.headers.get("Date"))
        for warning in response.headers.getlist("Warning"):
            self._warn(warning)
        if len(answer) > _LARGEST:
            raise ServiceError(
                f"The API server's answer is larger than {_LARGEST:,} bytes.",
                where=f"{self.server}{path}",
                fix="check that the kubeconfig names a Kubernetes cluster",
            )
        self._permissions.answered(asked, response.status, kind)
        if response.status not in allowed and not 200 <= response.status < 300:
            self._permissions.refused(asked, response.status, answer)
            raise refusal(response.status, answer, method, path, self.origin)
        return response.status, answer

    def _send_and_read(
        self, method: str, path: str, query: Mapping[str, str | int], body: Object | None
    ) -> tuple[Any, bytes]:
        """An answer with its whole body. A GET whose body breaks off is repeated."""
        import urllib3

        for attempt in range(_ATTEMPTS):
            response = self._send(method, path, query, body, (_CONNECT, _READ))
            try:
                answer = response.read(_LARGEST + 1, decode_content=True)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                response.close()
                if method != "GET" or attempt == _ATTEMPTS - 1:
                    raise no_answer(error, self.origin) from None
            else:
                response.release_conn()
                return response, answer
        raise AssertionError  # The last attempt returns or raises.

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int],
        body: Object | None,
        timeout: tuple[float, float],
        *,
        packed: bool = True,
    ) -> Any:
        import urllib3
        from kubernetes.client.exceptions import ApiException

        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Accept": "*/*", "Content-Type": kind, "Accept-Encoding": "gzip" if packed else "identity"}
        try:
            request = self.api.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            method, url, sent, body, _ = request
            return self.api.call_api(method, url, sent, body, _request_timeout=timeout).response
        except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
            raise no_answer(error, self.origin) from None

    def _json(self, status: int, answer: bytes, path: str) -> Object:
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise ServiceError(
                f"The server is not a Kubernetes API server: it sent {answer[:40]!r}.",
                where=f"{self.server}{path}",
                fix="check the address in the kubeconfig; a proxy or a login page may answer instead",
            )
        return value

    def _note_date(self, date: str | None) -> None:
        with contextlib.suppress(TypeError, ValueError):
            there = email.utils.parsedate_to_datetime(date or "")
            skew = there - datetime.datetime.now(datetime.UTC)
            # The header has a resolution of one second.
            self._skew = skew if abs(skew.total_seconds()) > 2 else datetime.timedelta(0)

    def _warn(self, warning: str) -> None:
        """Shows the text of a ``Warning`` header (``299 - "text"``), each once."""
        text = warning.partition('"')[2].rpartition('"')[0].replace('\\"', '"') or warning
        if text not in self._warned:
            self._warned.add(text)
            self.console.note(f"The API server warns: {text}")
