"""``gateway.yaml`` and what is rendered from it: faults are named, secrets stay private."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from starfreight.errors import InputError
from starfreight.packager.gateway.load import load_settings, parse_settings
from starfreight.packager.gateway.render import check_with_nginx, render
from starfreight.packager.gateway.run_docker import move_inside
from starfreight.packager.ollama_access.repositories import PART, REPOSITORY

SMALL: dict[str, Any] = {
    "host": "models.example.com", "listen": "127.0.0.1:8443", "scheme": "https",
    "registry": {"url": "http://127.0.0.1:5000"}, "repositories": ["team/*"],
}  # fmt: skip
CREDENTIAL = {"username": "robot", "password": {"environment": "PASSWORD_OF_TESTS"}}


def parse(**changes: Any) -> Any:
    data = {name: value for name, value in {**SMALL, **changes}.items() if value is not None}
    return parse_settings(yaml.safe_dump(data).encode(), "gateway.yaml", Path("/etc/gateway"))


@pytest.mark.parametrize(
    ("changes", "what", "fix"),
    [
        ({"repositorys": ["a/b"]}, "unknown key 'repositorys'", "'repositories'"),
        (
            {"registry": {"url": "http://a", "pasword": "x"}},
            "unknown key 'registry.pasword'",
            "known keys here: url",
        ),
        (
            {"registry": {"url": "http://a", "credential": {**CREDENTIAL, "user_name": "x"}}},
            "unknown key 'registry.credential.user_name'",
            "'username'",
        ),
        ({"users": {"authorised_keys": "k"}}, "unknown key 'users.authorised_keys'", "'authorized_keys'"),
        ({"host": None}, "key 'host' is missing", "--help"),
        ({"host": "https://models.example.com"}, "is not a host", ""),
        ({"host": "a..b"}, "is not a host", ""),
        ({"host": "a b"}, "is not a host", ""),
        ({"host": "models.example.com:99999"}, "no valid port", ""),
        ({"host": 'a";return 200'}, "is not a host", ""),
        ({"listen": "8443x"}, "is not an address", ""),
        ({"listen": "300.1.1.1:80"}, "no valid IP", ""),
        ({"listen": "127.0.0.1:0"}, "no valid port", ""),
        ({"repositories": []}, "'repositories' is not valid", ""),
        ({"repositories": ["Team/*"]}, "'repositories[0]' is not valid", ""),
        ({"repositories": ["team/../x"]}, "'repositories[0]' is not valid", ""),
        ({"repositories": ["team/*)|(.*"]}, "'repositories[0]' is not valid", ""),
        ({"registry": {"url": "ftp://a"}}, "'registry.url' is not valid", ""),
        ({"registry": {"url": "http://u:p@a"}}, "'registry.url' is not valid", ""),
        ({"registry": {"url": "http://a/path"}}, "'registry.url' is not valid", ""),
        ({"registry": {"url": "http://a;b"}}, "'registry.url' is not valid", ""),
        (
            {"registry": {"url": "http://a", "credential": {"username": "a:b", "password": {"file": "x"}}}},
            "'registry.credential.username' is not valid",
            "",
        ),
        (
            {"registry": {"url": "http://a", "credential": {"username": "a", "password": {}}}},
            "exactly one of file, environment and docker_secret",
            "",
        ),
        (
            {"registry": {"url": "http://a", "credential": {"username": "a", "password": "hunter2"}}},
            "'registry.credential.password' is not valid",
            "",
        ),
        ({"tls": {"certificate": 'a"b', "key": "k"}}, "nginx would read", ""),
        ({"scheme": None, "listen": "0.0.0.0:8443"}, "listens beyond this machine without tls", ""),
        ({"scheme": "http", "tls": {"certificate": "a", "key": "b"}}, "scheme cannot be http", ""),
        ({"version": 2}, "'version' is not valid", ""),
        ({"access_log": 7}, "'access_log' is not valid", ""),
        ({"trusted_proxies": ["10.0.0.0/99"]}, "is not a network", ""),
        ({"connections_per_address": 0}, "'connections_per_address' is not valid", ""),
        (
            {"users": {"authorized_keys": "k", "token_lifetime": 300}},
            "'users.token_lifetime' is not valid",
            "",
        ),
    ],
)
def test_a_fault_is_named_with_its_key_and_the_nearest_known_one(
    changes: dict[str, Any], what: str, fix: str
) -> None:
    with pytest.raises(InputError) as error:
        parse(**changes)
    assert (
        what in error.value.what
        and fix in (error.value.fix or "")
        and "gateway.yaml" in str(error.value.where)
    )
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"a: &x 1\nb: *x\n", b"\xff", b"a: 1\na: 2\n", b"{" * 100])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="gateway file"):
        parse_settings(data, "gateway.yaml", Path("/"))


def test_relative_paths_start_in_the_files_directory(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    data = {**SMALL, "scheme": None, "tls": {"certificate": "a.pem", "key": "/b.pem"}, "access_log": "log",
            "users": {"authorized_keys": "keys", "token_lifetime": "5m"}}  # fmt: skip
    path.write_text(yaml.safe_dump({name: value for name, value in data.items() if value is not None}))
    settings = load_settings(path)
    assert settings.tls is not None and settings.users is not None
    assert (settings.tls.certificate, settings.tls.key) == (str(tmp_path / "a.pem"), "/b.pem")
    assert settings.users.authorized_keys == str(tmp_path / "keys") and settings.users.token_lifetime == 300
    assert settings.access_log == str(tmp_path / "log")
    assert (settings.origin, settings.realm) == (
        "https://models.example.com",
        "https://models.example.com/token",
    )


def test_the_credential_is_in_one_file_that_others_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD_OF_TESTS", "pa$$word;\"'")
    earlier = os.umask(0)
    try:
        rendered = render(
            parse(registry={"url": "http://127.0.0.1:5000", "credential": CREDENTIAL}), tmp_path / "out"
        )
    finally:
        os.umask(earlier)
    assert rendered.files == ("nginx.conf", "credential.conf")
    credential = rendered.folder / "credential.conf"
    assert stat.S_IMODE(credential.stat().st_mode) == 0o600
    assert "cm9ib3Q6cGEkJHdvcmQ7Iic=" in credential.read_text()
    assert (
        "cm9ib3Q6" not in rendered.configuration.read_text()
        and "pa$$" not in rendered.configuration.read_text()
    )
    monkeypatch.setenv("PASSWORD_OF_TESTS", "")
    with pytest.raises(InputError, match="is empty"):
        render(parse(registry={"url": "http://127.0.0.1:5000", "credential": CREDENTIAL}), tmp_path / "out")


def test_nginx_accepts_every_kind_of_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, require_service: Callable[[str], str],
    certificate_authority: Callable[[], tuple[Path, Path, Path]],
) -> None:  # fmt: skip
    require_service("nginx")
    monkeypatch.setenv("PASSWORD_OF_TESTS", "x")
    authority, certificate, key = certificate_authority()
    folder = tmp_path / "with a space"
    folder.mkdir()
    shutil.copy(certificate, folder / "certificate.pem")
    keys = folder / "keys"
    keys.write_text("")
    token_server = {"url": "https://localhost/token", "service": "a b&c", "ca": str(authority)}
    for changes in (
        {},
        {"listen": "[::1]:8443", "access_log": "off"},
        {"repositories": ["**", "a/b", "team/coder-*"], "access_log": str(folder / "access log")},
        {"tls": {"certificate": str(folder / "certificate.pem"), "key": str(key)}},
        {"trusted_proxies": ["10.0.0.0/8", "fd00::/8"]},
        {"registry": {"url": "https://localhost", "ca": str(authority), "credential": CREDENTIAL}},
        {"users": {"authorized_keys": str(keys)}},
        {"host": "[::1]:8443"},
        {"registry": {"url": "http://[::1]:5000"}},
        {"host": ("a" * 60 + ".") * 4 + "example"},
        {"registry": {"url": "https://localhost:5000", "ca": str(authority),
                      "credential": {**CREDENTIAL, "token_server": token_server}}},
    ):  # fmt: skip
        if "registry" in changes and not Path("/usr/lib/nginx/modules/ngx_http_js_module.so").exists():
            continue
        assert check_with_nginx(render(parse(**changes), folder / "out")), changes


def test_a_certificate_for_an_ip_address_is_a_question_before_it_is_a_502(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot check a certificate for an IP address"):
        render(parse(registry={"url": "https://10.0.0.1"}), tmp_path)


def test_a_fault_that_only_nginx_sees_is_one_error(
    tmp_path: Path, require_service: Callable[[str], str],
    certificate_authority: Callable[[], tuple[Path, Path, Path]],
) -> None:  # fmt: skip
    require_service("nginx")
    other = certificate_authority()[2]
    tls = {"certificate": str(certificate_authority()[1]), "key": str(other)}
    with pytest.raises(InputError, match=r"nginx refuses the configuration: .*key values mismatch"):
        check_with_nginx(render(parse(tls=tls), tmp_path))


def test_the_command_line_renders_and_says_what_comes_next(
    run_cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(SMALL))
    done = run_cli("gateway", "render", "gateway.yaml", "--out", "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"] == ["nginx.conf"]
    done = run_cli("gateway", "render", "gateway.yaml", "--out", "my gateway", "-q")
    assert done.stdout.endswith(f"Next: nginx -c '{tmp_path / 'my gateway' / 'nginx.conf'}'\n")
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump({**SMALL, "hosst": "a"}))
    done = run_cli("gateway", "render", "gateway.yaml", "--out", "out")
    assert done.returncode == 2 and "did you mean 'host'?" in done.stderr
    assert run_cli("gateway", "run", "missing.yaml").returncode == 2
    assert run_cli("gateway", "tokens", "gateway.yaml").returncode == 2


def test_a_container_gets_the_files_by_their_directories_and_the_secrets_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PASSWORD_OF_TESTS", "s3cret")
    settings = parse(
        scheme=None, tls={"certificate": "tls/a.pem", "key": "tls/b.pem"},
        registry={"url": "http://127.0.0.1:5000", "credential": CREDENTIAL},
        users={"authorized_keys": "keys", "audit_log": "log/audit.jsonl"},
    )  # fmt: skip
    moved = move_inside(settings)
    assert moved.environment == {"PASSWORD_OF_TESTS": "s3cret"} and "s3cret" not in json.dumps(moved.settings)
    places = {path: mount["mode"] for path, mount in moved.mounts.items()}
    assert places == {"/etc/gateway/tls": "ro", "/etc/gateway": "ro", "/etc/gateway/log": "rw"}
    inside = moved.mounts["/etc/gateway/tls"]["bind"]
    assert moved.settings["tls"] == {"certificate": f"{inside}/a.pem", "key": f"{inside}/b.pem"}
    assert parse_settings(json.dumps(moved.settings).encode(), "inside", Path("/")).users is not None


def test_names_of_repositories_are_matched_in_linear_time() -> None:
    for text in ("a" * 5000 + "!", "a-" * 3000 + "!", "a/" * 3000 + "!", "a__" * 2000 + "!"):
        assert re.fullmatch(REPOSITORY, text) is None and re.fullmatch(PART, text) is None


def test_a_port_in_use_is_no_fault_of_the_file(
    run_cli: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path,
    require_service: Callable[[str], str],
) -> None:  # fmt: skip
    require_service("nginx")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (tmp_path / "gateway.yaml").write_text(yaml.safe_dump({**SMALL, "listen": f"127.0.0.1:{port}"}))
        done = run_cli("gateway", "run", "gateway.yaml", "--on", "local")
    assert done.returncode == 4
    assert "cannot listen there" in done.stderr
