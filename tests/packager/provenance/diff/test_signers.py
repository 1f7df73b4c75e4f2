"""Signers and withdrawals of two packages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from private_ca import WORKFLOW

from starfreight.console import Console
from starfreight.packager.provenance.diff.compare_packages import PackageDifferences, compare_packages
from starfreight.packager.provenance.signing.certificate import CertificateSigner, read_certificate
from starfreight.packager.provenance.signing.local_key import LocalKey, generate_key
from starfreight.packager.provenance.signing.sign_package import sign_package
from starfreight.packager.provenance.signing.timestamp_authority import TimestampAuthority
from starfreight.packager.provenance.withdrawal.withdraw import withdraw
from starfreight.packager.registry.open_package import open_package

GOLDEN = Path(__file__).parents[3] / "golden/finished-packages/golden-fim-de8303b786"


@pytest.fixture
def key(tmp_path: Path) -> LocalKey:
    generate_key(tmp_path / "a.key", tmp_path / "a.pub", b"secret")
    return LocalKey.load(tmp_path / "a.key", b"secret")


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(GOLDEN, tmp_path / name))


def diff(before: Path, after: Path, console: Console) -> PackageDifferences:
    with open_package(str(before), console) as one, open_package(str(after), console) as two:
        return compare_packages(one, two, console)


def test_a_signature_is_the_only_difference_of_a_signed_package(
    copy: Callable[[str], Path], key: LocalKey, console: Console
) -> None:
    one, two = copy("one"), copy("two")
    sign_package(two, key, console)
    found = diff(one, two, console)
    assert list(found.sections) == ["signers"]
    lines = found.sections["signers"].lines
    assert lines[0] == "- unsigned" and lines[1].startswith("+ key ") and "not verified" in lines[2]
    sign_package(one, key, console)
    assert diff(one, two, console).sections == {}, "ECDSA signatures differ, the signer does not"


def test_a_certificate_is_named_by_its_identity(
    copy: Callable[[str], Path], private_ca: Any, console: Console
) -> None:
    one, two = copy("one"), copy("two")
    signer = CertificateSigner(
        LocalKey.load(private_ca.key, None),
        read_certificate(private_ca.certificate),
        TimestampAuthority(private_ca.timestamps),
    )
    sign_package(two, signer, console)
    assert diff(one, two, console).sections["signers"].lines[1] == f"+ certificate of {WORKFLOW}"


def test_a_withdrawal_is_shown_with_its_reason(
    copy: Callable[[str], Path], key: LocalKey, console: Console
) -> None:
    one, two = copy("one"), copy("two")
    with open_package(str(two), console) as opened:
        withdraw(opened, key, "A license was wrong.", None, datetime(2026, 1, 2, tzinfo=UTC), console)
    found = diff(one, two, console)
    assert list(found.sections) == ["withdrawn"]
    (line,) = found.sections["withdrawn"].lines
    assert line.startswith("+ ") and line.endswith("A license was wrong.")
