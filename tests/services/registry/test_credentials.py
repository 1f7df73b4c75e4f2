"""A registry over TLS with a CA of our own that wants a user name and a password."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import InputError, ServiceError
from starfreight.files import sha256_bytes
from starfreight.packager.registry.push import publish
from starfreight.registry import TagReference
from starfreight.registry.certificates import certificates
from starfreight.registry.credentials import find_credentials
from starfreight.registry.publishing import PublishingClient

CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture
def trusted(locked_registry: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The locked registry, with its CA named as OpenSSL's programs expect it."""
    for name in CERTIFICATES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(locked_registry.certificate))
    return locked_registry


def set_credentials(monkeypatch: pytest.MonkeyPatch, username: str, password: str) -> None:
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", username)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", password)


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n", b"0\x82\x03"])
def test_a_bundle_without_certificates_is_bad_input(
    content: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    for name in CERTIFICATES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with pytest.raises(InputError, match="CURL_CA_BUNDLE names a file without certificates"):
        certificates()
    assert certificates(insecure=True) == str(tmp_path / "ca.pem")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_secret_with_the_line_break_of_its_file_is_the_secret(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_credentials(monkeypatch, f"pilot{end}", f" two words {end}")
    target = TagReference("registry.example.org", "team/coder", "1.0")
    assert find_credentials(target, destination=True) == ("pilot", " two words ")
    set_credentials(monkeypatch, "pilot", end)
    with pytest.raises(InputError, match="STARFREIGHT_REGISTRY_PASSWORD is not set"):
        find_credentials(target, destination=True)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_credentials_of_the_environment_and_an_own_ca_are_enough(
    variable: str, locked_registry: Any, monkeypatch: pytest.MonkeyPatch, package_folder: Path,
    repository: str, console: Console, require_service: Callable[[str], str], tmp_path: Path,
) -> None:  # fmt: skip
    for name in CERTIFICATES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(locked_registry.certificate))
    set_credentials(monkeypatch, locked_registry.username, locked_registry.password)
    reference = f"{locked_registry.host}/{repository}:1.0"
    published = publish(package_folder, reference, insecure=False, console=console)
    assert published.bytes_sent > 0
    trust = tmp_path / "trust"
    trust.mkdir()
    (trust / "ca.crt").write_bytes(locked_registry.certificate.read_bytes())
    account = f"{locked_registry.username}:{locked_registry.password}"
    data = subprocess.run(
        [require_service("skopeo"), "inspect", "--raw", "--creds", account, "--cert-dir", str(trust),
         f"docker://{reference}-q8_0-oci"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    digests = {tag.tag: tag.digest for tag in published.tags}
    assert sha256_bytes(data) == digests["1.0-q8_0-oci"]


def test_what_docker_login_left_is_used(
    trusted: Any, monkeypatch: pytest.MonkeyPatch, package_folder: Path, repository: str, console: Console,
    tmp_path: Path,
) -> None:  # fmt: skip
    auth = base64.b64encode(f"{trusted.username}:{trusted.password}".encode()).decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {trusted.host: {"auth": auth}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert publish(
        package_folder, f"{trusted.host}/{repository}:1.0", insecure=False, console=console
    ).bytes_sent


def test_a_credential_helper_is_asked(
    trusted: Any, monkeypatch: pytest.MonkeyPatch, package_folder: Path, repository: str, console: Console,
    tmp_path: Path,
) -> None:  # fmt: skip
    helper = tmp_path / "docker-credential-test"
    helper.write_text(
        f"#!/bin/sh\necho '{json.dumps({'Username': trusted.username, 'Secret': trusted.password})}'\n"
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {trusted.host: "test"}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert publish(
        package_folder, f"{trusted.host}/{repository}:1.0", insecure=False, console=console
    ).bytes_sent


def test_no_credentials_is_said_with_what_to_set(
    trusted: Any, package_folder: Path, repository: str, console: Console
) -> None:
    with pytest.raises(ServiceError, match="401") as caught:
        publish(package_folder, f"{trusted.host}/{repository}:1.0", insecure=False, console=console)
    assert caught.value.exit_code == 4
    assert "STARFREIGHT_REGISTRY_USERNAME" in str(caught.value)
    assert f"docker login {trusted.host}" in str(caught.value)


def test_a_wrong_password_is_refused_and_not_shown(
    trusted: Any, monkeypatch: pytest.MonkeyPatch, package_folder: Path, repository: str, console: Console,
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    set_credentials(monkeypatch, trusted.username, "wrong-secret")
    caplog.set_level("DEBUG")
    with pytest.raises(ServiceError, match="401") as caught:
        publish(package_folder, f"{trusted.host}/{repository}:1.0", insecure=False, console=console)
    written = capfd.readouterr()
    everything = f"{caught.value} {written.out} {written.err} {caplog.text}"
    assert "wrong-secret" not in everything
    assert base64.b64encode(f"{trusted.username}:wrong-secret".encode()).decode() not in everything


def test_a_registry_that_repeats_the_password_does_not_get_it_shown(
    faulty: Any, fault: Any, monkeypatch: pytest.MonkeyPatch, package_folder: Path, repository: str,
    console: Console,
) -> None:  # fmt: skip
    set_credentials(monkeypatch, "pilot", "hunter2-secret")
    echo = b'{"errors":[{"code":"DENIED","message":"no: hunter2-secret, Bearer abc.def\\u001b[31m"}]}'
    faulty.faults.append(fault("GET", "^/v2/$", status=403, body=echo))
    with pytest.raises(ServiceError, match="DENIED") as caught:
        publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert "hunter2" not in str(caught.value)
    assert "abc.def" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_half_a_credential_is_refused(
    trusted: Any, monkeypatch: pytest.MonkeyPatch, package_folder: Path, console: Console
) -> None:
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", "pilot")
    with pytest.raises(InputError, match="STARFREIGHT_REGISTRY_PASSWORD is not set"):
        publish(package_folder, f"{trusted.host}/team/coder:1.0", insecure=False, console=console)


def test_an_unknown_ca_is_refused_with_what_to_set(
    locked_registry: Any, package_folder: Path, repository: str, console: Console
) -> None:
    with pytest.raises(ServiceError, match="TLS") as caught:
        publish(package_folder, f"{locked_registry.host}/{repository}:1.0", insecure=False, console=console)
    assert "SSL_CERT_FILE" in str(caught.value)


def test_an_upload_that_is_sent_on_to_plain_http_is_not_followed(
    start_registry: Callable[..., Any], certificate_authority: Callable[[], tuple[Path, Path, Path]],
    monkeypatch: pytest.MonkeyPatch, package_folder: Path, repository: str, console: Console,
) -> None:  # fmt: skip
    authority, certificate, key = certificate_authority()
    for name in CERTIFICATES:
        monkeypatch.setenv(name, str(authority))
    tls = f", host: 'http://127.0.0.1:1', tls: {{certificate: {certificate}, key: {key}}}"
    server = start_registry(http=tls, certificate=authority)
    with pytest.raises(ServiceError, match="plain http"):
        publish(package_folder, f"{server.host}/{repository}:1.0", insecure=False, console=console)


def test_https_to_a_registry_of_plain_http_names_the_option(
    registry: Any, package_folder: Path, repository: str, console: Console
) -> None:
    with pytest.raises(ServiceError) as caught:
        publish(package_folder, f"{registry.host}/{repository}:1.0", insecure=False, console=console)
    assert "--insecure" in str(caught.value)


def test_credentials_stay_at_home_when_uploads_go_elsewhere(
    trusted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from starfreight.registry import parse_reference
    from starfreight.registry.provider import Provider

    set_credentials(monkeypatch, trusted.username, trusted.password)
    provider = Provider(parse_reference(f"{trusted.host}/team/coder:1.0"), insecure=False, destination=True)
    assert provider.do_request(f"{trusted.url}/v2/").status_code == 200
    sent = []
    monkeypatch.setattr(
        provider.session,
        "request",
        lambda method, url, **options: sent.append(options["headers"]) or _Answer(),
    )
    provider.do_request(f"{trusted.url}/v2/team/coder/tags/list")
    provider.do_request("https://storage.example.org/upload", "PUT", data=b"x")
    assert "Authorization" in sent[0]
    assert "Authorization" not in sent[1]


class _Answer:
    status_code = 200


def certs_d(home: Path, host: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a registry's certificates below a home directory."""
    for name in CERTIFICATES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    folder = home / ".config/containers/certs.d" / host
    folder.mkdir(parents=True)
    return folder


def connect(host: str) -> None:
    PublishingClient(TagReference(host, "team/coder", "1.0"), insecure=False).connect()


def test_a_ca_in_certs_d_is_trusted_for_its_registry_as_by_skopeo(
    locked_registry: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    require_service: Callable[[str], str],
) -> None:  # fmt: skip
    set_credentials(monkeypatch, locked_registry.username, locked_registry.password)
    folder = certs_d(tmp_path, locked_registry.host, monkeypatch)
    image = f"docker://{locked_registry.host}/team/none:1"
    account = f"{locked_registry.username}:{locked_registry.password}"
    skopeo = [require_service("skopeo"), "inspect", "--creds", account, image]
    with pytest.raises(ServiceError, match="TLS"):
        connect(locked_registry.host)
    assert b"x509" in subprocess.run(skopeo, capture_output=True, check=False).stderr
    (folder / "ca.crt").write_bytes(locked_registry.certificate.read_bytes())
    connect(locked_registry.host)
    assert b"manifest unknown" in subprocess.run(skopeo, capture_output=True, check=False).stderr
    folder.rename(folder.with_name("other.example:5000"))
    with pytest.raises(ServiceError, match="TLS"):
        connect(locked_registry.host)


@pytest.mark.parametrize(
    ("name", "data"), [("ca.crt", "rubbish"), ("client.cert", "rubbish"), ("ca.crt", "")]
)
def test_a_file_in_certs_d_that_is_no_certificate_is_named(
    name: str, data: str, locked_registry: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = certs_d(tmp_path, locked_registry.host, monkeypatch)
    (folder / name).write_text(data)
    with pytest.raises(InputError, match="certificate file cannot be used") as caught:
        connect(locked_registry.host)
    assert caught.value.where == str(folder / name)


@pytest.mark.parametrize("variable", CERTIFICATES)
def test_the_advice_about_an_unknown_ca_names_the_variable_in_force(
    variable: str, locked_registry: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    certificate_authority: Callable[[], tuple[Path, Path, Path]],
) -> None:  # fmt: skip
    other = certificate_authority()[0]
    for name in CERTIFICATES:
        monkeypatch.delenv(name, raising=False)
    for name in CERTIFICATES[CERTIFICATES.index(variable) :]:
        monkeypatch.setenv(name, str(other))
    with pytest.raises(ServiceError, match="TLS") as caught:
        connect(locked_registry.host)
    assert f"named by {variable} ({other})" in str(caught.value.fix)
    assert f"certs.d/{locked_registry.host}/ca.crt" in str(caught.value.fix)
    assert "--insecure" not in str(caught.value.fix)
    monkeypatch.setenv(variable, str(tmp_path / "missing.pem"))
    with pytest.raises(InputError, match=f"{variable} names a file that does not exist"):
        connect(locked_registry.host)
    client = PublishingClient(TagReference(locked_registry.host, "team/coder", "1.0"), insecure=True)
    with pytest.raises(ServiceError):  # Plain http needs no certificates.
        client.connect()


def test_without_a_variable_the_advice_names_one(
    locked_registry: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certs_d(tmp_path, "other.example", monkeypatch)
    with pytest.raises(ServiceError, match="TLS") as caught:
        connect(locked_registry.host)
    assert "set SSL_CERT_FILE to your CA's certificate" in str(caught.value.fix)


def test_a_client_certificate_in_certs_d_is_shown(
    certificate_authority: Callable[[], tuple[Path, Path, Path]], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    authority, certificate, key = certificate_authority()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        host = f"127.0.0.1:{server.server_address[1]}"
        folder = certs_d(tmp_path, host, monkeypatch)
        (folder / "ca.crt").write_bytes(authority.read_bytes())
        monkeypatch.setattr("starfreight.registry.session.BACKOFF_FACTOR", 0.01)
        with pytest.raises(ServiceError):
            connect(host)
        (folder / "client.cert").write_bytes(certificate.read_bytes())
        (folder / "client.key").write_bytes(key.read_bytes())
        connect(host)
        server.shutdown()
