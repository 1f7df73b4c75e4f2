"""``starfreight package``: builds, inspects, verifies and moves packages."""

from __future__ import annotations

import click

from starfreight.packager.cli.build import build_package_command
from starfreight.packager.cli.copy import copy_command
from starfreight.packager.cli.delete import delete_command
from starfreight.packager.cli.diff import diff_command
from starfreight.packager.cli.export import export_command
from starfreight.packager.cli.inspect import inspect_command
from starfreight.packager.cli.install import install_command
from starfreight.packager.cli.keygen import keygen
from starfreight.packager.cli.list import list_command
from starfreight.packager.cli.papers import papers_command
from starfreight.packager.cli.press import press_command
from starfreight.packager.cli.pull import pull_command
from starfreight.packager.cli.push_hub import push_hub_command
from starfreight.packager.cli.serve import serve
from starfreight.packager.cli.sign import sign_command
from starfreight.packager.cli.trace import trace_command
from starfreight.packager.cli.verify import verify_package
from starfreight.packager.cli.withdraw import withdraw_command


@click.group()
def package() -> None:
    """Build, inspect and verify packages."""


for _command in (
    build_package_command,
    press_command,
    inspect_command,
    keygen,
    sign_command,
    verify_package,
    diff_command,
    trace_command,
    papers_command,
    withdraw_command,
    install_command,
    export_command,
    pull_command,
    push_hub_command,
    serve,
    copy_command,
    list_command,
    delete_command,
):
    package.add_command(_command)
