"""Files of Ollama keys: what they grant, and how a faulty line is named."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from starfreight.errors import InputError
from starfreight.packager.ollama_access import AuthorizedKeysFile, RepositoryPattern, parse_authorized_keys


def line(seed: int, rest: str = "") -> str:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32).public_key()
    return f"{key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} {rest}".rstrip()


ALICE, BOB = line(1, "alice"), line(2, "bob")
BLOB = ALICE.split()[1]


def test_names_repositories_and_expiry_stand_behind_the_key_or_in_front_as_in_openssh() -> None:
    text = "\n".join([
        "# the team", "", ALICE,
        line(2, "bob the builder repositories=team/*,lab/coder expires=2027-01-31"),
        f'repositories="team/*, lab/coder",expiry-time="20270131" {line(3, "carol")}',
        line(4), f"  {line(5, 'expires=2027-01-31T08:30:00Z erin')}\r",
    ])  # fmt: skip
    found = parse_authorized_keys(text.encode())
    assert found.faults == ()
    alice, bob, carol, nameless, erin = found.keys
    assert [key.name for key in (alice, bob, carol, erin)] == ["alice", "bob the builder", "carol", "erin"]
    assert nameless.name == nameless.fingerprint and nameless.fingerprint.startswith("SHA256:")
    assert alice.may_pull("any/thing") and alice.expires is None
    for key in (bob, carol):
        assert key.may_pull("team/coder") and key.may_pull("lab/coder")
        assert not key.may_pull("lab/other") and not key.may_pull("team/a/b") and not key.may_pull("team")
    assert bob.expires == datetime(2027, 2, 1, tzinfo=UTC)
    assert carol.expires == datetime(2027, 1, 31, tzinfo=UTC)
    assert erin.expires == datetime(2027, 1, 31, 8, 30, tzinfo=UTC)
    assert bob.is_expired(bob.expires.timestamp()) and not bob.is_expired(bob.expires.timestamp() - 1)


def test_the_fingerprint_is_the_one_that_ssh_keygen_prints(tmp_path: Path) -> None:
    import shutil
    import subprocess

    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    path = tmp_path / "key.pub"
    path.write_text(ALICE + "\n")
    said = subprocess.run(["ssh-keygen", "-lf", path], capture_output=True, text=True, check=True).stdout
    assert said.split()[1] == parse_authorized_keys(ALICE.encode()).keys[0].fingerprint


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB rsa", "not a key that Ollama has"),
        ("AAAAC3NzaC1lZDI1NTE5AAAAI alice", "does not begin with ssh-ed25519"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "does not begin with ssh-ed25519"),
        ("ssh-ed25519", "the key is missing"),
        (f"ssh-ed25519 {BLOB[:-4]} alice", "not a whole"),
        (f"ssh-ed25519 {BLOB[:-1]} alice", "not base64"),
        (f"ssh-ed25519 {BLOB}AAAA alice", "not a whole"),
        (f"ssh-ed25519 {base64.b64encode(b'x' * 51).decode()} alice", "not a whole"),
        (f"ssh-ed25519 {BLOB} alice expires=tomorrow", "not a date"),
        (f"ssh-ed25519 {BLOB} alice expires=2027-02-30", "not a date"),
        (f"ssh-ed25519 {BLOB} alice expires=2027-01-01 expires=2028-01-01", "appears twice"),
        (f"ssh-ed25519 {BLOB} alice expires=2027-01-01 expiry-time=20280101", "appears twice"),
        (f"ssh-ed25519 {BLOB} alice repository=team/*", "is unknown"),
        (f"ssh-ed25519 {BLOB} alice repositories=", "not a pattern"),
        (f"ssh-ed25519 {BLOB} alice repositories=../etc", "not a pattern"),
        (f"ssh-ed25519 {BLOB} alice repositories=team/**/x", "not a pattern"),
        (f"ssh-ed25519 {BLOB} alice Repositories=team/*", "not an option"),
        (f'command="sh" ssh-ed25519 {BLOB} alice', "is unknown"),
        (f"no-pty ssh-ed25519 {BLOB} alice", "does not begin with"),
        (f"ssh-ed25519 {BLOB} ali\x1b[31mce", "control character"),
        (f"ssh-ed25519 {BLOB} ali\u202ece", "control character"),
        (f"ssh-ed25519 {BLOB} {'a' * 101}", "longer than 100"),
        (f"ssh-ed25519 {BLOB} {'a b ' * 3000}", "longer than 8,192"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named_with_its_number_and_grants_nothing(bad: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{BOB}\n\n{bad}\n")
    with pytest.raises(InputError) as error:
        AuthorizedKeysFile(path)
    assert "line 3: " in error.value.what and why in error.value.what and error.value.where == str(path)
    assert "BEGIN" not in error.value.what
    assert [key.name for key in parse_authorized_keys(path.read_bytes()).keys] == ["bob"]


def test_a_key_that_appears_twice_is_refused_in_both_lines() -> None:
    found = parse_authorized_keys(f"{line(1, 'alice')}\n{BOB}\n{line(1, 'mallory')}".encode())
    assert found.faults == ("line 3: the same key is in line 1",)
    assert [key.name for key in found.keys] == ["bob"]


def test_a_line_that_is_not_utf8_is_a_fault_and_not_a_crash() -> None:
    assert parse_authorized_keys(ALICE.encode() + b" \xff\n").faults == ("line 1: not UTF-8",)


def test_a_removed_line_takes_effect_at_once_and_a_faulty_or_missing_file_grants_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{ALICE}\n{BOB}\n")
    keys = AuthorizedKeysFile(path)
    assert len(keys.read().keys) == 2
    path.write_text(f"{BOB}\n")
    assert [key.name for key in keys.read().keys] == ["bob"]
    path.write_text(f"{BOB}\n{ALICE} expires=never\n")
    assert [key.name for key in keys.read().keys] == ["bob"] and keys.read().faults
    path.unlink()
    assert keys.read().keys == () and keys.read().faults
    path.write_text(f"{ALICE}\n")
    assert [key.name for key in keys.read().keys] == ["alice"]


def test_a_line_that_is_still_being_written_grants_nothing_until_the_file_has_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``bob repositories=team/*``, cut off behind the name, would grant everything."""
    now = 100.0
    monkeypatch.setattr("starfreight.packager.ollama_access.keys.time.monotonic", lambda: now)
    path = tmp_path / "keys"
    path.write_text(ALICE)
    keys = AuthorizedKeysFile(path)
    assert [key.name for key in keys.read().keys] == ["alice"]
    path.write_text(f"{ALICE}\n{BOB}")
    assert [key.name for key in keys.read().keys] == ["alice"]
    now += 0.9
    path.write_text(f"{ALICE}\n{BOB} repositories=team/*")
    assert [key.name for key in keys.read().keys] == ["alice"]
    now += 0.9
    assert [key.name for key in keys.read().keys] == ["alice"]
    now += 0.2
    assert [key.may_pull("lab/coder") for key in keys.read().keys] == [True, False]


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("team/*", ["team/coder", "team/a.b-c"], ["team", "team/a/b", "teams/coder", "team/..", "team/"]),
        ("team/**", ["team/a", "team/a/b/c"], ["team", "team/a/../b", "team//a", "tea/m"]),
        ("team/coder-*", ["team/coder-3b"], ["team/coder-", "team/coder", "team/coder-3b/x"]),
        ("a.b/c", ["a.b/c"], ["axb/c"]),
        ("**", ["a", "a/b"], ["", "/a", "A"]),
    ],
)
def test_patterns_of_repositories(pattern: str, yes: list[str], no: list[str]) -> None:
    parsed = RepositoryPattern.parse(pattern)
    assert all(parsed.matches(name) for name in yes)
    assert not any(parsed.matches(name) for name in no)
