"""oras's registry provider, without its retry loop, its single answer to challenges and whole-file upload.

oras supplies the addresses of the distribution API and the form of authentication. Its ``do_request`` sleeps
up to two minutes over a 401 without credentials, and sends credentials to any address a registry answers
with, as its token service or as the place of an upload; this one does neither.
"""

from __future__ import annotations

import http.client
from typing import Any

import requests
from urllib3.exceptions import HTTPError, LocationValueError

from starfreight.errors import InputError
from starfreight.registry.authentication import Authentication
from starfreight.registry.blob_body import BlobBody
from starfreight.registry.certificates import certificates, tls_context
from starfreight.registry.credentials import find_credentials
from starfreight.registry.docker_config import DOCKER_HUB
from starfreight.registry.oras_modules import oras
from starfreight.registry.origins import Origin, origin_of
from starfreight.registry.reference import RepositoryReference
from starfreight.registry.session import RegistrySession, single_attempt
from starfreight.registry.tokens import Scopes

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
    auth: Authentication

    def __init__(self, repository: RepositoryReference, *, insecure: bool, destination: bool = False) -> None:
        self._insecure = insecure
        self._verify = certificates(insecure=insecure)
        super().__init__(hostname=repository.host, insecure=insecure, tls_verify=self._verify)
        host = _DOCKER_HUB_API if repository.host.lower() in DOCKER_HUB else repository.host
        # oras would take the first part of a path like "my.group/name" for the host, credentials and all.
        self.container: Any = oras.container.Container("namespace/name", registry=host)
        self.container.namespace, _, self.container.repository = repository.repository.rpartition("/")
        self._home = _home(self.root, repository.host)
        # Reading all certificates of a machine takes tens of milliseconds.
        self._trusting = RegistrySession(self._home, None if insecure else tls_context(repository.host))
        self._trusting.cookies.set_policy(self.session.cookies.get_policy())
        self.session = self._trusting
        self._actions = ("pull", "push") if destination else ("pull",)
        self._pair = find_credentials(repository, destination=destination)
        self.auth = Authentication(
            self._home, self._pair, self._send, self._trusting.trusted.add, insecure=insecure
        )

    @property
    def has_credentials(self) -> bool:
        """True if user name and password are known for this registry."""
        return self._pair is not None

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User name and password, if known; an identity token has the user name ``<token>``."""
        return self._pair

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings to keep out of messages: password, its encodings, and the tokens."""
        return self.auth.secrets

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
        reads: str | None = None,
        once: bool = False,
    ) -> requests.Response:
        """Send a request, and repeat it with credentials as the registry requests them.

        Args:
            url: the address.
            method: the method.
            data: the body.
            headers: more headers.
            json: the body as JSON.
            stream: leave the body of an answer 200 unread.
            reads: another repository that the request reads, to mount a blob.
            once: do not repeat the request after a failure.

        Raises:
            ServiceError: the credentials would go to somebody else, or be readable on their way.
        """
        sent = dict(headers or {})
        scopes: Scopes = frozenset(
            [(f"repository:{self.container.api_prefix}", action) for action in self._actions]
            + ([(f"repository:{reads}", "pull")] if reads else [])
        )
        at_home = origin_of(url) == self._home
        first = self.auth.start(scopes, long=isinstance(data, BlobBody)) if at_home else None
        if first is not None:
            sent["Authorization"] = first
        tried: set[Any] = set()
        options = {"auth": single_attempt} if once else {}
        while True:
            response = self._send(method, url, data=data, json=json, headers=sent, stream=stream, **options)
            # After a redirection, the challenge is that of another server.
            if response.status_code not in (401, 403) or not at_home or not self._is_home(response):
                return response
            following = self.auth.answer(response, scopes, tried)
            if following is None:
                return response
            sent["Authorization"] = following
            if isinstance(data, BlobBody):
                data.seek(0)

    def _is_home(self, response: requests.Response) -> bool:
        return origin_of(response.url) == self._home

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        try:
            return self.session.request(method, url, verify=self._verify, **options)
        except requests.RequestException:
            raise
        except LocationValueError as error:
            raise requests.exceptions.InvalidURL(error) from error
        except (http.client.HTTPException, HTTPError, OSError) as error:
            raise requests.ConnectionError(error) from error
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError) as error:
            # Of requests, urllib3 or urllib.parse, over an address or a header that a registry sends.
            raise requests.exceptions.InvalidURL(error) from error


def _home(root: str, host: str) -> Origin:
    home = origin_of(root)
    if home is None:
        raise InputError("The registry's host is invalid.", where=repr(host[:200]), fix="check host and port")
    return home
