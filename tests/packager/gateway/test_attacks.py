"""Raw bytes against a gateway with a credential: nothing but pulls of allowed repositories gets through.

The registry behind it keeps no secrets from that credential: whatever passes nginx succeeds.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from typing import Any

import pytest
import requests
from servers import Server

DIGEST = "sha256:fbbab289f7f94b25736c58be46a994c441fd02552cc6022352e3d86d2fab7c83"
GOOD = "/v2/team/coder/manifests/1.0"
BLOB = f"/v2/team/coder/blobs/{DIGEST}"


def send(gateway: Any, data: bytes, seconds: float = 10) -> bytes:
    """Everything that the gateway answers on one connection."""
    host, _, port = gateway.host.rpartition(":")
    plain = socket.create_connection((host, int(port)), seconds)
    context = ssl.create_default_context(cafile=str(gateway.authority))
    with context.wrap_socket(plain, server_hostname="localhost") as stream:
        stream.settimeout(seconds)
        stream.sendall(data)
        answer = b""
        try:
            while piece := stream.recv(1 << 16):
                answer += piece
        except (TimeoutError, ConnectionError, ssl.SSLError):
            pass
        return answer


def request(gateway: Any, line: str, *headers: str, host: str | None = None, body: str = "") -> bytes:
    """One request, after which the connection is closed."""
    lines = [line, f"Host: {gateway.host if host is None else host}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", body]).encode("latin-1")


def statuses(answer: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


PATHS = [
    # The registry's other endpoints.
    "/",
    "/v2",
    "/v2/_catalog",
    "/v2/_catalog?n=1000",
    "/v2/team/coder/tags/list",
    "/v2/team/coder/tags/list?n=1",
    f"/v2/team/coder/referrers/{DIGEST}",
    "/v2/team/coder/blobs/uploads/",
    "/metrics",
    "/debug/pprof/",
    "/api/v2.0/projects",
    "/token",
    "/token?service=a",
    "/_users",
    "/_access",
    "/_token",
    # Other repositories.
    "/v2/secret/manifests/1.0",
    "/v2/other/coder/manifests/1.0",
    "/v2/team/lab/deep/manifests/1.0",
    f"/v2/other/coder/blobs/{DIGEST}",
    f"/v2/secret/blobs/{DIGEST}",
    "/v2/team/manifests/1.0",
    "/v2/TEAM/coder/manifests/1.0",
    "/v2/teams/coder/manifests/1.0",
    "/v2/xteam/coder/manifests/1.0",
    # `..` and doubled slashes, in every spelling; also where the path would end at an allowed one.
    "/v2/team/../other/coder/manifests/1.0",
    "/v2/team/coder/../../secret/manifests/1.0",
    "/v2/team/coder/manifests/../../../../_catalog",
    "/v2/other/../team/coder/manifests/1.0",
    "/v2/team/%2e%2e/other/coder/manifests/1.0",
    "/v2/team/%2E%2E/team/coder/manifests/1.0",
    "/v2/team/.%2e/other/coder/manifests/1.0",
    "/v2/team/%252e%252e/other/coder/manifests/1.0",
    "/v2/team%2f..%2fother/coder/manifests/1.0",
    "/v2/team/..%2fother/coder/manifests/1.0",
    "/v2/team/..%5cother/coder/manifests/1.0",
    "/v2/team/..\\other\\coder/manifests/1.0",
    "/v2/team/..;/other/coder/manifests/1.0",
    "/v2/team;/coder/manifests/1.0",
    "/v2/team/coder;x/manifests/1.0",
    "/v2/team/%c0%ae%c0%ae/other/coder/manifests/1.0",
    "/v2/team/./coder/manifests/1.0",
    "//v2/team/coder/manifests/1.0",
    "/v2//team/coder/manifests/1.0",
    "/v2/team//coder/manifests/1.0",
    "/v2/team/coder//manifests/1.0",
    "/v2/team/coder/manifests//1.0",
    "/./v2/team/coder/manifests/1.0",
    "/x/../v2/team/coder/manifests/1.0",
    # Escapes of what is allowed as it is, NUL, line ends, fragments, queries.
    "/v2/team/coder/manifests/1%2e0",
    "/v2/te%61m/coder/manifests/1.0",
    "/%762/team/coder/manifests/1.0",
    "/v2/team/coder/manifests/1.0%00",
    "/v2/team/coder%00/manifests/1.0",
    "/v2/team/coder/manifests/1.0%0d%0aX:%20y",
    "/v2/team/coder/manifests/1.0%20HTTP/1.1%0d%0aX",
    "/v2/team/coder/manifests/1.0#",
    "/v2/team/coder/manifests/1.0?",
    "/v2/team/coder/manifests/1.0?ns=docker.io",
    "/v2/team/coder/manifests/1.0?_method=DELETE",
    f"{BLOB}?a=b",
    f"{BLOB}/",
    f"{BLOB}%2f..",
    f"{BLOB}0",
    BLOB[:-1],
    BLOB.replace("sha256:", "sha512:"),
    BLOB.upper(),
    "/v2/team/coder/manifests/",
    "/v2/team/coder/manifests/-1.0",
    "/v2/team/coder/manifests/a/b",
    "/v2/team/coder/manifests/" + "a" * 129,
    f"/v2/team/coder/manifests/{DIGEST}0",
    "/v2/team/-coder/manifests/1.0",
    "/v2/team/coder-/manifests/1.0",
    "/v2/team/co..der/manifests/1.0",
    "/v2/" + "a/" * 300 + "b/manifests/1.0",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_is_no_allowed_pull_is_refused(gateway: Any, path: str) -> None:
    for method in ("GET", "HEAD"):
        (status,) = statuses(send(gateway, request(gateway, f"{method} {path} HTTP/1.1")))
        assert status in (400, 404, 414), (method, status)


@pytest.mark.parametrize(
    "method",
    [
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "CONNECT",
        "PROPFIND",
        "MKCOL",
        "COPY",
        "MOVE",
        "get",
        "GETX",
        "PURGE",
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        GOOD,
        BLOB,
        "/v2/team/coder/blobs/uploads/",
        f"/v2/team/coder/blobs/uploads/?mount={DIGEST}&from=secret",
    ],
)
def test_a_method_other_than_get_and_head_is_refused(gateway: Any, method: str, path: str) -> None:
    answer = send(gateway, request(gateway, f"{method} {path} HTTP/1.1", "Content-Length: 0"))
    assert set(statuses(answer)) <= {400, 405} and answer


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost",
        "127.0.0.1:80@evil",
        "a b",
        "{0}x",
        "{0}.",
        "{0}, evil",
        "[::1]",
    ],
)
def test_a_false_host_is_refused(gateway: Any, host: str) -> None:
    answer = send(gateway, request(gateway, f"GET {BLOB} HTTP/1.1", host=host.format(gateway.host)))
    assert statuses(answer) in ([421], [400])
    assert b"evil" not in answer


def test_the_location_names_this_gateway_whatever_the_client_says(gateway: Any) -> None:
    for header in ("X-Forwarded-Host: evil.example", "Forwarded: host=evil.example", "X-Host: evil.example",
                   "X-Forwarded-Proto: http", "X-Forwarded-Port: 1"):  # fmt: skip
        answer = send(gateway, request(gateway, f"GET {BLOB} HTTP/1.1", header, "Range: bytes=0-0"))
        assert statuses(answer) == [206]
        assert f"\r\nLocation: {gateway.url}{BLOB}\r\n".encode() in answer and b"evil" not in answer


@pytest.mark.parametrize(
    "line",
    ["GET http://{host}/v2/team/coder/manifests/1.0 HTTP/1.1", "GET http://evil.example/v2/_catalog HTTP/1.1",
     "GET https://{host}/v2/_catalog HTTP/1.1", "GET v2/team/coder/manifests/1.0 HTTP/1.1", "GET * HTTP/1.1",
     "GET  /v2/team/coder/manifests/1.0 HTTP/1.1", "GET /v2/team/coder/manifests/1.0  HTTP/1.1",
     "GET /v2/team/coder/manifests/1.0", "GET /v2/team/coder/manifests/1.0 HTTP/2.0",
     "GET /v2/team/coder/manifests/1.0 HTTP/3.1", "GET\t/v2/team/coder/manifests/1.0 HTTP/1.1",
     "GET /v2/team/coder/manifests/1.0 x HTTP/1.1", "PRI * HTTP/2.0", "\0GET /v2/ HTTP/1.1",
     "GET /v2/team/coder\0/manifests/1.0 HTTP/1.1", "GET /v2/team/coder\r/manifests/1.0 HTTP/1.1"],
)  # fmt: skip
def test_another_form_of_request_line_is_refused(gateway: Any, line: str) -> None:
    answer = send(gateway, request(gateway, line.format(host=gateway.host)))
    found = statuses(answer)
    assert found in ([], [400], [404], [421], [505], [405]), found
    assert b"schemaVersion" not in answer


@pytest.mark.parametrize(
    "header",
    [
        "X-HTTP-Method-Override: DELETE",
        "X-HTTP-Method: PUT",
        "X-Method-Override: PATCH",
        "X-Original-URL: /v2/_catalog",
        "X-Rewrite-URL: /v2/_catalog",
        "X-Original-URI: /v2/_catalog",
        "Upgrade: h2c",
        "Upgrade: websocket",
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Content-Length: 5",
        "Content-Length: -1",
        "Content-Length: 0, 0",
        "Content-Length: 99999999999999999999",
        "Range: bytes=0-0,2-2,4-4,6-6",
        "Range: bytes=0-,0-,0-,0-",
        "Range: bytes=-",
        "Range: bytes=a-b",
        "Range: lines=1-2",
        "Range: bytes=0-99999999999999999999999999",
        "Range: bytes=0-1 ,",
    ],
)
def test_a_header_that_changes_the_request_is_refused(gateway: Any, header: str) -> None:
    answer = send(gateway, request(gateway, f"GET {BLOB} HTTP/1.1", header, body="hello"))
    assert statuses(answer)[:1] in ([400], [416], [413], [501]), answer[:300]


@pytest.mark.parametrize(
    "rest",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        "Content-Length: {length}\r\n\r\n",
        "Content-Length: 0\r\nContent-Length: {length}\r\n\r\n",
        "X: y\r\n\r\n",
        "\n",
        "Host: evil.example\r\n\r\n",
        " X: folded\r\n\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
    ],
)
def test_nothing_is_smuggled_behind_a_request(gateway: Any, rest: str) -> None:
    second = f"GET /v2/_catalog HTTP/1.1\r\nHost: {gateway.host}\r\nConnection: close\r\n\r\n"
    first = f"GET {GOOD} HTTP/1.1\r\nHost: {gateway.host}\r\n{rest.format(length=len(second))}"
    answer = send(gateway, (first + second).encode("latin-1"))
    assert b"repositories" not in answer and statuses(answer)[-1:] != [200]


def test_credentials_and_cookies_of_the_client_do_not_reach_the_registry(gateway: Any) -> None:
    # The registry would refuse this one instead of the gateway's.
    headers = {"Authorization": "Basic d3Jvbmc6d3Jvbmc=", "Cookie": "a=b", "X-Forwarded-For": "1.2.3.4"}
    assert gateway.get(GOOD, headers=headers).status_code == 200


def test_the_attacks_would_have_succeeded_without_the_gateway(locked_registry: Server, model: Any) -> None:
    options: dict[str, Any] = {
        "auth": (locked_registry.username, locked_registry.password),
        "verify": str(locked_registry.certificate),
    }
    for path in ("/v2/_catalog", "/v2/team/coder/tags/list", "/v2/secret/manifests/1.0", GOOD):
        answer = requests.get(
            locked_registry.url + path, headers={"Accept": "*/*, " + OCI_AND_DOCKER}, **options
        )
        assert answer.status_code == 200, path
    place = f"{locked_registry.url}/v2/team/coder/blobs/uploads/?mount={DIGEST}&from=secret"
    assert requests.post(place, **options).status_code == 201


OCI_AND_DOCKER = (
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)


def test_a_slow_client_is_dropped(gateway: Any) -> None:
    host, _, port = gateway.host.rpartition(":")
    context = ssl.create_default_context(cafile=str(gateway.authority))
    with context.wrap_socket(
        socket.create_connection((host, int(port)), 5), server_hostname="localhost"
    ) as stream:
        stream.settimeout(25)
        stream.sendall(b"GET /v2/ HTTP/1.1\r\nHost: ")
        begin = time.monotonic()
        assert b" 200 " not in stream.recv(100)  # Raises after 25 seconds.
        assert time.monotonic() - begin < 20


def test_a_request_that_is_too_large_is_refused(gateway: Any) -> None:
    for headers in (["X: " + "a" * 9000], ["X: a" + "b" * 4000] * 20):
        answer = send(gateway, request(gateway, f"GET {GOOD} HTTP/1.1", *headers))
        assert statuses(answer) in ([400], [414], [431], [])
