"""oras's registry provider, without its retry loop and whole-file upload.

oras supplies tokens and the addresses of the distribution API. Its ``do_request`` sleeps up to two minutes
over a 401 without credentials, and sends credentials to any address a registry answers with, as its token
service or as the place of an upload; this one does neither.
"""

from __future__ import annotations

import base64
from typing import Any

import oras.auth
import oras.auth.utils
import oras.container
import oras.provider
import requests

from starfreight.errors import InputError, ServiceError
from starfreight.registry.credentials import REALM, find_credentials, named_realm
from starfreight.registry.docker_config import DOCKER_HUB
from starfreight.registry.origins import Origin, is_own_token_service, origin_of
from starfreight.registry.reference import RepositoryReference
from starfreight.registry.session import BlobBody, RegistrySession, certificates

_DOCKER_HUB_API = "registry-1.docker.io"


class Provider(oras.provider.Registry):  # type: ignore[misc] # oras has no types
    """Session with one repository of a registry.

    Args:
        repository: host and path.
        insecure: use plain http.
        destination: the command writes to this repository, by the user's order; see :func:`find_credentials`.
    """

    session: requests.Session
    prefix: str
    auth: Any

    def __init__(self, repository: RepositoryReference, *, insecure: bool, destination: bool = False) -> None:
        self._insecure = insecure
        self._verify = certificates()
        super().__init__(hostname=repository.host, insecure=insecure, tls_verify=self._verify)
        host = _DOCKER_HUB_API if repository.host.lower() in DOCKER_HUB else repository.host
        self.container: Any = oras.container.Container(repository.repository, registry=host)
        self._home = _home(self.root, repository.host)
        self._trusting = RegistrySession(self._home)
        self._trusting.cookies.set_policy(self.session.cookies.get_policy())
        self.session = self.auth.session = self._trusting
        self._challenged = False
        self._pair = find_credentials(repository, destination=destination)
        if self._pair is not None:
            self.auth.set_basic_auth(*self._pair)

    @property
    def has_credentials(self) -> bool:
        """True if user name and password are known for this registry."""
        return self._pair is not None

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User name and password, if known."""
        return self._pair

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings to keep out of messages: password, its encodings, and the token."""
        username, password = self._pair or ("", "")
        encoded = base64.b64encode(f"{username}:{password}".encode()).decode() if self._pair else None
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
        """Send a request, and repeat it with credentials if the registry requests them.

        Raises:
            ServiceError: the credentials would go to somebody else, or be readable on their way.
        """
        sent = dict(headers or {})
        at_home = origin_of(url) == self._home
        if at_home and self._challenged:
            sent |= self.auth.get_auth_header()

        def send() -> requests.Response:
            return self.session.request(
                method, url, data=data, json=json, headers=sent, stream=stream, verify=self._verify
            )

        response = send()
        if response.status_code != 401 or not at_home:
            return response
        # After a redirection, the challenge is that of another server.
        if origin_of(response.url or url) != self._home or not self._answer(response, sent):
            return response
        if isinstance(data, BlobBody):
            data.seek(0)
        return send()

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
            realm = origin_of(oras.auth.utils.parse_auth_header(challenge).realm or "")
            if realm is None:
                return False
            self._check_realm(realm)
        else:
            return False
        try:
            answered, changed = self.auth.authenticate_request(response, headers, refresh=True)
        except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
            return False  # oras does not understand the token service's answer.
        self._challenged = bool(changed)
        headers.update(answered)
        return bool(changed)

    def _check_realm(self, realm: Origin) -> None:
        """Trust a token service with the password, if there is one, or refuse."""
        where = f"{self._home.netloc}, which names the token service {realm.netloc}"
        if realm.scheme != "https" and not self._insecure:
            raise ServiceError(
                "The registry's token service uses plain http, so that others can read what is sent to it.",
                where=where,
                fix="have the registry name an https address; in a network that you trust, add --insecure",
            )
        if not self.has_credentials or realm in self._trusting.trusted:
            return
        if not is_own_token_service(self._home, realm) and not _is_named(realm):
            raise ServiceError(
                "The registry's token service may be somebody else's and does not get the password.",
                where=where,
                fix=f"if it is the token service of this registry, set {REALM}={realm.netloc}",
            )
        self._trusting.trusted.add(realm)


def _is_named(realm: Origin) -> bool:
    named = named_realm()
    return named is not None and origin_of(f"{realm.scheme}://{named}") == realm


def _home(root: str, host: str) -> Origin:
    home = origin_of(root)
    if home is None:
        raise InputError("The registry's host is invalid.", where=repr(host[:200]), fix="check host and port")
    return home
