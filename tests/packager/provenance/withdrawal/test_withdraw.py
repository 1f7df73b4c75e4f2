"""A withdrawn package is refused, whoever withdrew it, and says who and why."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from command_result import CommandResult, run_command
from private_ca import WORKFLOW, PrivateCa

from starfreight.console import Console
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.layout import verify_layout
from starfreight.packager.layout.attach_evidence import attach
from starfreight.packager.provenance.signing.bundle import Bundle
from starfreight.packager.provenance.signing.local_key import LocalKey, generate_key
from starfreight.packager.provenance.signing.sign_package import bundle_evidence
from starfreight.packager.provenance.withdrawal.read import MAX_BUNDLE_BYTES, read_withdrawals
from starfreight.packager.provenance.withdrawal.statement import WITHDRAWAL, withdrawal_statement

FINISHED = Path(__file__).parents[3] / "golden/finished-packages"
ISSUER = "https://token.actions.githubusercontent.com"
REASON = "Trained on files of an opt-out."
NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of a package that an earlier version wrote."""
    first = min(path for path in FINISHED.iterdir() if path.is_dir())
    return Path(shutil.copytree(first, tmp_path / "package"))


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Path, Path]]:
    """Two key pairs."""
    monkeypatch.setenv("STARFREIGHT_KEY_PASSWORD", "correct horse")
    made = {}
    for name in ("acme", "other"):
        made[name] = (tmp_path / f"{name}.key", tmp_path / f"{name}.pub")
        generate_key(*made[name], b"correct horse")
    return made


@pytest.fixture
def withdraw(package: Path, keys: dict[str, tuple[Path, Path]]) -> Callable[..., CommandResult]:
    """Withdraws the package."""

    def run(*options: str, reason: str = REASON, key: str = "acme") -> CommandResult:
        return run_command(
            "package", "withdraw", package, "--reason", reason, "--key", keys[key][0], "--json", *options
        )

    return run


def verify(package: Path, *options: str | Path) -> dict[str, Any]:
    """The findings of the check, and the exit code of ``package verify``."""
    result = run_command("package", "verify", package, *options, "--json")
    (check,) = [each for each in json.loads(result.stdout)["checks"] if each["check"] == "withdrawal"]
    return {"code": result.exit_code, "findings": check["findings"]}


def test_every_manifest_gets_the_statement_once(
    withdraw: Callable[..., CommandResult], package: Path, console: Console
) -> None:
    first = json.loads(withdraw().stdout)
    assert first["added"] == first["manifests"] > 1
    assert json.loads(withdraw().stdout)["added"] == 0
    assert verify_layout(package, console).files > 0
    assert len(read_withdrawals(Package.load(package), ImageLayout(package))) == 1


def test_verify_refuses_with_reason_and_signer(
    withdraw: Callable[..., CommandResult], package: Path, keys: dict[str, tuple[Path, Path]]
) -> None:
    assert verify(package)["findings"][0]["level"] == "passed"
    assert withdraw("--superseded-by", "ghcr.io/acme/coder:1.1").exit_code == 0
    unknown = verify(package)
    (finding,) = unknown["findings"]
    assert unknown["code"] == 3 and finding["level"] == "refused"
    assert REASON in finding["what"] and "was not checked" in finding["what"]
    assert "ghcr.io/acme/coder:1.1" in finding["next"]
    (known,) = verify(package, "--key", keys["acme"][1])["findings"]
    assert "acme.pub" in known["what"] and "not checked" not in known["what"]
    assert known["data"]["signer_known"]


def test_a_withdrawal_by_an_unknown_signer_counts_beside_trusted_signatures(
    withdraw: Callable[..., CommandResult], package: Path, keys: dict[str, tuple[Path, Path]]
) -> None:
    assert run_command("package", "sign", package, "--key", keys["acme"][0]).exit_code == 0
    assert withdraw(key="other").exit_code == 0
    found = verify(package, "--key", keys["acme"][1])
    assert found["code"] == 3
    assert [each["level"] for each in found["findings"]] == ["refused"]
    assert not found["findings"][0]["data"]["signer_known"]


