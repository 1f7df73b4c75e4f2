"""People's Ollama keys, a line each, in the form of OpenSSH's ``authorized_keys``.

    # ~/.ollama/id_ed25519.pub of each person, and a name
    ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI... alice
    ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI... bob repositories=team/*,lab/coder expires=2027-01-31
    repositories="team/*",expiry-time="20270131" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI... carol

Options stand behind the name, or in front as in OpenSSH. A key without ``repositories`` may pull all that the
server offers; one without a name is known by its fingerprint. Ollama has ed25519 keys only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.errors import InputError
from starfreight.files import read_limited
from starfreight.packager.ollama_access.repositories import RepositoryPattern

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

KIND = "ssh-ed25519"
_HEADER = b"\x00\x00\x00\x0b" + KIND.encode() + b"\x00\x00\x00\x20"
_LIMIT = 4 << 20
_LONGEST_LINE = 8192
_LONGEST_NAME = 100
_MOST_KEYS = 20_000
_SHOWN = 5
_SETTLE = 1.0
"""Seconds."""

_OPTION = re.compile(r"([a-z-]{1,40})=(?:\"([^\"]*)\"|([^\s\",]*(?:,[^\s\",=]+)*))")
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d))?Z")
_OPENSSH_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?Z?")


@dataclass(frozen=True)
class Key:
    """A person's key and rights."""

    blob: str
    """The public key in base64, the second field of ``id_ed25519.pub``."""
    name: str
    repositories: tuple[RepositoryPattern, ...] | None = None
    """``None``: all that the server offers."""
    expires: datetime | None = None
    """In UTC; the key is refused from then on."""

    @property
    def fingerprint(self) -> str:
        """``SHA256:...`` as ``ssh-keygen -l`` prints it."""
        return fingerprint(self.blob)

    def is_expired(self, now: float) -> bool:
        """True if the key has expired at a time in seconds since 1970."""
        return self.expires is not None and now >= self.expires.timestamp()

    def may_pull(self, repository: str) -> bool:
        """True if the key's rights cover the repository."""
        return self.repositories is None or any(each.matches(repository) for each in self.repositories)

    def public_key(self) -> Ed25519PublicKey:
        """The key that verifies signatures."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        return Ed25519PublicKey.from_public_bytes(base64.b64decode(self.blob)[len(_HEADER) :])


@dataclass(frozen=True)
class AuthorizedKeys:
    """The keys of a file, and its faults."""

    keys: tuple[Key, ...]
    faults: tuple[str, ...] = ()
    """``line 3: ...`` for each line that grants nothing."""

    @cached_property
    def _by_name(self) -> dict[str, Key]:
        return {name: key for key in self.keys for name in (key.blob, key.fingerprint)}

    def find(self, blob_or_fingerprint: str) -> Key | None:
        """The key with this base64 text, or with this fingerprint."""
        return self._by_name.get(blob_or_fingerprint)


def fingerprint(blob: str) -> str:
    """The fingerprint of a key's base64 text, as ``ssh-keygen -l`` prints it."""
    digest = hashlib.sha256(base64.b64decode(blob)).digest()
    return "SHA256:" + base64.b64encode(digest).rstrip(b"=").decode()


def parse_authorized_keys(data: bytes) -> AuthorizedKeys:
    """Parse a file's bytes. Faulty lines are listed, and grant nothing.

    Raises:
        InputError: more than 20,000 lines with keys.
    """
    keys: dict[str, tuple[int, Key]] = {}
    faults: list[str] = []
    repeated: set[str] = set()
    for number, line in enumerate(data.split(b"\n"), start=1):
        line = line.removesuffix(b"\r")
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")  # Notepad's mark.
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        try:
            key = _parse_line(line)
            if key.blob in keys:
                # It is unclear which of the two lines is meant, so that neither grants anything.
                repeated.add(key.blob)
                raise _Fault(f"the same key is in line {keys[key.blob][0]}")
        except _Fault as fault:
            faults.append(f"line {number}: {fault}")
            continue
        keys[key.blob] = (number, key)
        if len(keys) > _MOST_KEYS:
            raise InputError(f"The file has more than {_MOST_KEYS:,} keys.", fix="split it between gateways")
    return AuthorizedKeys(tuple(key for _, key in keys.values() if key.blob not in repeated), tuple(faults))


