"""Ask for a package as Ollama would, to find out if a stock Ollama can pull it.

    probe = probe_ollama(reference, insecure=False)
    print(probe.command or probe.problem)

The requests are those of Ollama 0.33 (``server/download.go``, ``server/auth.go``): the manifest by its media
type, then one blob, which has to be answered with 200 and a ``Location``, or with 307 to another host name,
then a range from there without credentials. It has no user names or passwords: a registry that wants any is
asked with a new key of Ollama's kind, so only what everybody may pull is found.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from starfreight.errors import StarfreightError
from starfreight.registry.media_types import DOCKER_MANIFEST
from starfreight.registry.reference import TagReference, ollama_objection

if TYPE_CHECKING:
    import requests

    from starfreight.registry.session import RegistrySession

_SMALLEST_PART = 100_000_000
"""Bytes. Ollama fetches a larger blob in several ranges; a smaller one may be answered with 200."""

_NOTHING = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()

GATEWAY = "put a gateway in front of the registry: starfreight gateway run"


@dataclass(frozen=True)
class Probe:
    """The outcome for a stock Ollama.

    Attributes:
        reference: the package.
        pulls: True if every Ollama can pull it.
        command: the command that pulls or installs it.
        problem: the reason why Ollama cannot; ``None`` if it can.
        fix: what the registry lacks; ``None`` if nothing.
    """

    reference: str
    pulls: bool
    command: str
    problem: str | None = None
    fix: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The outcome as ``--json`` prints it."""
        return {"pulls": self.pulls, "command": self.command, "problem": self.problem, "fix": self.fix}

    def as_text(self) -> str:
        """The outcome for people."""
        if self.pulls:
            return f"Next: {self.command}"
        fix = f"\nFor ollama pull, {self.fix}." if self.fix else ""
        return f"Ollama cannot pull it from there: {self.problem}.{fix}\nNext: {self.command}"


_NOT_LISTED = b"this key may not pull"
"""Our token services' answer to an unlisted key (:mod:`starfreight.packager.ollama_access`)."""


class _CannotPullError(Exception):
    """Ollama fails here.

    Args:
        problem: the reason.
        fix: what would help.
        for_listed_keys: only the holders of some keys pull, and by ``ollama pull`` alone.
    """

    def __init__(self, problem: str, fix: str | None = None, *, for_listed_keys: bool = False) -> None:
        super().__init__(problem)
        self.problem, self.fix, self.for_listed_keys = problem, fix, for_listed_keys


def probe_ollama(reference: TagReference, *, insecure: bool) -> Probe:
    """Find out if a stock Ollama can pull a published package.

    Args:
        reference: the package's place; the plain tag names Ollama's manifest.
        insecure: with ``ollama pull --insecure``, which always uses plain HTTP.
    """
    flag = "--insecure " if insecure else ""
    pull = f"ollama pull {flag}{reference}"
    install = f"starfreight package install {flag}{reference}"
    if (objection := ollama_objection(reference)) is not None:
        return Probe(str(reference), False, install, objection)
    import requests

    try:
        _Ollama(reference, insecure=insecure).pull()
    except _CannotPullError as error:
        command = pull if error.for_listed_keys else install
        return Probe(str(reference), False, command, error.problem, error.fix)
    except StarfreightError as error:
        return Probe(str(reference), False, install, error.what.rstrip("."), error.fix)
    except (requests.RequestException, ValueError, LookupError, TypeError, RecursionError) as error:
        from starfreight.registry.failures import clean

        why = clean(str(error)) or type(error).__name__
        return Probe(str(reference), False, install, f"the registry's answer is unusable: {why}")
    return Probe(str(reference), True, pull)


