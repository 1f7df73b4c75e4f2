"""Address of a server, and its names in requests."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from dataclasses import dataclass

from starfreight.errors import InputError

_ADDRESS = re.compile(r"(?:(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:.]{2,45}\]):)?(?P<port>[0-9]{1,5})")
_NAME = re.compile(r"(?:[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9a-fA-F:.]{2,45}\])(:[0-9]{1,5})?")
_WILDCARDS = ("0.0.0.0", "::")
_DEFAULT_PORTS = (80, 443)


@dataclass(frozen=True)
class ListenAddress:
    """Host and port to bind; port 0 for any free one."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """True if only programs on this machine can connect."""
        if self.host == "localhost":
            return True
        with contextlib.suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return False

    @property
    def is_wildcard(self) -> bool:
        """True if the server listens at every address of this machine."""
        return self.host in _WILDCARDS


def parse_listen(text: str) -> ListenAddress:
    """Parse ``[HOST:]PORT``; without a host it is 127.0.0.1.

    Raises:
        InputError: malformed.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise InputError(
            "The address to listen at is not HOST:PORT.",
            where=repr(text[:200]),
            fix="write for example 127.0.0.1:5080, or 0.0.0.0:5080 to serve other machines",
        )
    return ListenAddress((found["host"] or "127.0.0.1").strip("[]"), int(found["port"]))


def known_names(listen: ListenAddress, port: int, given: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Values of ``Host`` that are this server, the one to print first.

    A server that answers to any name gives its files to web pages that point a name of theirs at this
    machine, and would accept sign-ins that were meant for another server.

    Args:
        listen: the address.
        port: the port in use.
        given: names by the user's order, with or without a port.

    Raises:
        InputError: a given name is malformed.
    """
    for name in given:
        if not _NAME.fullmatch(name):
            raise InputError(
                "The name of the server is not HOST[:PORT].",
                where=repr(name[:200]),
                fix="write for example models.example.org:5080",
            )
    hosts: list[str] = [listen.host]
    if listen.is_wildcard:
        hosts = [*_own_addresses(), socket.gethostname(), "127.0.0.1", "localhost"]
    elif listen.is_loopback:
        hosts = [listen.host, "127.0.0.1", "localhost"]
    names = [name if ":" in name.rpartition("]")[2] else f"{name}:{port}" for name in given]
    names += [name for name in given if name not in names]
    bracketed = [f"[{host}]" if ":" in host else host for host in hosts]
    names += [f"{host}:{port}" for host in bracketed]
    if port in _DEFAULT_PORTS:  # Clients leave it out.
        names += bracketed
    return tuple(dict.fromkeys(name.lower() for name in names))


def _own_addresses() -> list[str]:
    """This machine's address in its network: the source of a datagram that is never sent."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return [probe.getsockname()[0]]
    return []
