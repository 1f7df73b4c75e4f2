"""``starfreight package serve``."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import click

from starfreight.console import Console, human_count
from starfreight.options import with_console

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("serve")
@click.argument("packages", metavar="PACKAGE...", nargs=-1, required=True)
@click.option(
    "--listen",
    metavar="[HOST:]PORT",
    default="127.0.0.1:5080",
    show_default=True,
    help="Address to listen at.",
)
@click.option(
    "--name", "names", metavar="HOST[:PORT]", multiple=True,
    help="Another name by which clients call this server (repeatable). Others are refused.",
)  # fmt: skip
@click.option("--keys", type=_FILE, help="Serve only the holders of these Ollama public keys.")
@click.option("--tls-cert", type=_FILE, help="Certificate chain in PEM format, to serve HTTPS.")
@click.option("--tls-key", type=_FILE, help="Key of the certificate, unencrypted.")
@click.option("--force", is_flag=True, help="Serve a withdrawn package, with its withdrawal.")
@with_console
def serve(
    packages: tuple[str, ...],
    listen: str,
    names: tuple[str, ...],
    keys: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    force: bool,
    console: Console,
) -> None:
    """Serve each PACKAGE to `ollama pull` straight from its directory, without a registry.

    The server is read-only and offers nothing but the packages' manifests and blobs. A package is named
    starfreight/ and its own name; NAMESPACE/NAME[:TAG]=PACKAGE gives it another one. Ctrl-C ends the server.
    A withdrawn package (`package withdraw`) is refused with exit code 3.

    A file for --keys has a line for each person: the line of their ~/.ollama/id_ed25519.pub, a name, and
    optionally repositories=team/* and expires=2027-01-31. Changes take effect at once.

    \b
        starfreight package serve packages/acme-coder
        starfreight package serve --listen 0.0.0.0:5080 --keys keys team/coder:1.0=packages/acme-coder
    """
    from starfreight.packager.provenance.withdrawal.refuse import check_withdrawals
    from starfreight.packager.serve.access import Access, KeyAccess, OpenAccess
    from starfreight.packager.serve.listen_address import parse_listen
    from starfreight.packager.serve.read_only_registry import serve_packages
    from starfreight.packager.serve.report import result, warnings
    from starfreight.packager.serve.served_names import parse_served

    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together.")
    address = parse_listen(listen)
    access: Access = OpenAccess()
    if keys is not None:
        access = listed = KeyAccess(keys)
        console.note(f"{human_count(listed.count, 'listed keys')} may pull.")
    certificate = None if tls_cert is None or tls_key is None else (tls_cert, tls_key)
    for line in warnings(address, keyed=keys is not None, encrypted=certificate is not None):
        console.note(line)
    served = [parse_served(each) for each in packages]
    for folder, _ in served:
        check_withdrawals(folder, console, force=force)
    with serve_packages(
        served,
        address.host,
        address.port,
        access=access,
        names=names,
        certificate=certificate,
        log=console.note,
    ) as registry:
        console.result(*result(registry))
        with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C or SIGTERM: the usual end of a server.
            threading.Event().wait()
    console.note("Stopped.")
