"""``gateway.yaml``: its keys, their meaning and their defaults."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from starfreight.errors import InputError
from starfreight.packager.ollama_access.repositories import RepositoryPattern
from starfreight.recipe.units import Duration

_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:]{2,39}\])(?::([0-9]{1,5}))?")
_LISTEN = re.compile(r"(?:([0-9.]{7,15}|\[[0-9a-f:]{2,39}\]):)?([0-9]{1,5})")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\"\\$;{}]")
"""Not in any path of a rendered file: nginx would read them as its own syntax."""


def _port(text: str) -> int:
    if not 1 <= int(text) <= 65535:
        raise ValueError(f"has no valid port: {text}")
    return int(text)


def _host(value: str) -> str:
    match = _HOST.fullmatch(value.lower())
    if match is None or ".." in value:
        raise ValueError("is not a host such as models.example.com or 127.0.0.1:8443")
    if match[1]:
        _port(match[1])
    return value.lower()


def _listen(value: str) -> str:
    match = _LISTEN.fullmatch(value.lower())
    if match is None:
        raise ValueError("is not an address such as 0.0.0.0:8443, [::]:8443 or 8443")
    _port(match[2])
    address = match[1] or "0.0.0.0"
    try:
        ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        raise ValueError(f"has no valid IP address: {address}") from None
    return f"{address}:{match[2]}"


def _origin(value: str) -> str:
    try:
        parts = urlsplit(value)
        host = _host(parts.netloc)
    except ValueError:
        raise ValueError("is not an address such as https://registry.example.com:5000") from None
    if parts.scheme not in ("http", "https") or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("is not an address such as https://registry.example.com:5000, without a path")
    return f"{parts.scheme}://{host}"


def _endpoint(value: str) -> str:
    try:
        parts = urlsplit(value)
        host = _host(parts.netloc)
    except ValueError:
        raise ValueError("is not an address such as https://auth.example.com/token") from None
    path = re.fullmatch(r"/[A-Za-z0-9._/~-]{0,200}", parts.path or "/")
    if parts.scheme not in ("http", "https") or path is None or parts.query or parts.fragment:
        raise ValueError("is not an address such as https://auth.example.com/token, without a query")
    return f"{parts.scheme}://{host}{path[0]}"


def _file(value: str) -> str:
    if _UNSAFE.search(value):
        raise ValueError('contains a character that nginx would read as its own: " \\ $ ; { } or a control')
    return value


def _pattern(value: str) -> str:
    try:
        return RepositoryPattern.parse(value).text
    except InputError as error:
        raise ValueError(f"{error.what.rstrip('.')}: {error.fix}") from None


Host = Annotated[str, Field(max_length=261), AfterValidator(_host)]
FilePath = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_file)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]


class Part(BaseModel):
    """A part of the file: strict, frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Secret(Part):
    """Location of a secret, exactly one of these. The file itself never holds it."""

    file: FilePath | None = None
    """A file with the secret. A final newline is not part of it."""
    environment: Name | None = None
    """An environment variable."""
    docker_secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] | None = None
    """The name of a Docker secret: the file `/run/secrets/NAME`."""

    @model_validator(mode="after")
    def _one(self) -> Secret:
        if sum(each is not None for each in (self.file, self.environment, self.docker_secret)) != 1:
            raise ValueError("needs exactly one of file, environment and docker_secret")
        return self


class TokenServer(Part):
    """The token server of a registry with bearer tokens: `realm` and `service` of its challenge, which
    `curl -si https://REGISTRY/v2/` shows.
    """

    url: Annotated[str, AfterValidator(_endpoint)]
    """The challenge's `realm`."""
    service: Annotated[str, Field(pattern=r"^[ -~]{1,200}$")]
    """The challenge's `service`."""
    ca: FilePath | None = None
    """Certificates (PEM) to trust instead of the system's."""


class Credential(Part):
    """The registry's account, with rights to read only."""

    username: Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^:\x00-\x1f\x7f]+$")]
    """The user's name."""
    password: Secret
    """The password or access token."""
    token_server: TokenServer | None = None
    """For registries with bearer tokens (GHCR, Docker Hub, GitLab). Without it, basic authentication."""


