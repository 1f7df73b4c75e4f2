"""Ollama's own pull, request by request, for tests of what serves it.

    OllamaClient("127.0.0.1:5000", insecure=True).pull("acme/coder:1.0", tmp_path / "models")

A replay of Ollama 0.33 (``server/images.go``, ``download.go``, ``auth.go``, ``types/model/name.go``): the
same methods, headers and order, the same rules for redirects, parts and sign-in, and errors in the same
words. Waiting is left out unless asked for: Ollama asks for a blob's address again for 30 seconds.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ACCEPT = "application/vnd.docker.distribution.manifest.v2+json"
PARTS = 16
LEAST_PART, MOST_PART = 100_000_000, 1_000_000_000
MAX_RETRIES = 6
MAX_REDIRECTS = 10
NO_LOCATION = "http: no Location header in response"
NOT_FOUND = "file does not exist"
_REDIRECTS = (301, 302, 303, 307, 308)
_AGENT = "ollama/0.33.0 (amd64 linux) Go/go1.25.1"
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")


class OllamaError(Exception):
    """The text after ``Error: `` on Ollama's terminal."""


@dataclass(frozen=True)
class Asked:
    """One request that the client sent."""

    method: str
    url: str
    headers: dict[str, str]
    status: int


@dataclass
class OllamaClient:
    """``ollama pull HOST/NAMESPACE/NAME:TAG``.

    Args:
        host: address and port.
        insecure: as ``--insecure``: plain http, always.
        key: the key of ``~/.ollama/id_ed25519``; a new one if not given, as Ollama makes at its first start.
        authority: ``SSL_CERT_FILE`` of the server process.
        least_part: size of the smallest part in bytes; Ollama's own unless a test wants many parts.
        patience: seconds to wait between attempts, doubled each time; Ollama's is 1.
    """

    host: str
    insecure: bool = False
    key: Ed25519PrivateKey | None = None
    authority: Path | None = None
    least_part: int = LEAST_PART
    patience: float = 0
    asked: list[Asked] = field(default_factory=list)
    token: str = ""

    def __post_init__(self) -> None:
        self.key = self.key or Ed25519PrivateKey.generate()

    def pull(self, name: str, into: Path) -> dict[str, Any]:
        """Pull ``namespace/name:tag`` into a store (``$OLLAMA_MODELS``) and return its manifest.

        Raises:
            OllamaError: in Ollama's words.
        """
        namespace, model, tag = self._parse(name)
        base = f"{'http' if self.insecure else 'https'}://{self.host}/v2/{namespace}/{model}"
        try:
            answer = self._retried("GET", f"{base}/manifests/{tag}", {"Accept": ACCEPT})
            manifest = json.loads(answer.content)
        except OllamaError as error:
            raise OllamaError(f"pull model manifest: {error}") from error
        except ValueError as error:
            raise OllamaError(f"pull model manifest: invalid character: {error}") from error
        blobs = into / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        layers = [*(manifest.get("layers") or []), *([manifest["config"]] if manifest.get("config") else [])]
        fetched = [layer["digest"] for layer in layers if self._download(base, layer["digest"], blobs)]
        for digest in fetched:
            path = blobs / digest.replace(":", "-")
            found = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
            if found != digest:
                path.unlink()
                raise OllamaError(
                    f"digest mismatch, file must be downloaded again: want {digest}, got {found}"
                )
        stored = into / "manifests" / self.host / namespace / model / tag
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_bytes(answer.content)
        return dict(manifest)

    def _parse(self, name: str) -> tuple[str, str, str]:
        path, colon, tag = name.partition(":")
        parts = path.split("/")
        valid = (
            len(parts) == 2
            and all(_PART.fullmatch(part) for part in (*parts, tag if colon else "latest"))
            and "." not in parts[0]
            and _HOST.fullmatch(self.host)
        )
        if not valid:
            raise OllamaError("invalid model name")
        return parts[0], parts[1], tag or "latest"

    def _download(self, base: str, digest: str, blobs: Path) -> bool:
        """``downloadBlob``; returns False if the store has the blob, which is never hashed again."""
        if not re.fullmatch(r"sha256[:-][0-9a-f]{64}", digest):
            raise OllamaError("invalid digest format")
        path = blobs / digest.replace(":", "-")
        if path.exists():
            return False
        url = f"{base}/blobs/{digest}"
        head = self._retried("HEAD", url)
        total = int(head.headers.get("Content-Length") or 0)
        size = min(max(total // PARTS, self.least_part), MOST_PART)
        direct = self._direct_url(url)
        data = bytearray(total)
        with ThreadPoolExecutor(PARTS) as pool:
            parts = [
                pool.submit(self._part, direct, data, start, min(start + size, total))
                for start in range(0, total, size)
            ]
        for part in parts:
            part.result()
        partial = path.with_name(path.name + "-partial")
        partial.write_bytes(data)
        partial.rename(path)
        return True

    def _direct_url(self, url: str) -> str:
        end, wait = time.monotonic() + 30 * self.patience, 0.01
        while True:
            try:
                answer = self._retried("GET", url, own_host_only=True)
                break
            except OllamaError:
                if time.monotonic() + wait > end:
                    raise
                time.sleep(wait)
                wait *= 2
        answer.close()
        if answer.status_code not in (200, 307):
            raise OllamaError(f"unexpected status code {answer.status_code}")
        if not answer.headers.get("Location"):
            raise OllamaError(NO_LOCATION)
        return urljoin(answer.url, answer.headers["Location"])

    def _part(self, url: str, data: bytearray, start: int, end: int) -> None:
        error = ""
        for attempt in range(MAX_RETRIES):
            headers = {"Range": f"bytes={start}-{end - 1}", "User-Agent": "Go-http-client/1.1"}
            try:
                with self._send("GET", url, headers) as answer:  # No credentials, and any status.
                    while start < end and (piece := answer.raw.read(min(end - start, 1 << 16))):
                        data[start : start + len(piece)] = piece
                        start += len(piece)
                if start == end:
                    return
                error = "EOF"
            except Exception as caught:
                error = str(caught) if isinstance(caught, OllamaError) else "unexpected EOF"
            time.sleep(self.patience * 2**attempt)
        raise OllamaError(f"max retries exceeded: {error}")

    def _retried(
        self, method: str, url: str, headers: dict[str, str] | None = None, *, own_host_only: bool = False
    ) -> requests.Response:
        """``makeRequestWithRetry``: a sign-in after a 401, once."""
        for _ in range(2):
            sent = {**(headers or {}), "User-Agent": _AGENT}
            if self.token:
                sent["Authorization"] = f"Bearer {self.token}"
            answer = self._send(method, url, sent, own_host_only=own_host_only)
            if answer.status_code == 401:
                answer.close()
                self.token = self._sign_in(answer.headers.get("Www-Authenticate", ""), urlsplit(url).netloc)
            elif answer.status_code == 404:
                answer.close()
                raise OllamaError(NOT_FOUND)
            elif answer.status_code >= 400:
                raise OllamaError(f"{answer.status_code}: {answer.text}")
            else:
                return answer
        raise OllamaError("unauthorized: access denied")

    def _sign_in(self, challenge: str, host: str) -> str:
        """``getAuthorizationToken``."""
        assert self.key is not None
        challenge = challenge.removeprefix("Bearer ")
        realm = urlsplit(_value(challenge, "realm"))
        query = parse_qsl(realm.query, keep_blank_values=True)
        query.append(("service", _value(challenge, "service")))
        query += [("scope", scope) for scope in _value(challenge, "scope").split(" ")]
        query += [("ts", str(int(time.time()))), ("nonce", secrets.token_urlsafe(16))]
        # Go's url.Values.Encode sorts by key and keeps the order of equal ones.
        url = realm._replace(query=urlencode(sorted(query, key=lambda pair: pair[0]))).geturl()
        if realm.netloc != host:
            raise OllamaError(f'realm host "{realm.netloc}" does not match original host "{host}"')
        answer = self._send("GET", url, {"Authorization": sign(self.key, url), "User-Agent": _AGENT})
        if answer.status_code >= 400:
            raise OllamaError(
                f"{answer.status_code}: {answer.text}" if answer.text else str(answer.status_code)
            )
        try:
            return str(answer.json()["token"])
        except (ValueError, KeyError, TypeError):
            raise OllamaError("invalid character in the token service's answer") from None

    def _send(
        self, method: str, url: str, headers: dict[str, str], *, own_host_only: bool = False
    ) -> requests.Response:
        """Go's ``http.Client.Do``: follows redirects, and drops credentials that go to another host."""
        asked_host = urlsplit(url).hostname
        for _ in range(MAX_REDIRECTS + 1):
            session = requests.Session()
            session.trust_env = False  # No .netrc.
            encoding = {} if "Range" in headers or method == "HEAD" else {"Accept-Encoding": "gzip"}
            defaults: dict[str, str | bytes] = {"Accept-Encoding": "identity", "Connection": "keep-alive"}
            session.headers = requests.structures.CaseInsensitiveDict(defaults)
            verify = str(self.authority) if self.authority else True
            try:
                answer = session.request(
                    method, url, headers={**encoding, **headers}, stream=True, timeout=30,
                    allow_redirects=False, verify=verify,
                )  # fmt: skip
            except requests.RequestException as error:
                raise OllamaError(f'{method.capitalize()} "{url}": {error}') from error
            self.asked.append(Asked(method, url, headers, answer.status_code))
            if answer.status_code not in _REDIRECTS:
                return answer
            location = answer.headers.get("Location")
            if not location:
                raise OllamaError(
                    f'{method.capitalize()} "{url}": {answer.status_code} response missing Location'
                )
            target = urljoin(url, location)
            if own_host_only and urlsplit(target).hostname != asked_host:
                return answer
            if urlsplit(target).hostname != asked_host:
                headers = {name: value for name, value in headers.items() if name != "Authorization"}
            answer.close()
            url = target
        raise OllamaError(f'{method.capitalize()} "{url}": stopped after 10 redirects')


def public_key(key: Ed25519PrivateKey) -> str:
    """The line of ``~/.ollama/id_ed25519.pub``, without a name: ``ssh-ed25519 AAAA...``."""
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def sign(key: Ed25519PrivateKey, url: str) -> str:
    """The ``Authorization`` of a token request to ``url``."""
    empty = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()
    signature = base64.b64encode(key.sign(f"GET,{url},{empty}".encode())).decode()
    return f"{public_key(key).split()[1]}:{signature}"


def _value(header: str, key: str) -> str:
    """Ollama's ``getValue``, which takes any value for a quoted one."""
    start = header.find(f"{key}=")
    if start < 0:
        return ""
    start += len(key) + 2
    end = start
    while end < len(header):
        if header[end] == '"' and (end + 1 >= len(header) or header[end + 1] == ","):
            break
        end += 1
    return header[start:end]