def test_the_hub_gets_no_withdrawn_release_and_an_export_is_warned_of_it(
    withdraw: Callable[..., CommandResult], package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert withdraw().exit_code == 0
    refused = run_command("package", "push-hub", package, "acme/coder")
    assert refused.exit_code == 3 and REASON in refused.stderr and "--force" in refused.stderr
    exported = run_command("package", "export", package, tmp_path / "exported")
    assert exported.exit_code == 0 and "Warning: The release was withdrawn" in exported.stderr


def test_install_and_publish_refuse_unless_forced(
    withdraw: Callable[..., CommandResult], package: Path, tmp_path: Path
) -> None:
    assert withdraw().exit_code == 0
    install = ("package", "install", package, "--to", tmp_path / "installed")
    refused = run_command(*install)
    assert refused.exit_code == 3 and REASON in refused.stderr and "--force" in refused.stderr
    assert not (tmp_path / "installed").exists()
    assert run_command(*install, "--force").exit_code == 0
    refused = run_command("publish", package, "127.0.0.1:1/acme/coder:1")
    assert refused.exit_code == 3 and REASON in refused.stderr
    assert run_command("publish", package, "127.0.0.1:1/acme/coder:1", "--force").exit_code == 4


def test_commands_that_use_a_package_refuse_it_unless_forced(
    withdraw: Callable[..., CommandResult], package: Path
) -> None:
    use = ("try", package, "--prompt", "x", "--max-tokens", "1")
    assert withdraw().exit_code == 0
    for command in (use, ("serve-model", package, "--port", "0"), ("package", "serve", package)):
        refused = run_command(*command)
        assert refused.exit_code == 3 and REASON in refused.stderr and "--force" in refused.stderr, command
    forced = run_command(*use, "--force")
    assert forced.exit_code == 0 and REASON in forced.stderr, forced.output


@pytest.mark.parametrize("reason", ["", " \n", "x" * 2001, "\x1b[31mred", "right\u202eleft"])
def test_a_reason_is_a_printable_text(withdraw: Callable[..., CommandResult], reason: str) -> None:
    result = withdraw(reason=reason)
    assert result.exit_code == 2, result.output


@pytest.mark.parametrize("successor", ["", "nowhere", "https://example.org/x", "../x"])
def test_a_successor_is_a_reference(withdraw: Callable[..., CommandResult], successor: str) -> None:
    assert withdraw("--superseded-by", successor).exit_code == 2


def test_a_withdrawal_needs_a_signer(package: Path) -> None:
    assert run_command("package", "withdraw", package, "--reason", REASON).exit_code == 2


def _attach(package: Path, payload: bytes, key: Path, console: Console) -> None:
    signature = LocalKey.load(key, b"correct horse").sign_statement(payload)
    bundle = Bundle(payload, signature).as_bytes()
    record = Package.load(package)
    manifest = record.default_variant.manifests[0].manifest
    attach(package, [bundle_evidence(manifest, bundle, WITHDRAWAL, record.created)], console)


@pytest.mark.parametrize(
    "change",
    [
        lambda statement: statement["subject"].pop(),
        lambda statement: statement["predicate"].update(reason=""),
        lambda statement: statement["predicate"].update(more=1),
        lambda statement: statement.update(subject=[{"name": "x", "digest": {"sha256": "0" * 64}}]),
        lambda statement: statement.update(predicateType="https://starfreight.dev/predicates/withdrawal/v2"),
    ],
    ids=["the same", "no reason", "unknown key", "another package", "another predicate"],
)
def test_only_a_valid_statement_about_this_package_withdraws_it(
    package: Path, keys: dict[str, tuple[Path, Path]], console: Console,
    change: Callable[[dict[str, Any]], object], request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    statement = json.loads(withdrawal_statement(Package.load(package), REASON, None, NOW))
    change(statement)
    _attach(package, json.dumps(statement).encode(), keys["other"][0], console)
    found = read_withdrawals(Package.load(package), ImageLayout(package))
    assert bool(found) == (request.node.callspec.id == "the same")


def test_a_bundle_too_large_for_a_withdrawal_is_left_to_verify(
    package: Path, keys: dict[str, tuple[Path, Path]], console: Console
) -> None:
    """A statement about a large package, say. It neither withdraws the package nor makes it unusable."""
    _attach(package, b'{"more": "' + b"x" * MAX_BUNDLE_BYTES + b'"}', keys["other"][0], console)
    assert read_withdrawals(Package.load(package), ImageLayout(package)) == ()


def test_hostile_texts_are_shown_as_escapes(
    package: Path, keys: dict[str, tuple[Path, Path]], console: Console
) -> None:
    statement = json.loads(withdrawal_statement(Package.load(package), REASON, None, NOW))
    statement["predicate"] |= {"reason": "\x1b[2J gone", "supersededBy": "\u202eevil"}
    _attach(package, json.dumps(statement).encode(), keys["other"][0], console)
    result = run_command("package", "install", package, "--to", "nowhere")
    assert result.exit_code == 3 and "\x1b" not in result.output and "\u202e" not in result.output
    assert "gone" in result.stderr


def test_equal_inputs_give_equal_statements_without_secrets(package: Path) -> None:
    record = Package.load(package)
    payload = withdrawal_statement(record, REASON, None, NOW)
    assert payload == withdrawal_statement(record, REASON, None, NOW)
    assert str(package) not in payload.decode()
    statement = json.loads(payload)
    manifests = {each.manifest.digest for variant in record.variants for each in variant.manifests}
    models = {each.gguf.digest for each in record.variants} if record.adapter is None else set()
    named = {f"sha256:{each['digest']['sha256']}" for each in statement["subject"]}
    assert named >= manifests | models


def test_the_password_is_nowhere(withdraw: Callable[..., CommandResult], package: Path) -> None:
    result = withdraw()
    secret = base64.b64encode(b"correct horse")
    assert "correct horse" not in result.output
    for path in package.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert b"correct horse" not in data and secret not in data


def test_a_certificate_names_the_signer_who_is_known_by_its_root(
    package: Path, private_ca: PrivateCa
) -> None:
    sign = ("--key", private_ca.key, "--certificate", private_ca.certificate)
    sign += ("--timestamps", private_ca.timestamps)
    assert run_command("package", "withdraw", package, "--reason", REASON, *sign).exit_code == 0
    (claimed,) = verify(package)["findings"]
    assert WORKFLOW in claimed["what"] and "was not checked" in claimed["what"]
    trust = ("--identity", WORKFLOW, "--issuer", ISSUER, "--trusted-root", private_ca.trusted_root)
    (known,) = verify(package, *trust)["findings"]
    assert WORKFLOW in known["what"] and "not checked" not in known["what"]
    assert known["data"]["signer_known"]
