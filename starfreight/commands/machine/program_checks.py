"""Programs beside Starfreight: Ollama, nginx, and the sandbox of evaluations."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from starfreight.commands.machine.finding import Finding, program_output
from starfreight.console import human_count, printable

_MORE_PATHS = "/usr/sbin:/usr/local/sbin"
_LIMIT = 100_000


def check_ollama() -> Finding:
    """A running Ollama, its version, and its store."""
    import requests

    address = _ollama_address()
    fix = "install it from ollama.com and start it: ollama serve"
    session = requests.Session()
    session.trust_env = False  # Neither a proxy nor .netrc.
    try:
        with session.get(f"{address}/api/version", timeout=3, stream=True, allow_redirects=False) as answer:
            document = json.loads(answer.raw.read(_LIMIT, decode_content=True))
        version = printable(str(document["version"]))[:40]
    except (requests.RequestException, ValueError, LookupError, TypeError, OSError):
        if shutil.which("ollama") is None:
            return Finding("missing", f"no Ollama at {address}", fix)
        return Finding("warning", f"Ollama is installed, but does not answer at {address}", "ollama serve")
    store = _ollama_store()
    if store is None:
        return Finding("ok", f"Ollama {version} at {address}")
    return Finding(
        "ok",
        f"Ollama {version} at {address}, {human_count(shutil.disk_usage(store).free, 'B')} free in {store}",
    )


def check_nginx() -> Finding:
    """Nginx with njs, for a gateway without Docker."""
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":" + _MORE_PATHS)
    fix = "only for a gateway without Docker: apt install nginx libnginx-mod-http-js"
    if program is None:
        return Finding("missing", "nginx is not installed", fix)
    found = re.search(r"nginx/[0-9.]+", program_output(program, "-v") or "")
    return Finding("ok", f"{found[0] if found else 'nginx'} at {program}")


def check_sandbox() -> Finding:
    """bubblewrap, by starting a box."""
    from starfreight.errors import StarfreightError

    try:
        from starfreight.jobs.evaluate.sandbox.bubblewrap import Bubblewrap
        from starfreight.jobs.evaluate.sandbox.interface import Limits
    except ImportError:
        return Finding("missing", "evaluations are not installed", "pip install 'starfreight[evaluate]'")
    try:
        return Finding("ok", Bubblewrap(Limits()).name)
    except StarfreightError as error:
        return Finding("missing", error.what.rstrip("."), error.fix)


def _ollama_address() -> str:
    """The server's address by Ollama's own variable: a host, a port, both, or an address."""
    value = os.environ.get("OLLAMA_HOST", "").strip().strip("\"'") or "127.0.0.1:11434"
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError:
        return "http://127.0.0.1:11434"
    default = {"http": 80, "https": 443}.get(parts.scheme, 11434) if "://" in value else 11434
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port or default}"


def _ollama_store() -> Path | None:
    named = os.environ.get("OLLAMA_MODELS")
    candidates = (
        [Path(named)] if named else [Path.home() / ".ollama/models", Path("/usr/share/ollama/.ollama/models")]
    )
    return next((path for path in candidates if path.is_dir()), None)
