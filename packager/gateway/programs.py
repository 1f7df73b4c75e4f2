"""nginx and its njs module on this machine, and the user of its workers."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

_ALSO = "/usr/sbin:/usr/local/sbin:/usr/local/nginx/sbin"
_MODULES = (
    "/usr/lib/nginx/modules/ngx_http_js_module.so",
    "/usr/lib64/nginx/modules/ngx_http_js_module.so",
    "/etc/nginx/modules/ngx_http_js_module.so",
)


def find_nginx() -> str | None:
    """The path of nginx; ``sbin`` is off the PATH of ordinary users."""
    return shutil.which("nginx") or shutil.which("nginx", path=_ALSO)


def find_njs() -> str | None:
    """The path of nginx's JavaScript module."""
    return next((path for path in _MODULES if Path(path).is_file()), None)


@dataclass(frozen=True)
class Worker:
    """The user of nginx's workers under root."""

    uid: int
    user: str
    group: str


_NOBODY = 65534
_CAP_SETUID = 7


def find_worker() -> Worker | None:
    """The user that workers become; ``None`` if we are not root, so that they stay what we are.

    In a container, root may lack the capability to become somebody else. It then can do no harm, and stays
    root.
    """
    if os.geteuid() != 0:
        return None
    status = Path("/proc/self/status").read_text()
    capabilities = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    able = capabilities is None or int(capabilities[1], 16) >> _CAP_SETUID & 1
    user = pwd.getpwuid(_NOBODY if able else 0)
    return Worker(user.pw_uid, user.pw_name, grp.getgrgid(user.pw_gid).gr_name)
