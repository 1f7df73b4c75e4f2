"""Answers of the read-only registry: GET and HEAD of known manifests and blobs, and nothing else.

Ollama asks for a blob and needs a ``Location`` in the answer; it then reads ranges from there, up to sixteen
at once, without credentials (``server/download.go``). The ``Location`` is a path: Go resolves it against the
address of the request, so it can never name another server.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

from starfreight.errors import GateError
from starfreight.packager.ollama_access.refusal import AccessRefused
from starfreight.packager.ollama_access.repositories import is_repository
from starfreight.packager.serve.access import Reader, ReadRequest
from starfreight.packager.serve.byte_ranges import ByteRange, parse_range
from starfreight.packager.serve.catalogue import ServedBlob, ServedManifest

if TYPE_CHECKING:
    from starfreight.packager.serve.read_only_registry import RegistryServer

TOKEN_PATH = "/token"
_JSON = "application/json"
_SECONDS = 60
"""A client that neither sends nor reads anything for so long is disconnected."""
_ANY_TYPE = ("*/*", "application/*")


class RequestHandler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "starfreight"
    sys_version = ""
    timeout = _SECONDS
    disable_nagle_algorithm = True
    error_content_type = _JSON
    error_message_format = '{"errors": [{"code": "UNSUPPORTED"}]}'

    @property
    def registry(self) -> RegistryServer:
        """The server."""
        return cast("RegistryServer", self.server)

    def do_GET(self) -> None:
        """Answer a request."""
        self._who = ""
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # Its body is never read.
        if self.headers.defects or self.headers.get_payload():
            # A proxy may read such lines as headers, and so take the next request for a body, or the reverse.
            self.close_connection = True
            self._refuse(400, "UNSUPPORTED", "the request's headers are malformed")
            return
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or hosts[0].lower() not in self.registry.names:
            shown = hosts[0][:100] if len(hosts) == 1 else ""
            self._refuse(
                421, "UNKNOWN_HOST", f"this server is not called {shown!r}; start it with --name HOST:PORT"
            )
            return
        target = urlsplit(self.path) if self.path.startswith("/") else urlsplit("/")
        if target.path == TOKEN_PATH:
            self._token(hosts[0])
        else:
            self._read(hosts[0], target.path, target.query)

    do_HEAD = do_GET

    def _refuse_method(self) -> None:
        self.close_connection = True
        self._who = ""
        self._refuse(405, "UNSUPPORTED", "this registry is read-only", Allow="GET, HEAD")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_CONNECT = do_TRACE = _refuse_method

    def _token(self, host: str) -> None:
        url = f"{self.registry.scheme}://{host}{self.path}"
        try:
            issued = self.registry.access.sign_in(url, self.headers.get("Authorization"))
        except AccessRefused as refused:
            self._who = refused.who or ""
            self._refuse(refused.status, "UNAUTHORIZED", refused.what)
            return
        if issued is None or self.command != "GET":
            self._refuse(404, "NOT_FOUND", "no such address")
            return
        self._who = issued.key.name
        self._send(200, issued.as_json(), {"Content-Type": _JSON, "Cache-Control": "no-store"})

    def _read(self, host: str, path: str, query: str) -> None:
        parts = path.split("/")
        if len(parts) != 6 or parts[:2] != ["", "v2"] or parts[4] not in ("manifests", "blobs", "referrers"):
            if path == "/v2/":
                headers = {"Content-Type": _JSON, "Docker-Distribution-Api-Version": "registry/2.0"}
                self._send(200, b"{}", headers)
            else:
                self._refuse(404, "NOT_FOUND", "no such address")
            return
        request = ReadRequest(
            "/".join(parts[2:4]), parts[4], parts[5], query, self.headers.get("Authorization")
        )
        try:
            reader = self.registry.access.reader(request)
        except AccessRefused as refused:
            self._who = refused.who or ""
            self._challenge(host, request.repository, refused)
            return
        self._who = reader.name
        self._answer(request, reader, path)

    def _challenge(self, host: str, repository: str, refused: AccessRefused) -> None:
        realm = f"{self.registry.scheme}://{host}{TOKEN_PATH}"
        challenge = None
        if refused.status == 401 and is_repository(repository):
            challenge = self.registry.access.challenge(realm, repository)
        headers = {"WWW-Authenticate": challenge} if challenge else {}
        self._refuse(refused.status, "UNAUTHORIZED", refused.what, **headers)

    def _answer(self, request: ReadRequest, reader: Reader, path: str) -> None:
        catalogue, key = self.registry.catalogue, (request.repository, request.name)
        if request.kind == "manifests" and (manifest := catalogue.manifests.get(key)):
            self._manifest(manifest)
        elif request.kind == "blobs" and (blob := catalogue.blobs.get(key)):
            query = self.registry.access.blob_query(request, reader)
            self._blob(blob, f"{path}?{query}" if query else path)
        elif request.kind == "referrers" and (index := catalogue.referrers.get(key)):
            self._referrers(index, request.query)
        else:
            code = {"manifests": "MANIFEST_UNKNOWN", "blobs": "BLOB_UNKNOWN"}.get(request.kind, "NOT_FOUND")
            self._refuse(404, code, "not in this registry")

    def _manifest(self, manifest: ServedManifest) -> None:
        accepted = ",".join(self.headers.get_all("Accept") or [])
        types = {each.partition(";")[0].strip().lower() for each in accepted.split(",")}
        if accepted.strip() and types.isdisjoint((manifest.media_type, *_ANY_TYPE)):
            self._refuse(404, "MANIFEST_UNKNOWN", f"it has the type {manifest.media_type}")
            return
        headers = {"Content-Type": manifest.media_type, "Docker-Content-Digest": manifest.digest}
        self._send(200, manifest.data, {**headers, "ETag": f'"{manifest.digest}"', "Vary": "Accept"})

    def _referrers(self, index: ServedManifest, query: str) -> None:
        wanted = parse_qs(query, max_num_fields=10).get("artifactType")
        data, headers = index.data, {"Content-Type": index.media_type}
        if wanted:
            document: dict[str, Any] = json.loads(data)
            document["manifests"] = [
                each for each in document["manifests"] if each["artifactType"] == wanted[0]
            ]
            data, headers["OCI-Filters-Applied"] = json.dumps(document).encode(), "artifactType"
        self._send(200, data, headers)

    def _blob(self, blob: ServedBlob, location: str) -> None:
        size, tag = blob.descriptor.size, f'"{blob.descriptor.digest}"'
        whole = ByteRange(0, size)
        part = None
        if self.command == "GET" and self.headers.get("If-Range") in (None, tag):
            try:
                part = parse_range(self.headers.get("Range"), size)
            except ValueError:
                self._refuse(
                    416, "RANGE_INVALID", f"it has {size} bytes", **{"Content-Range": f"bytes */{size}"}
                )
                return
        sent = part or whole
        headers = {
            "Content-Type": "application/octet-stream",
            "Docker-Content-Digest": blob.descriptor.digest,
            "ETag": tag,
            "Accept-Ranges": "bytes",
        }
        if part is not None:
            headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
        if self.command == "GET":
            headers["Location"] = location
        try:
            with blob.source.open(blob.descriptor) as stream:
                self._head(206 if part else 200, sent.length, headers)
                if self.command == "GET" and sent.length:
                    done = self.connection.sendfile(stream, sent.start, sent.length)
                    if done != sent.length:  # The file became shorter; the client must not wait for the rest.
                        self.close_connection = True
        except GateError as error:
            self._refuse(500, "UNKNOWN", f"the package has changed: {error.what}")

    def _refuse(self, status: int, code: str, message: str, **headers: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        self._send(status, body, {"Content-Type": _JSON, **headers})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(status, len(body), headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: :meth:`log_request` has all that is worth a line."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """One line for each answer."""
        # No query: it may hold a signature, which is good for an hour.
        path = getattr(self, "path", "").partition("?")[0][:300]
        part = self.headers.get("Range", "")[:60] if hasattr(self, "headers") else ""
        who = getattr(self, "_who", "") or "-"
        method = str(getattr(self, "command", None) or "-")[:20]
        line = (
            f"{self.log_date_time_string()} {self.client_address[0]} {who} {method} {path} {int(code)} {part}"
        )
        self.registry.log(line.rstrip())
