"""Builds a release of Starfreight from a clean checkout of its tag.

    git checkout v0.1.0
    python tools/release/build_release.py --tag v0.1.0 --out release

Writes the wheel and the sdist to ``release/dist`` (all that goes to PyPI), and beside it a bill of materials
and SHA256SUMS. Everything is built twice, and refused unless the bytes are the same. Needs the environment of
``pip install -e '.[train,dev]'``, since the bill names the versions that were tested; no network.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from distributions import Built, build, commit_time

_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)
_EXTRAS = ("train", "evaluate", "kubernetes", "object-storage", "sigstore")


def main() -> None:
    """Checks the version, builds, and writes the release."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tag", help="the tag to release: v and the version. Default: no check")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2], help="the checkout")
    parser.add_argument("--out", type=Path, default=Path("release"), help="directory to write; new or empty")
    parser.add_argument(
        "--only-archives", action="store_true", help="no bill of materials; needs setuptools alone"
    )
    options = parser.parse_args()
    version = read_version(options.root)
    if options.tag is not None:
        check_tag(options.root, options.tag, version)
    if options.out.exists() and any(options.out.iterdir()):
        raise SystemExit(f"{options.out} is not empty")
    epoch = commit_time(options.root)
    built = build(options.root, options.out / "dist", epoch)
    check_repeats(options.root, built, epoch)
    files = [built.wheel, built.sdist]
    if not options.only_archives:
        from bill_of_materials import write_bom

        files.append(options.out / f"starfreight-{version}.cdx.json")
        write_bom(files[:2], version, extras=_EXTRAS, epoch=epoch, path=files[-1])
    sums = "".join(f"{_sha256(each)}  {each.relative_to(options.out)}\n" for each in files)
    (options.out / "SHA256SUMS").write_text(sums)
    print(f"Starfreight {version}, built twice with the same bytes:\n{sums}", end="")


def read_version(root: Path) -> str:
    """The version in the source, which the wheel has."""
    found = _VERSION.search((root / "starfreight" / "__init__.py").read_text())
    if found is None:
        raise SystemExit("starfreight/__init__.py has no __version__")
    return found[1]


def check_tag(root: Path, tag: str, version: str) -> None:
    """A tag names the version of its commit, which has a section in CHANGELOG.md and no changed file."""
    if tag != f"v{version}":
        raise SystemExit(f"The tag is {tag}, but starfreight.__version__ is {version}: change one of them.")
    if not re.search(rf"^## \[?{re.escape(version)}\b", (root / "CHANGELOG.md").read_text(), re.MULTILINE):
        raise SystemExit(f"CHANGELOG.md has no section '## {version}': rename 'Unreleased'.")
    changed = subprocess.run(
        ["git", "-C", root, "status", "--porcelain"], capture_output=True, text=True, check=True
    ).stdout
    if changed:
        raise SystemExit(f"The checkout differs from its commit:\n{changed}")


def check_repeats(root: Path, built: Built, epoch: int) -> None:
    """Builds again, elsewhere, and compares the bytes."""
    with tempfile.TemporaryDirectory(prefix="starfreight-again-") as folder:
        again = build(root, Path(folder), epoch)
        for one, other in ((built.sdist, again.sdist), (built.wheel, again.wheel)):
            if one.name != other.name or _sha256(one) != _sha256(other):
                raise SystemExit(f"{one.name} differs in a second build: the build is not reproducible")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
