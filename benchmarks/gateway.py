"""The gateway's throughput beside nginx alone.

    python benchmarks/gateway.py [--megabytes 1024] [--rounds 3]

A blob is fetched from ``docker-registry`` (Debian's package) over loopback, in 16 concurrent ranges as Ollama
does: from the registry itself, through an nginx with nothing but ``proxy_pass``, through the gateway, and
through the gateway with users (signed addresses, an answer of the token service for each range). Prints the
best of the rounds, and the ratio to nginx alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = 16
NGINX = "/usr/sbin/nginx"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    """A server, until its port answers and then until the block ends."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            raise RuntimeError(f"{command[0]} does not answer: {(folder / 'log').read_text()[-2000:]}")
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@contextmanager
def registry(folder: Path) -> Iterator[int]:
    """docker-registry; gives its port."""
    port = free_port()
    (folder / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'storage'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with running(["docker-registry", "serve", "config.yml"], port, folder):
        yield port


@contextmanager
def nginx_alone(folder: Path, upstream: int) -> Iterator[int]:
    """An nginx with nothing but ``proxy_pass``."""
    port = free_port()
    folder.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    places = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in
                     ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))  # fmt: skip
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; worker_processes auto; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {places} upstream r {{ server 127.0.0.1:{upstream}; keepalive 32; }}\n"
        f"server {{ listen 127.0.0.1:{port}; proxy_http_version 1.1; proxy_set_header Connection '';\n"
        "proxy_buffering off; location / { proxy_pass http://r; } } }\n"
    )
    with running([NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")], port, folder):
        yield port


@contextmanager
def gateway(folder: Path, upstream: int, keys: str | None) -> Iterator[int]:
    """``starfreight gateway run``."""
    port = free_port()
    folder.mkdir()
    settings = {
        "host": f"127.0.0.1:{port}", "listen": f"127.0.0.1:{port}", "access_log": "off",
        "registry": {"url": f"http://127.0.0.1:{upstream}"}, "repositories": ["team/*"],
    }  # fmt: skip
    if keys is not None:
        (folder / "keys").write_text(keys)
        settings["users"] = {"authorized_keys": "keys", "audit_log": "audit.jsonl"}
    (folder / "gateway.yaml").write_text(json.dumps(settings))
    command = [sys.executable, "-P", "-m", "starfreight", "gateway", "run", "gateway.yaml", "--on", "local"]
    with running(command, port, folder):
        yield port


def push(port: int, size: int) -> str:
    """Push a blob of random bytes and return its path."""
    data = os.urandom(1 << 20) * (size >> 20)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    start = urllib.request.Request(f"http://127.0.0.1:{port}/v2/team/coder/blobs/uploads/", method="POST")
    with urllib.request.urlopen(start) as answer:
        place = answer.headers["Location"]
    put = urllib.request.Request(f"{place}&digest={digest}", data=data, method="PUT")
    put.add_header("Content-Type", "application/octet-stream")
    urllib.request.urlopen(put).close()
    return f"/v2/team/coder/blobs/{digest}"


def fetch(url: str, size: int) -> float:
    """Fetch a blob in 16 ranges; seconds."""

    def part(start: int) -> None:
        end = min(start + size // PARTS, size) - 1
        request = urllib.request.Request(url, headers={"Range": f"bytes={start}-{end}"})
        buffer = memoryview(bytearray(1 << 20))
        left = end - start + 1
        with urllib.request.urlopen(request) as answer:
            while left and (count := answer.readinto(buffer)):
                left -= count
        assert left == 0

    begin = time.perf_counter()
    with ThreadPoolExecutor(PARTS) as pool:
        list(pool.map(part, range(0, size, size // PARTS)))
    return time.perf_counter() - begin


def signed_url(port: int, path: str, private: object) -> str:
    """Sign in as Ollama does, and return the blob's signed address."""
    from urllib.parse import urlencode

    sys.path.insert(0, str(ROOT / "tests" / "plugins"))
    from ollama_client import sign

    origin = f"http://127.0.0.1:{port}"
    query = urlencode([("nonce", os.urandom(8).hex()), ("scope", "repository:team/coder:pull"),
                       ("service", "starfreight"), ("ts", str(int(time.time())))])  # fmt: skip
    url = f"{origin}/token?{query}"
    request = urllib.request.Request(url, headers={"Authorization": sign(private, url)})  # type: ignore[arg-type]
    with urllib.request.urlopen(request) as answer:
        token = json.load(answer)["token"]
    request = urllib.request.Request(origin + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as answer:
        return str(answer.headers["Location"])


def main() -> None:
    """The command line of this module."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    parser = argparse.ArgumentParser(description="The gateway's throughput beside nginx alone.")
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    size = options.megabytes << 20
    private = Ed25519PrivateKey.generate()
    keys = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " me\n"
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # Workers of nginx under root are another user.
        upstream = stack.enter_context(registry(folder))
        path = push(upstream, size)
        plain = stack.enter_context(nginx_alone(folder / "nginx", upstream))
        everybody = stack.enter_context(gateway(folder / "everybody", upstream, None))
        users = stack.enter_context(gateway(folder / "users", upstream, keys))
        urls = {
            "the registry itself": f"http://127.0.0.1:{upstream}{path}",
            "nginx alone": f"http://127.0.0.1:{plain}{path}",
            "gateway": f"http://127.0.0.1:{everybody}{path}",
            "gateway with users": signed_url(users, path, private),
        }
        rounds = [{label: fetch(url, size) for label, url in urls.items()} for _ in range(options.rounds)]
    best = {label: min(each[label] for each in rounds) for label in urls}
    for label, seconds in best.items():
        ratio = best["nginx alone"] / seconds
        print(f"{label:20} {size / seconds / 1e6:8.0f} MB/s  {ratio:5.2f} of nginx alone")


if __name__ == "__main__":
    main()
