"""Certificates and timestamps: the material of a bundle, and everything that an authority may answer."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from private_ca import PrivateCa
from rfc3161_client import decode_timestamp_response

from starfreight.errors import InputError, ServiceError
from starfreight.packager.provenance.signing.certificate import CertificateSigner, read_certificate
from starfreight.packager.provenance.signing.envelope import pre_authentication_encoding
from starfreight.packager.provenance.signing.local_key import LocalKey, check_signature
from starfreight.packager.provenance.signing.timestamp_authority import TimestampAuthority


def test_a_signature_has_its_certificate_and_a_timestamp(private_ca: PrivateCa) -> None:
    certificate = read_certificate(private_ca.certificate)
    authority = TimestampAuthority(private_ca.timestamps)
    signer = CertificateSigner(LocalKey.load(private_ca.key, None), certificate, authority)
    signature = signer.sign_statement(b"a statement")
    message = pre_authentication_encoding(b"a statement")
    check_signature(certificate.public_key(), message, signature.value)  # type: ignore[arg-type]
    (stamp,) = signature.material.timestamps
    assert decode_timestamp_response(stamp).tst_info.gen_time is not None
    assert signature.material.key_hint is None


def test_the_certificate_of_another_key_is_refused(
    private_ca: PrivateCa, make_key: Callable[..., Any]
) -> None:
    key = LocalKey.load(make_key().private, b"correct horse")
    with pytest.raises(InputError, match="another key"):
        CertificateSigner(
            key, read_certificate(private_ca.certificate), TimestampAuthority(private_ca.timestamps)
        )


@pytest.mark.parametrize(
    "valid", [(timedelta(days=-2), timedelta(days=-1)), (timedelta(hours=1), timedelta(hours=2))]
)
def test_a_certificate_that_is_not_valid_now_is_refused(
    private_ca: PrivateCa, valid: tuple[timedelta, timedelta]
) -> None:
    path = private_ca.issue("other.pem", valid)
    with pytest.raises(InputError, match="not now"):
        CertificateSigner(
            LocalKey.load(private_ca.key, None), read_certificate(path), TimestampAuthority("http://x/")
        )


@pytest.mark.parametrize(
    "address",
    [
        "", "tsa.example.org", "file:///etc/passwd", "https://me:secret@host/", "http://[", "http://host:99999/",
        "http://host/\n", "http://a b/",
    ],
)  # fmt: skip
def test_a_wrong_address_is_refused_and_shows_no_password(address: str) -> None:
    with pytest.raises(InputError) as caught:
        TimestampAuthority(address)
    assert "secret" not in str(caught.value)


@pytest.fixture
def answering() -> Iterator[Callable[[int, bytes], str]]:
    """Starts an authority that always gives the same answer."""
    running = []

    def start(status: int, body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "http://127.0.0.1:1/")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, b"", "answers 404"),
        (302, b"", "answers 302"),
        (200, b"", "not a timestamp"),
        (200, b"<html>", "not a timestamp"),
        (200, b"\x30\x80" * 1000, "not a timestamp"),
        (200, b"x" * 100_000, "sent more than"),
        (200, bytes.fromhex("300530030201 02".replace(" ", "")), "refuses: rejection"),
    ],
)
def test_any_other_answer_is_an_error(
    answering: Callable[[int, bytes], str], status: int, body: bytes, words: str
) -> None:
    with pytest.raises(ServiceError, match=words):
        TimestampAuthority(answering(status, body)).stamp(b"signature")


def test_a_timestamp_of_something_else_is_an_error(
    private_ca: PrivateCa, answering: Callable[[int, bytes], str]
) -> None:
    other = TimestampAuthority(private_ca.timestamps).stamp(b"another signature")
    with pytest.raises(ServiceError, match="of something else"):
        TimestampAuthority(answering(200, other)).stamp(b"signature")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
    ],
    ids=["not gzip", "not chunks"],
)
def test_an_answer_that_breaks_off_is_an_error(head: bytes) -> None:
    with raw_server(head) as (address, _), pytest.raises(ServiceError, match="does not answer"):
        TimestampAuthority(address).stamp(b"signature")


def test_an_endless_answer_is_an_error() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"X-Header: x\r\n" * 1000)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(ServiceError, match="larger than"):
            TimestampAuthority(f"http://127.0.0.1:{server.server_port}/").stamp(b"signature")
        server.shutdown()


def test_no_credentials_are_sent_and_no_one_else_says_how_long_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 1000000\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with raw_server(busy) as (address, requests), pytest.raises(ServiceError, match="does not answer"):
        TimestampAuthority(address).stamp(b"signature")
    assert len(requests) == 4 and not any(b"authorization" in each.lower() for each in requests)


@contextlib.contextmanager
def raw_server(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives everybody the same bytes; yields its address, and the heads of the requests."""
    heads: list[bytes] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b"".join(iter(self.rfile.readline, b"\r\n"))
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            self.rfile.read(length)
            heads.append(head)
            self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", heads
        server.shutdown()


def test_an_authority_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ServiceError, match="does not answer"):
        TimestampAuthority("http://127.0.0.1:9/").stamp(b"signature")