class AuthorizedKeysFile:
    """A file of keys that is read again for every question, so that a removed line takes effect at once.

    In a changed file, a last line without a line break grants nothing before a second has passed without
    another change.

    Args:
        path: the file.

    Raises:
        InputError: the file is missing or has a faulty line. Later, faulty lines grant nothing, and a missing
            file grants nothing to anybody.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._data = read_limited(path, _LIMIT, "file of keys")
        self._keys = parse_authorized_keys(self._data)
        self._settled_at: float | None = None
        """Time from which on a changed file counts as written, its last line included."""
        if self._keys.faults:
            shown = "; ".join(self._keys.faults[:_SHOWN])
            more = len(self._keys.faults) - _SHOWN
            raise InputError(
                f"The file of keys has faults: {shown}{f'; and {more} more' if more > 0 else ''}.",
                where=str(path),
                fix="write each key as: ssh-ed25519 AAAA... NAME [repositories=team/*] [expires=2027-01-31]",
            )

    def read(self) -> AuthorizedKeys:
        """The keys as the file has them now."""
        with self._lock:
            try:
                data = read_limited(self.path, _LIMIT, "file of keys")
                now = time.monotonic()
                if data != self._data:
                    self._data, self._settled_at = data, now + _SETTLE
                    # A line that is still being written may lack the options that limit its key.
                    self._keys = parse_authorized_keys(data[: data.rfind(b"\n") + 1])
                if self._settled_at is not None and now >= self._settled_at:
                    self._keys, self._settled_at = parse_authorized_keys(data), None
            except InputError as error:
                return AuthorizedKeys((), (str(error),))
            return self._keys


class _Fault(ValueError):
    """A line's fault."""


def _parse_line(line: bytes) -> Key:
    if len(line) > _LONGEST_LINE:
        raise _Fault(f"longer than {_LONGEST_LINE:,} characters")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise _Fault("not UTF-8") from None
    if not text.replace("\t", " ").isprintable():
        raise _Fault("contains a control character")
    text = text.strip()
    options: dict[str, str] = {}
    while (option := _OPTION.match(text)) and text[option.end() :][:1] in (",", " ", "\t"):
        _add(options, option)
        text = text[option.end() :]
        text = text[1:] if text.startswith(",") else text.lstrip()
    words = text.split()
    if words[0] != KIND:
        if words[0].startswith(("ssh-", "ecdsa-", "sk-")):
            raise _Fault(f"{words[0][:40]} is not a key that Ollama has; it has {KIND}")
        raise _Fault(f"does not begin with {KIND}")  # Not quoted: it may be of a private key.
    if len(words) < 2:
        raise _Fault("the key is missing")
    name = []
    for word in words[2:]:
        match = _OPTION.fullmatch(word)
        if match:
            _add(options, match)
        elif "=" in word:
            raise _Fault(f"{word[:40]!r} is not an option: repositories=..., expires=...")
        else:
            name.append(word)
    label = " ".join(name)
    if len(label) > _LONGEST_NAME:
        raise _Fault(f"the name is longer than {_LONGEST_NAME} characters")
    blob = _check_blob(words[1])
    return Key(blob, label or fingerprint(blob), _repositories(options), _expiry(options))


def _add(options: dict[str, str], match: re.Match[str]) -> None:
    name, value = match[1], match[2] if match[2] is not None else match[3]
    if name not in ("repositories", "expires", "expiry-time"):
        raise _Fault(f"the option {name!r} is unknown: repositories=..., expires=...")
    if name in options or {"expires", "expiry-time"} <= {name, *options}:
        raise _Fault(f"the option {name!r} appears twice")
    options[name] = value


def _check_blob(text: str) -> str:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _Fault("the key is not base64, or cut off") from None
    if not data.startswith(_HEADER) or len(data) != len(_HEADER) + 32:
        raise _Fault(f"the key is not a whole {KIND} key")
    if base64.b64encode(data).decode() != text:  # Bits beyond the last byte: two spellings of one key.
        raise _Fault("the key's base64 is not in its usual form")
    return text


def _repositories(options: dict[str, str]) -> tuple[RepositoryPattern, ...] | None:
    if "repositories" not in options:
        return None
    try:
        return tuple(RepositoryPattern.parse(each.strip()) for each in options["repositories"].split(","))
    except InputError as error:
        raise _Fault(error.what.rstrip(".")) from None


def _expiry(options: dict[str, str]) -> datetime | None:
    text = options.get("expires", options.get("expiry-time"))
    if text is None:
        return None
    match = _DAY.fullmatch(text) or _TIME.fullmatch(text) or _OPENSSH_TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        time = datetime(*(int(part) for part in match.groups() if part), tzinfo=UTC)  # type: ignore[misc, arg-type]
        # `expires=2027-01-31` names the last day, OpenSSH's `20270131` the moment at its start.
        return time + timedelta(days=1) if match.re is _DAY else time
    except (ValueError, OverflowError):
        raise _Fault(f"{text[:40]!r} is not a date: write it as 2027-01-31") from None