class Registry(Part):
    """The registry behind the gateway."""

    url: Annotated[str, AfterValidator(_origin)]
    """Its address, such as `https://registry.internal:5000`."""
    ca: FilePath | None = None
    """Certificates (PEM) to trust instead of the system's."""
    certificate_name: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$")] | None = None
    """The name in the registry's certificate, where `url` has another one or an IP address."""
    credential: Credential | None = None
    """The gateway's account. Without it, requests are anonymous."""


class Tls(Part):
    """The gateway's own certificate."""

    certificate: FilePath
    """A PEM file with the certificate, followed by those of its issuers."""
    key: FilePath
    """The private key in PEM form."""


class Users(Part):
    """Users with the right to pull."""

    authorized_keys: FilePath
    """Ollama's public keys (`~/.ollama/id_ed25519.pub`), a line each: `ssh-ed25519 AAAA... NAME
    [repositories=team/*] [expires=2027-01-31]`. It is read again for every request."""
    token_lifetime: Duration = 300
    """Validity of a sign-in."""
    address_lifetime: Duration = 6 * 3600
    """Validity of a blob's address: the longest time that the download of one blob may take."""
    audit_log: FilePath | None = None
    """File of JSON lines: who pulled what, when and from where. [default: standard error]"""
    signing_secret: Secret | None = None
    """At least 32 random bytes, shared by several gateways of one name. [default: new at each start]"""
    socket: FilePath | None = None
    """Unix socket between nginx and the token service, if `starfreight gateway tokens` runs by itself."""


class Settings(Part):
    """The file `gateway.yaml`. Relative paths start in its directory."""

    version: Literal[1] = 1
    """Version of this format."""
    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8443"
    """Address and port to listen on."""
    host: Host
    """The host in people's `ollama pull HOST/...`, with its port unless that is 443 (80 for plain http)."""
    scheme: Literal["https", "http"] | None = None
    """How people reach the gateway. [default: https with `tls`, otherwise http] `https` without `tls`: a
    proxy in front ends TLS. `http` beyond this machine has to be given, since tokens then cross the network
    in the open."""
    tls: Tls | None = None
    """The gateway's certificate."""
    registry: Registry
    """The registry behind the gateway."""
    repositories: Annotated[
        tuple[Annotated[str, AfterValidator(_pattern)], ...], Field(min_length=1, max_length=200)
    ]
    """All that can be pulled: names in which `*` stands for any part, such as `team/*`."""
    access_log: Literal["stderr", "off"] | FilePath = "stderr"
    """`stderr`, `off` or a file: a JSON line for each request, without secrets."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of proxies in front, whose `X-Forwarded-For` names the client."""
    connections_per_address: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Concurrent connections of one client address. Ollama opens 16 for each blob."""
    users: Users | None = None
    """Only holders of these keys may pull. Without it, everybody who reaches the gateway may."""

    @model_validator(mode="after")
    def _fits(self) -> Settings:
        if self.tls is not None and self.scheme == "http":
            raise ValueError("has tls, so that scheme cannot be http")
        if self.scheme is None and self.tls is None and not self.loopback:
            raise ValueError(
                "listens beyond this machine without tls: add tls, or scheme: https if a proxy in front ends "
                "TLS, or scheme: http to send tokens in the open"
            )
        for each in self.trusted_proxies:
            try:
                ipaddress.ip_network(each)
            except ValueError:
                raise ValueError(
                    f"trusted_proxies: {each[:60]!r} is not a network such as 10.0.0.0/8"
                ) from None
        return self

    @property
    def loopback(self) -> bool:
        """True if only this machine can connect."""
        return ipaddress.ip_address(self.listen.rpartition(":")[0].strip("[]")).is_loopback

    @property
    def origin(self) -> str:
        """Scheme and host, as clients write them."""
        return f"{self.scheme or ('https' if self.tls else 'http')}://{self.host}"

    @property
    def realm(self) -> str:
        """Address of the token endpoint. Ollama demands the registry's own host."""
        return f"{self.origin}/token"
