"""``starfreight package``: builds, inspects, verifies and moves packages."""

from __future__ import annotations

import click

from starfreight.packager.cli.build import build_package_command
from starfreight.packager.cli.inspect import inspect_package
from starfreight.packager.cli.press import press_command
from starfreight.packager.cli.verify import verify_package


@click.group()
def package() -> None:
    """Build, inspect and verify packages."""


for _command in (
    build_package_command,
    press_command,
    inspect_package,
    verify_package,
):
    package.add_command(_command)
