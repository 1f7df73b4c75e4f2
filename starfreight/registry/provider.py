"""oras's registry provider, without its retry loop and whole-file upload.

oras supplies tokens, Docker's credential helpers and the addresses of the distribution API. Its
``do_request`` sleeps up to two minutes over a 401 without credentials, and sends credentials to any
address a registry answers with; this one does neither.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import urlsplit

import oras.auth
import oras.auth.utils
import oras.container
import oras.provider
import requests

from starfreight.registry.credentials import docker_config, from_environment
from starfreight.registry.reference import RepositoryReference
from starfreight.registry.session import BlobBody, certificates, prepare_session

_DOCKER_HUB = ("docker.io", "index.docker.io")
_DOCKER_HUB_API = "registry-1.docker.io"
_DOCKER_HUB_LOGIN = "https://index.docker.io/v1/"
"""Docker Hub's API has another host than its references, and docker login stores a third one."""


class Provider(oras.provider.Registry):  # type: ignore[misc] # oras has no types
    """Session with one repository of a registry.

    Args:
        repository: host and path.
        insecure: use plain http.
    """

    session: requests.Session
    prefix: str
    auth: Any

    def __init__(self, repository: RepositoryReference, *, insecure: bool) -> None:
        self._insecure = insecure
        self._verify = certificates()
        super().__init__(hostname=repository.host, insecure=insecure, tls_verify=self._verify)
        prepare_session(self.session)
        hub = repository.host in _DOCKER_HUB
        self.container: Any = _container(repository, _DOCKER_HUB_API if hub else repository.host)
        self._challenged = False
        self._load_credentials(_container(repository, _DOCKER_HUB_LOGIN) if hub else self.container)

    @property
    def has_credentials(self) -> bool:
        """True if user name and password are known for this registry."""
        return bool(getattr(self.auth, "_basic_auth", None))

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User name and password, if known."""
        encoded = getattr(self.auth, "_basic_auth", None) or ""
        try:
            username, colon, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return (username, password) if colon else None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings to keep out of messages: password, its encodings, and the token."""
        encoded = getattr(self.auth, "_basic_auth", None)
        password = (self.credentials or ("", ""))[1]
        return tuple(filter(None, (encoded, password, getattr(self.auth, "token", None))))

    @property
    def root(self) -> str:
        """Address of the API's root, ``/v2/``."""
        return f"{self.prefix}://{self.container.registry}/v2/"

    def url(self, path: str) -> str:
        """Address of a path below ``/v2/<repository>/``."""
        return f"{self.root}{self.container.api_prefix}/{path}"

    def do_request(
        self,
        url: str,
        method: str = "GET",
        data: BlobBody | bytes | None = None,
        headers: dict[str, str] | None = None,
        json: Any = None,
        stream: bool = False,
    ) -> requests.Response:
        """Send a request, and repeat it with credentials if the registry requests them."""
        sent = dict(headers or {})
        at_home = self._is_home(url)
        if at_home and self._challenged:
            sent |= self.auth.get_auth_header()

        def send() -> requests.Response:
            return self.session.request(
                method, url, data=data, json=json, headers=sent, stream=stream, verify=self._verify
            )

        response = send()
        if response.status_code != 401 or not at_home or not self._answer(response, sent):
            return response
        if isinstance(data, BlobBody):
            data.seek(0)
        return send()

    def _is_home(self, url: str) -> bool:
        """True for the registry's own addresses: transfers may go elsewhere, credentials may not."""
        home, other = urlsplit(self.root), urlsplit(url)
        default = {"http": 80, "https": 443}
        return (home.scheme, home.hostname, home.port or default[home.scheme]) == (
            other.scheme,
            other.hostname,
            other.port or default.get(other.scheme),
        )

    def _load_credentials(self, container: Any) -> None:
        if (pair := from_environment()) is not None:
            self.auth.set_basic_auth(*pair)
            return
        self.auth._auth_config = docker_config()
        self.auth.load_configs(container)

    def _answer(self, response: requests.Response, headers: dict[str, str]) -> bool:
        """Answer a challenge by extending ``headers``; returns False if there is no answer."""
        challenge = response.headers.get("Www-Authenticate", "")
        scheme = challenge.partition(" ")[0].lower()
        if scheme == "basic":
            if not self.has_credentials or self._challenged:
                return False
            basic = oras.auth.get_auth_backend("basic", self.session, self._insecure, tls_verify=self._verify)
            basic._basic_auth = self.auth._basic_auth
            self.auth = basic
        elif scheme == "bearer":
            realm = urlsplit(oras.auth.utils.parse_auth_header(challenge).realm or "")
            # A token service receives the password: over plain http only with the user's consent.
            if realm.scheme != "https" and not self._insecure:
                return False
        else:
            return False
        try:
            answered, changed = self.auth.authenticate_request(response, headers, refresh=True)
        except (ValueError, AttributeError, TypeError, KeyError):
            return False  # oras does not understand the token service's answer.
        self._challenged = bool(changed)
        headers.update(answered)
        return bool(changed)


def _container(repository: RepositoryReference, host: str) -> Any:
    return oras.container.Container(repository.repository, registry=host)
