"""``starfreight gateway``: `ollama pull` from a private registry."""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

import click

from starfreight.console import Console
from starfreight.options import with_console

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def gateway() -> None:
    """Serve models of a private registry to stock Ollama.

    Ollama cannot pull from most registries, and never from private ones. The gateway is nginx with a
    generated configuration: it keeps the registry's credential, serves pulls of the listed repositories and
    refuses everything else. With `users`, only holders of listed Ollama keys may pull.

    \b
      gateway.yaml
        host: models.example.com:8443
        listen: 0.0.0.0:8443
        tls: {certificate: server.pem, key: server.key}
        registry:
          url: https://registry.internal:5000
          credential: {username: robot, password: {file: password}}
        repositories: [team/*]
        users: {authorized_keys: authorized_keys}

    \b
        starfreight gateway run gateway.yaml
        ollama pull models.example.com:8443/team/coder:1.0
    """


@gateway.command("render")
@click.argument("file", type=_FILE)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True,
    help="Directory to write nginx.conf and its parts to.",
)  # fmt: skip
@click.option(
    "--check/--no-check",
    default=True,
    help="Test the result with nginx, if it is installed.  [default: check]",
)
@with_console
def render_command(file: Path, out: Path, check: bool, console: Console) -> None:
    """Write nginx's configuration for the gateway FILE.

    The credential goes into a file of its own, which only you can read. Start nginx with it yourself, or let
    `starfreight gateway run` do both.

    \b
        starfreight gateway render gateway.yaml --out /etc/starfreight-gateway
        nginx -c /etc/starfreight-gateway/nginx.conf
    """
    from starfreight.packager.gateway.load import load_settings
    from starfreight.packager.gateway.nginx_values import socket_path
    from starfreight.packager.gateway.render import check_with_nginx, render

    settings = load_settings(file)
    rendered = render(settings, out)
    checked = check and check_with_nginx(rendered)
    data = {
        "folder": str(rendered.folder),
        "files": list(rendered.files),
        "checked": checked,
        "origin": settings.origin,
        "repositories": list(settings.repositories),
        "users": settings.users is not None,
    }
    lines = [f"Written to {rendered.folder}: {', '.join(rendered.files)}."]
    if check and not checked:
        lines.append("Not tested: nginx is not installed here.")
    lines.append(f"Next: nginx -c {shlex.quote(str(rendered.configuration))}")
    if settings.users is not None:
        socket = socket_path(settings, out.absolute())
        tokens = shlex.join(["starfreight", "gateway", "tokens", str(file), "--socket", str(socket)])
        lines.append(f"And beside it: {tokens}")
    console.result(data, "\n".join(lines))


@gateway.command("run")
@click.argument("file", type=_FILE)
@click.option(
    "--on", "where", type=click.Choice(["local", "docker"]), default=None,
    help="Run this machine's nginx, or a container.  [default: local if nginx is installed]",
)  # fmt: skip
@click.option(
    "--image", metavar="REF", default=None, help="Image for --on docker.  [default: the one built last]"
)
@click.option(
    "--tokens/--no-tokens", "with_tokens", default=True,
    help="Run the token service, too; otherwise it is expected at users.socket.  [default: tokens]",
)  # fmt: skip
@with_console
def run_command(
    file: Path, where: str | None, image: str | None, with_tokens: bool, console: Console
) -> None:
    """Run the gateway FILE until Ctrl-C.

    It reloads by itself when the credential, a certificate or the registry's address changes. Changes to the
    authorized keys take effect at once.

    \b
        starfreight gateway run gateway.yaml
        starfreight images build gateway && starfreight gateway run gateway.yaml --on docker
    """
    from starfreight.packager.gateway.load import load_settings
    from starfreight.packager.gateway.programs import find_nginx, find_njs

    settings = load_settings(file)
    if where is None:
        credential = settings.registry.credential
        needs_njs = credential is not None and credential.token_server is not None
        where = "local" if image is None and find_nginx() and (find_njs() or not needs_njs) else "docker"

    def started() -> None:
        data = {
            "origin": settings.origin, "listen": settings.listen, "on": where,
            "repositories": list(settings.repositories), "users": settings.users is not None,
        }  # fmt: skip
        insecure = " --insecure" if settings.origin.startswith("http:") else ""
        console.result(
            data, f"The gateway answers at {settings.origin}; Ctrl-C stops it.\n"
            f"Next: ollama pull{insecure} {settings.host}/NAMESPACE/NAME:TAG",
        )  # fmt: skip

    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C or SIGTERM: the usual end of a server.
        if where == "docker":
            from starfreight.packager.gateway.run_docker import run_docker

            run_docker(settings, image, console, started=started)
        else:
            from starfreight.packager.gateway.run_local import run_local

            run_local(settings, console, with_tokens=with_tokens, started=started)
    console.note("Stopped.")


@gateway.command("tokens")
@click.argument("file", type=_FILE)
@click.option(
    "--socket", type=_FILE, default=None, help="Unix socket to listen on.  [default: users.socket]"
)  # fmt: skip
@with_console
def tokens_command(file: Path, socket: Path | None, console: Console) -> None:
    """Run only the token service of the gateway FILE, until Ctrl-C.

    For pods and services in which nginx runs by itself; `starfreight gateway run` includes it.

    \b
        starfreight gateway tokens gateway.yaml --socket /run/starfreight/access.sock
    """
    from starfreight.errors import InputError
    from starfreight.packager.gateway.load import load_settings
    from starfreight.packager.gateway.token_service import TokenService

    settings = load_settings(file)
    path = socket or (Path(settings.users.socket) if settings.users and settings.users.socket else None)
    if path is None and settings.users is not None:
        raise InputError(
            "The socket of the token service is not known.",
            where=str(file),
            fix="give --socket, or set users.socket",
        )
    service = TokenService(settings, (path or Path("access.sock")).absolute())
    console.result(
        {"socket": str(path), "origin": settings.origin},
        f"The token service answers at {path}; Ctrl-C stops it.",
    )
    try:
        with contextlib.suppress(KeyboardInterrupt):
            service.serve()
    finally:
        service.close()
    console.note("Stopped.")
