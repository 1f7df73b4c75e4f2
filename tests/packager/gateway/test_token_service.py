"""The token service by itself: its socket and what it refuses to replace."""

from __future__ import annotations

import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.packager.gateway.load import parse_settings
from starfreight.packager.gateway.token_service import TokenService


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    (tmp_path / "keys").write_text("")
    text = b"host: a\nregistry: {url: 'http://b'}\nrepositories: [a/*]\nusers: {authorized_keys: keys}\n"
    return parse_settings(text, "gateway.yaml", tmp_path)


def test_the_socket_is_private_and_goes_with_the_service(settings: Any, tmp_path: Path) -> None:
    path = tmp_path / "access.sock"
    service = TokenService(settings, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    thread = threading.Thread(target=service.serve)
    thread.start()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /check HTTP/1.1\r\nHost: a\r\nX-Kind: blobs\r\nX-Repository: ../x\r\n\r\n")
        assert client.recv(1000).startswith(b"HTTP/1.1 403")
    with pytest.raises(InputError, match="answers there already"):
        TokenService(settings, path)
    service.stop()
    thread.join(10)
    assert not path.exists()


def test_a_socket_of_a_killed_service_is_replaced_and_nothing_else(settings: Any, tmp_path: Path) -> None:
    path = tmp_path / "access.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    TokenService(settings, path).close()
    path.write_text("mine")
    with pytest.raises(InputError, match="not a socket"):
        TokenService(settings, path)
    assert path.read_text() == "mine"
    with pytest.raises(InputError, match="too long"):
        TokenService(settings, tmp_path / ("a" * 120))


def test_without_users_or_with_a_faulty_file_it_does_not_start(settings: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no users"):
        TokenService(settings.model_copy(update={"users": None}), tmp_path / "s")
    (tmp_path / "keys").write_text("ssh-rsa AAAA\n")
    with pytest.raises(InputError, match="line 1"):
        TokenService(settings, tmp_path / "s")
    assert not (tmp_path / "s").exists()
