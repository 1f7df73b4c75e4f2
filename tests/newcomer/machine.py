"""A clean machine: Debian with Python, a person's account, and no network but loopback.

A directory of wheels is pip's index. A registry with a certificate of a private CA stands for the firm's. All
mounts are in a mount namespace, and vanish with its last process.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pages import REGISTRY

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "starfreight-tests"
SUITE = "bookworm"
PACKAGES = ("python3", "python3-venv", "make", "curl")
"""The packages that README.md and the tutorial name."""
USER = "newcomer"
TOOLS = ("debootstrap", "git", "unshare", "ip", "pivot_root", "docker-registry")
"""Programs that making a machine takes, beside root's rights."""

# Runs as root in new namespaces. The registry stays in the first mount namespace: pivot_root moves all
# processes of its own one.
_START = """
set -eu
PATH=$PATH:/usr/sbin:/sbin
ip link set lo up
docker-registry serve "$1/config.yml" >"$1/log" 2>&1 </dev/null &
shift
exec unshare --mount sh -c "$@"
"""
# Then the account's shell, in the machine's root.
_ENTER = """
set -eu
root=$1 wheels=$2 shell=$3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --bind "$wheels" "$root/wheels"
cd "$root"
mkdir -p .old
pivot_root . .old
exec chroot . /bin/sh -c '
    umount -l /.old
    cd "/home/$1"
    exec setpriv --reuid="$1" --regid="$1" --init-groups \\
        env -i HOME="/home/$1" USER="$1" LOGNAME="$1" SHELL=/bin/bash TERM=xterm LANG=C.UTF-8 \\
        PATH=/usr/local/bin:/usr/bin:/bin SSL_CERT_FILE=/etc/ssl/certs/firm.pem \\
        bash "$2"' sh USER "$shell"
"""


@dataclass(frozen=True)
class Machine:
    """A machine that is ready.

    Args:
        root: its root directory.
        wheels: the directory that pip installs from.
        registry: the registry's configuration, and its storage.
    """

    root: Path
    wheels: Path
    registry: Path

    @property
    def home(self) -> Path:
        """The account's directory, as this machine sees it."""
        return self.root / "home" / USER

    def write_script(self, name: str, text: str) -> str:
        """Stores a script outside the home directory; returns its path inside."""
        path = self.root / "var/tmp" / name
        path.write_text(text)
        path.chmod(0o644)
        return f"/var/tmp/{name}"

    def command(self, script: str) -> list[str]:
        """The command line that runs a script of :meth:`write_script` as the account."""
        return [
            "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child",
            "sh", "-c", _START, "sh", str(self.registry),
            _ENTER.replace("USER", USER), "sh", str(self.root), str(self.wheels), script,
        ]  # fmt: skip


def missing_tools() -> list[str]:
    """What prevents this process from making a machine; empty if nothing does."""
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=path) is None]
    return missing if os.geteuid() == 0 else ["the rights of root", *missing]


@contextmanager
def clean_machine(checkout: Path, *, keep: bool = False) -> Iterator[Machine]:
    """Makes a machine with a clone of the checkout in the account's home, and removes it."""
    folder = Path(tempfile.mkdtemp(prefix="newcomer-"))
    folder.chmod(0o755)
    try:
        root = folder / "root"
        root.mkdir()
        subprocess.run(["tar", "--extract", "--file", _base_archive(), "--directory", root], check=True)
        # Changed lines of the base: the account, pip's index, the registry's name.
        subprocess.run(["chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", USER], check=True)
        (root / "wheels").mkdir()
        wheels = make_wheels(checkout, root / "project")
        (root / "etc/pip.conf").write_text(
            "[global]\nno-index = true\nfind-links = /wheels /project\ndisable-pip-version-check = true\n"
        )
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost {REGISTRY}\n")
        (root / "etc/resolv.conf").write_text("")
        machine = Machine(root, wheels, _registry(folder / "registry", root))
        copy_checkout(checkout, machine.home / "starfreight")
        subprocess.run(["chroot", root, "chown", "-R", f"{USER}:{USER}", f"/home/{USER}"], check=True)
        yield machine
    finally:
        if keep:
            print(f"Kept: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)


def make_wheels(checkout: Path, own: Path) -> Path:
    """Makes a wheel of the checkout, and fetches all that it needs.

    Args:
        checkout: the checkout.
        own: directory for its wheel.

    Returns:
        The directory of all other wheels, kept between runs.
    """
    wheels = CACHE / "newcomer-wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip"]
    project = tomllib.loads((checkout / "pyproject.toml").read_text())
    with tempfile.TemporaryDirectory(prefix="newcomer-wheel-") as scratch:
        # Setuptools builds in the source directory.
        source = Path(scratch) / "source"
        copy_checkout(checkout, source)
        subprocess.run([*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", own, source], check=True)
    subprocess.run(
        [
            *pip, "download", "--quiet", "--quiet", "--only-binary", ":all:", "--dest", wheels,
            "--find-links", own, "--find-links", wheels, "--find-links", CACHE / "wheelhouse",
            _torch(checkout), "starfreight[train]", *project["build-system"]["requires"],
        ],
        check=True,
    )  # fmt: skip
    for copy in wheels.glob("starfreight-*.whl"):
        copy.unlink()
    return wheels


def _torch(checkout: Path) -> str:
    """The release that the Makefile installs first."""
    lines = (checkout / "Makefile").read_text().splitlines()
    return next(line.removeprefix("TORCH ?= ") for line in lines if line.startswith("TORCH ?= "))


def copy_checkout(checkout: Path, target: Path) -> None:
    """A clone, with the changes of the working tree that git does not ignore."""
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", checkout, target], check=True)
    listed = subprocess.run(
        ["git", "-C", checkout, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    names = {name for name in listed.split("\0") if name}
    for name in names:
        source, copy = checkout / name, target / name
        copy.unlink(missing_ok=True)
        if source.is_symlink() or source.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)


def _base_archive() -> Path:
    recipe = hashlib.sha256(f"{SUITE} minbase {PACKAGES}".encode()).hexdigest()[:12]
    archive = CACHE / f"newcomer-{SUITE}-{recipe}.tar"
    if not archive.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="newcomer-debian-") as scratch:
            root, part = Path(scratch) / "root", archive.with_suffix(".part")
            subprocess.run(
                ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, root],
                check=True, stdout=subprocess.DEVNULL,
                env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"},
            )  # fmt: skip
            left_out = ("var/cache/apt/*.bin", "var/cache/apt/archives/*.deb", "var/lib/apt/lists/*_*")
            subprocess.run(
                ["tar", *(f"--exclude=./{path}" for path in left_out), "--directory", root,
                 "--create", "--file", part, "."],
                check=True,
            )  # fmt: skip
            part.rename(archive)
    return archive


def _registry(folder: Path, root: Path) -> Path:
    """Configuration of a registry at port 443, whose CA the machine knows."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder.mkdir()
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, REGISTRY)])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(REGISTRY)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "certificate.pem").write_bytes(pem)
    (root / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
    (root / "etc/ssl/certs/firm.pem").write_bytes(pem)
    (folder / "config.yml").write_text(
        "version: 0.1\nlog: {level: warn, accesslog: {disabled: true}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'storage'}}}}}\n"
        "http:\n  addr: 127.0.0.1:443\n  secret: secret\n"
        f"  tls: {{certificate: {folder / 'certificate.pem'}, key: {folder / 'key.pem'}}}\n"
    )
    return folder
