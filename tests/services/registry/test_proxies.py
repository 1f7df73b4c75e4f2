"""Credentials pass through a proxy over TLS only."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from listeners import BASIC, BLOB, PASSWORD, Listener, basic, bearer, pull, trust, writer

from starfreight.console import Console
from starfreight.errors import ServiceError
from starfreight.packager.registry.push import publish


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_a_proxy_does_not_see_the_credentials_for_a_registry_over_plain_http(
    scheme: str, variable: str, listen: Callable[[str], Listener], entitle: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    proxy = listen("127.0.0.1")
    proxy.answer = basic if scheme == "basic" else bearer("http://registry.example.org/token")
    monkeypatch.setenv(variable, f"http://{proxy.host}")
    entitle("registry.example.org")
    with pytest.raises(ServiceError, match=r"would read the credentials: registry\.example\.org") as caught:
        writer("registry.example.org").connect()
    assert "set NO_PROXY=registry.example.org" in str(caught.value)
    assert proxy.asked == ["GET http://registry.example.org/v2/"]
    assert not proxy.authorizations
    proxy.answer = lambda path, authorization: (200, {}, BLOB)
    pull(writer("registry.example.org"), tmp_path)  # Without credentials, a proxy is fine.


def test_a_proxy_does_not_see_an_identity_token_in_a_body(
    listen: Callable[[str], Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = listen("127.0.0.1")
    proxy.answer = bearer("http://registry.example.org/token")
    monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", "<token>")
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", PASSWORD)
    with pytest.raises(ServiceError, match="would read the credentials"):
        writer("registry.example.org").connect()
    assert proxy.asked == ["GET http://registry.example.org/v2/"]
    assert not proxy.authorizations


def test_a_proxy_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int], impatient: None
) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:hidden-word@127.0.0.1:{free_port()}")
    with pytest.raises(
        ServiceError, match=r"registry\.example\.org through the proxy 127\.0\.0\.1"
    ) as caught:
        writer("registry.example.org").connect()
    assert "hidden-word" not in str(caught.value)


def test_a_registry_on_this_machine_is_used_without_a_proxy(
    home: Listener, listen: Callable[[str], Listener], entitle: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    proxy = listen("127.0.0.1")
    monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
    entitle(home.host)
    writer(home.host).connect()
    assert home.authorizations == [BASIC]
    assert not proxy.asked


class Tunnel(threading.Thread):
    """A proxy that connects, and keeps what it could read."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.seen = b""

    def run(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = client.recv(65536)
        self.seen += head
        host, _, port = head.split()[1].decode().partition(":")
        with socket.create_connection((host, int(port))) as server, client:
            client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            while True:
                ready, _, _ = select.select([client, server], [], [], 30)
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    self.seen += data
                    (server if one is client else client).sendall(data)


def test_through_a_proxy_credentials_travel_over_tls(
    locked_registry: Any, package_folder: Path, repository: str, console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("starfreight.registry.session.is_loopback", lambda origin: False)
    trust(locked_registry, monkeypatch)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", locked_registry.username)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", locked_registry.password)
    tunnel = Tunnel()
    tunnel.start()
    with tunnel.listener:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{tunnel.listener.getsockname()[1]}")
        reference = f"{locked_registry.host}/{repository}:1.0"
        assert publish(package_folder, reference, insecure=False, console=console).bytes_sent > 0
        # Wakes accept: a signal would restart it later, with a number that another socket may have by then.
        tunnel.listener.shutdown(socket.SHUT_RDWR)
    assert tunnel.seen.startswith(f"CONNECT {locked_registry.host}".encode())
    assert b"uthorization" not in tunnel.seen
