"""The server: a thread for each connection, for as long as a ``with`` block takes.

with serve_packages([Path("packages/acme-coder")], "127.0.0.1", 0) as registry:
    pull(registry.tags[0].reference)
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from starfreight.errors import InputError, ServiceError
from starfreight.packager.serve.access import Access, OpenAccess
from starfreight.packager.serve.catalogue import Catalogue, ServedTag, build_catalogue
from starfreight.packager.serve.listen_address import ListenAddress, known_names
from starfreight.packager.serve.request_handler import RequestHandler

MAX_CONNECTIONS = 512
"""Ollama opens up to sixteen for each pull."""


@dataclass(frozen=True)
class AddressedTag:
    """A tag and the reference to pull it by."""

    reference: str
    """``HOST:PORT/NAMESPACE/NAME:TAG``."""
    served: ServedTag

    def as_dict(self) -> dict[str, str]:
        """The tag as ``--json`` prints it."""
        return {
            "reference": self.reference,
            "package": str(self.served.folder),
            "format": self.served.format,
            "quantization": self.served.quantization,
            "digest": self.served.digest,
        }


@dataclass(frozen=True)
class ReadOnlyRegistry:
    """A running registry."""

    host: str
    """Host and port for clients: ``127.0.0.1:43211``."""
    port: int
    """The port that it listens at."""
    names: tuple[str, ...]
    """Every host that it answers to."""
    insecure: bool
    """Plain HTTP."""
    tags: tuple[AddressedTag, ...]


class RegistryServer(ThreadingHTTPServer):
    """The listening socket and everything that its connections share."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self,
        listen: ListenAddress,
        catalogue: Catalogue,
        access: Access,
        log: Callable[[str], None],
        context: ssl.SSLContext | None,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
        self.catalogue = catalogue
        self.access = access
        self.log = log
        self.names: tuple[str, ...] = ()
        self._context = context
        self._connections = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__((listen.host, listen.port), RequestHandler)

    @property
    def scheme(self) -> str:
        """``https`` with a certificate."""
        return "https" if self._context else "http"

    def server_bind(self) -> None:
        """Bind, without a look-up of this machine's name, which may take long."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection, unless there are too many."""
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection. The handshake is here, so that a silent client stops nobody else."""
        try:
            if self._context is not None:
                request.settimeout(RequestHandler.timeout)
                try:
                    request = self._context.wrap_socket(request, server_side=True)
                except (OSError, ValueError):
                    self.shutdown_request(request)
                    return
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle of an answer is nothing to report."""


@contextlib.contextmanager
def serve_packages(
    packages: Sequence[Path | tuple[Path, str | None]],
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    access: Access | None = None,
    names: tuple[str, ...] = (),
    certificate: tuple[Path, Path] | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Iterator[ReadOnlyRegistry]:
    """Serve packages to registry clients while the block runs.

    Args:
        packages: directories, optionally with a name (``NAMESPACE/NAME[:TAG]``); the default is
            ``starfreight/`` and the package's own name, at the tag ``latest``.
        host: address to listen at.
        port: port, 0 for any free one.
        access: who may read; everybody by default.
        names: further hosts by which clients call the server.
        certificate: files of the certificate chain and its key, for HTTPS.
        log: called with a line for each answer, by several threads.

    Raises:
        InputError: no package there, two with the same tag, or an unusable certificate.
        GateError: a package is damaged.
        ServiceError: the address is in use or not this machine's.
    """
    catalogue = build_catalogue([each if isinstance(each, tuple) else (each, None) for each in packages])
    with serve_catalogue(
        catalogue, host, port, access=access, names=names, certificate=certificate, log=log
    ) as registry:
        yield registry


@contextlib.contextmanager
def serve_catalogue(
    catalogue: Catalogue,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    access: Access | None = None,
    names: tuple[str, ...] = (),
    certificate: tuple[Path, Path] | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Iterator[ReadOnlyRegistry]:
    """Serve the manifests and blobs of a catalogue while the block runs.

    Arguments and errors as for :func:`serve_packages`.
    """
    context = None if certificate is None else _tls(*certificate)
    listen = ListenAddress(host, port)
    known_names(listen, port, names)
    try:
        server = RegistryServer(listen, catalogue, access or OpenAccess(), log, context)
    except OSError as error:
        raise ServiceError(
            f"The server cannot listen there: {error.strerror or error}.",
            where=f"{host}:{port}",
            fix="choose another port, or the address of this machine",
        ) from error
    server.names = known_names(listen, server.server_port, names)
    first = server.names[0]
    tags = tuple(AddressedTag(f"{first}/{tag.repository}:{tag.tag}", tag) for tag in catalogue.tags)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield ReadOnlyRegistry(first, server.server_port, server.names, context is None, tags)
    finally:
        server.shutdown()
        server.server_close()


def _tls(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2

    def no_password() -> str:
        raise InputError(
            "The key of the certificate is encrypted.",
            where=str(key),
            fix="decrypt it into a file that only you can read: openssl pkey -in KEY -out PLAIN",
        )

    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            f"The certificate or its key cannot be used: {getattr(error, 'reason', None) or error}.",
            where=f"{certificate}, {key}",
            fix="name files in PEM format that belong together",
        ) from error
    return context
