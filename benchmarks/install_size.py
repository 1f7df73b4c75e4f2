"""Size of an installation without torch, its largest packages, and its limit.

    python benchmarks/install_size.py                        # this checkout without extras
    python benchmarks/install_size.py . '.[llama]' ramalama  # any requirement of pip's, each by itself

Each requirement is installed into an empty virtual environment of its own. Sizes are those of the installed
files; the space on the disk is larger by the bytecode that pip compiles and by half-empty blocks. Exits with
1 if the installation without extras (``.``) is larger than the limit.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from starfreight.images.wheel import build_wheel

LIMIT = 320_000_000
LARGEST = 10


def measure(requirement: str) -> tuple[Counter[str], int]:
    """Installs a requirement; returns the bytes of each package, and of all on the disk."""
    with tempfile.TemporaryDirectory(prefix="starfreight-size-") as folder:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        python = Path(folder, "bin", "python")
        pip = [sys.executable, "-m", "pip", "-qqq", "--disable-pip-version-check", "--python", str(python)]
        if requirement.startswith("."):  # Not from the checkout itself, where pip would leave its build.
            requirement = requirement.replace(".", str(build_wheel(Path(folder, "wheels")).wheel), 1)
        if subprocess.run([*pip, "install", requirement]).returncode:
            raise SystemExit(f"pip cannot install {requirement}")
        (library,) = Path(folder).glob("lib/python*/site-packages")
        sizes: Counter[str] = Counter()
        for package in importlib.metadata.distributions(path=[str(library)]):
            paths = [Path(str(package.locate_file(file))) for file in package.files or ()]
            sizes[package.name] = sum(
                path.stat().st_size for path in paths if path.suffix != ".pyc" and path.is_file()
            )
        return sizes, sum(path.lstat().st_blocks * 512 for path in library.rglob("*"))


def main() -> None:
    """Prints a table for each requirement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("requirements", nargs="*", default=["."], metavar="REQUIREMENT")
    too_large = False
    for requirement in parser.parse_args().requirements:
        sizes, on_disk = measure(requirement)
        total, count = sizes.total(), len(sizes)
        print(f"{requirement}: {total / 1e6:.0f} MB in {count} packages, {on_disk / 1e6:.0f} MB on the disk")
        for name, size in sizes.most_common(LARGEST):
            print(f"  {size / 1e6:7.1f} MB {size / total:5.0%}  {name}")
        if requirement == ".":
            print(f"  {total / LIMIT:.0%} of the limit of {LIMIT / 1e6:.0f} MB")
            too_large = total > LIMIT
    sys.exit(too_large)


if __name__ == "__main__":
    main()
