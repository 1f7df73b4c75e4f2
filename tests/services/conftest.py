"""What the tests of a registry's clients have in common."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import Server


@pytest.fixture(autouse=True)
def plain(plain_environment: None) -> None:
    """No credentials and no proxies but those a test sets."""


@pytest.fixture(scope="session")
def gateway(
    require_service: Callable[[str], str],
    registry: Server,
    free_port: Callable[[], int],
    start_server: Callable[[list[str], int, Path], subprocess.Popen[bytes]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Server:
    """nginx in front of the registry, for the clients of Ollama's own registry.

    It adds the ``Location`` to blobs that Ollama does not pull without, and takes the name out of the
    value of RamaLama's ``Accept: Accept: ...``, over which docker-registry 2 answers with 400.
    """
    program = require_service("nginx")
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    paths = "\n".join(
        f"  {kind}_temp_path {folder / kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"""{user} daemon off; worker_processes 1; pid {folder / "pid"}; error_log stderr warn;
events {{}}
http {{
  access_log off; client_max_body_size 0;
{paths}
  map $request_method:$uri $blob {{
    "~^GET:/v2/.+/blobs/sha256:" $scheme://$http_host$request_uri;
  }}
  map $http_accept $wanted {{
    "~^Accept: (?<rest>.+)$" $rest;
    default $http_accept;
  }}
  server {{
    listen 127.0.0.1:{port};
    location /v2/ {{
      proxy_pass http://{registry.host};
      proxy_set_header Host $http_host;
      proxy_set_header Accept $wanted;
      proxy_buffering off; proxy_request_buffering off; proxy_http_version 1.1;
      add_header Location $blob always;
    }}
  }}
}}
"""
    )
    start_server([program, "-c", str(folder / "nginx.conf"), "-p", str(folder)], port, folder / "log")
    return Server(f"127.0.0.1:{port}", registry.storage)