class _Ollama:
    """Ollama's requests for one model, as far as its first byte.

    Args:
        reference: the model.
        insecure: use plain HTTP.
    """

    def __init__(self, reference: TagReference, *, insecure: bool) -> None:
        from starfreight.registry.certificates import certificates, tls_context
        from starfreight.registry.origins import origin_of
        from starfreight.registry.session import RegistrySession

        self._scheme = "http" if insecure else "https"
        self._root = f"{self._scheme}://{reference.host}/v2/{reference.repository}"
        self._tag, self._host = reference.tag, reference.host
        home = origin_of(self._root)
        if home is None:
            raise _CannotPullError("the host is not valid")
        self._verify = True if insecure else certificates()
        tls = None if insecure else tls_context(reference.host)
        self._session: RegistrySession = RegistrySession(home, tls)
        self._token: str | None = None

    def pull(self) -> None:
        """Do what Ollama does for the manifest and one blob.

        Raises:
            _CannotPullError: Ollama would fail.
        """
        response = self._get(f"{self._root}/manifests/{self._tag}", accept=DOCKER_MANIFEST)
        if response.status_code != 200:
            raise _CannotPullError(f"the registry answers {response.status_code} for its manifest")
        layers = json.loads(response.content)["layers"]
        # The smallest: no server stops at once when a client that wants no more bytes hangs up.
        smallest, *_, largest = sorted([*layers, layers[0]], key=lambda layer: int(layer["size"]))
        blob, size = f"{self._root}/blobs/{smallest['digest']}", int(smallest["size"])
        length = self._get(blob, method="HEAD").headers.get("Content-Length")
        if length is None or int(length) != size:
            raise _CannotPullError(f"the registry tells another length of the blob {smallest['digest']}")
        self._range(self._direct_address(blob), size, in_parts=int(largest["size"]) > _SMALLEST_PART)

    def _direct_address(self, blob: str) -> str:
        """The address that Ollama fetches a blob's ranges from."""
        host = urlsplit(blob).hostname
        for _ in range(10):
            response = self._get(blob, stream=True)
            status, location = response.status_code, response.headers.get("Location")
            response.close()
            target = urljoin(blob, location) if location else None
            if status == 200 and target:
                return target
            if status == 200:
                raise _CannotPullError(
                    "it is a plain registry, where Ollama ends with http: no Location header in response",
                    GATEWAY,
                )
            if status in (301, 302, 303, 307, 308) and target and urlsplit(target).hostname == host:
                blob = target  # Ollama follows it, and then needs a Location again.
                continue
            if status == 307 and target:
                return target
            raise _CannotPullError(f"the registry answers {status} for a blob", GATEWAY)
        raise _CannotPullError("the registry redirects the request for a blob in a circle", GATEWAY)

    def _range(self, address: str, size: int, *, in_parts: bool) -> None:
        """Fetch the last byte, without credentials; with ``in_parts``, the answer has to be that byte."""
        if urlsplit(address).scheme not in ("http", "https"):
            raise _CannotPullError("the registry names an address for blobs that is not one of the web")
        headers = {"Range": f"bytes={max(0, size - 1)}-{max(0, size - 1)}"}
        response = self._session.get(address, headers=headers, stream=True, verify=self._verify)
        response.close()
        if response.status_code == 206 or (response.status_code == 200 and not in_parts):
            return
        raise _CannotPullError(
            f"the address named for blobs answers {response.status_code} for a part of one, where Ollama "
            "needs 206",
            GATEWAY,
        )

    def _get(
        self, url: str, *, method: str = "GET", accept: str | None = None, stream: bool = False
    ) -> requests.Response:
        """Send a request, and sign in once if the registry requests it."""
        for attempt in range(2):
            headers = {"Accept": accept} if accept else {}
            if self._token is not None and urlsplit(url).netloc == self._host:
                headers["Authorization"] = f"Bearer {self._token}"
            response = self._session.request(
                method, url, headers=headers, stream=stream, allow_redirects=not stream, verify=self._verify
            )
            if response.status_code != 401 or attempt:
                break
            response.close()
            self._sign_in(response)
        if response.status_code in (401, 403):
            raise self._private("it is private")
        return response

    def _sign_in(self, response: requests.Response) -> None:
        """Get a token with a key that nobody has seen before, as every new Ollama does."""
        from starfreight.registry.challenges import challenges_of

        bearer = [each for each in challenges_of(response) if each.scheme == "bearer"]
        if not bearer:
            raise self._private("it wants a user name and a password, which Ollama does not have")
        realm = urlsplit(bearer[0].get("realm"))
        if realm.netloc != self._host:
            raise self._private(
                f"its token service is at another host ({realm.netloc[:100]}), where Ollama does not sign in"
            )
        address = _signed_in_address(bearer[0].parameters)
        answer = self._session.get(
            address,
            headers={"Authorization": _signature(address)},
            allow_redirects=False,
            verify=self._verify,
        )
        token = json.loads(answer.content).get("token") if answer.status_code == 200 else None
        if answer.status_code in (401, 403) and _NOT_LISTED in answer.content:
            raise _CannotPullError(
                "only the holders of listed keys pull, and a new Ollama is not one of them",
                "have your key listed: it is ~/.ollama/id_ed25519.pub of the Ollama server",
                for_listed_keys=True,
            )
        if not isinstance(token, str) or not token:
            raise self._private("it is private")
        self._token = token

    def _private(self, problem: str) -> _CannotPullError:
        return _CannotPullError(
            problem,
            f"{GATEWAY}; with a list of Ollama's public keys, their holders pull",
        )


def _signed_in_address(parameters: Mapping[str, str]) -> str:
    """The address of a token, with the query that Ollama sends."""
    realm = urlsplit(parameters["realm"])
    query = [*parse_qsl(realm.query), ("service", parameters.get("service", ""))]
    query += [("scope", scope) for scope in parameters.get("scope", "").split(" ")]
    query += [("ts", str(int(time.time()))), ("nonce", secrets.token_urlsafe(16))]
    # Go sorts the parameters.
    return realm._replace(query=urlencode(sorted(query, key=lambda pair: pair[0]))).geturl()


def _signature(address: str) -> str:
    """The header of a request for a token, signed with a new key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1].decode()
    signature = key.sign(f"GET,{address},{_NOTHING}".encode())
    return f"{public}:{base64.b64encode(signature).decode()}"
