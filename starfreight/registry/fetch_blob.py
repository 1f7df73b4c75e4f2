"""Download of a blob: in parallel ranges, resumable, verified.

    fetch_blob(client, descriptor, Path("model.gguf"), advance)

The file appears only with the right size and digest. An interrupted download continues where it stopped, also
after a kill. The digest is computed while the bytes arrive.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Advance
from starfreight.errors import GateError
from starfreight.package import Descriptor
from starfreight.registry.partial_file import PartialFile, open_partial

if TYPE_CHECKING:
    from starfreight.registry.client import RegistryClient

PARTS = 4
"""Parallel requests for one blob."""


def fetch_blob(
    client: RegistryClient,
    descriptor: Descriptor,
    to: Path,
    advance: Advance,
    *,
    parts: int = PARTS,
    keep_partial: bool = True,
) -> None:
    """Download a blob; the file appears only if size and digest are right.

    Without support for ranges in the registry, the blob is one stream, which restarts from the beginning
    when it breaks. Wrong bytes are discarded and requested once more, in one stream.

    Args:
        client: the repository. Several threads share it.
        descriptor: the blob; at most its size is read.
        to: the file to write.
        advance: called with the size of each chunk, and with a negative number on a restart.
        parts: maximum number of parallel requests.
        keep_partial: keep the received bytes after an error, for the same call to continue with.

    Raises:
        GateError: the registry sent bytes of another size or digest, twice.
        InputError: ``to`` is a directory, or below a file.
        ServiceError: the registry is unreachable, refuses or keeps failing, or the disk is full.
    """
    with open_partial(to, descriptor) as partial:
        try:
            partial.check_space()
            partial.save()
            _fetch(client, descriptor, partial, advance, parts)
            partial.finish(to)
        except GateError:
            partial.discard()
            raise
        except BaseException:
            if not (keep_partial and partial.received):
                partial.discard()
            raise


def _fetch(
    client: RegistryClient, descriptor: Descriptor, partial: PartialFile, advance: Advance, parts: int
) -> None:
    from starfreight.registry.blob_transfer import RangesUnusable, Transfer

    ranges = True
    failures = 0
    while True:
        transfer = Transfer(client, descriptor, partial, advance, parts if ranges else 1, ranges=ranges)
        try:
            found, received = transfer.run()
        except RangesUnusable:
            transfer.uncount()
            ranges = False
            partial.restart(whole=True)
            continue
        if received == descriptor.size and found == descriptor.digest:
            return
        transfer.uncount()
        failures += 1
        if failures == 2:
            raise _wrong_bytes(client, descriptor, received)
        # A cache in front of the registry may mix up ranges, so the second attempt uses none.
        ranges = False
        partial.restart(whole=True)


def _wrong_bytes(client: RegistryClient, descriptor: Descriptor, received: int) -> GateError:
    size = f"{descriptor.size:,} bytes"
    found = f"more than {size}" if received > descriptor.size else f"{received:,} bytes"
    return GateError(
        f"The registry sent bytes with another digest than {descriptor.digest} ({found}, expected {size}).",
        where=f"{client.host}, while fetching {descriptor.digest}",
        fix="do not use them; push the artifact again, or ask the registry's administrator",
    )
