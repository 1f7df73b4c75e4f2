"""The signers to trust, from a command's options."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ca_lab import CaLab

from starfreight.errors import InputError
from starfreight.packager.provenance.trust import Trust, load_trust
from starfreight.packager.provenance.trust.pattern import matches
from starfreight.packager.provenance.trust.trusted_root import parse_trusted_roots, read_trusted_roots


def test_without_options_nobody_is_trusted() -> None:
    assert not load_trust() and load_trust() == Trust() and load_trust().verifiers() == ()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"issuer": "https://x"}, "would trust everybody"),
        ({"identity": "", "issuer": "a"}, "empty"),
        ({"identity": "a" * 3000, "issuer": "a"}, "longer"),
        ({"identity": "a"}, "needs its issuer"),
        ({"claims": {"repository": "a"}, "issuer": "b"}, "no claim 'repository'"),
        ({"keys": [Path("/nonexistent")]}, "does not exist"),
        ({"trusted_roots": [Path("/nonexistent")]}, "does not exist"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        load_trust(**options)
    assert caught.value.fix


@pytest.mark.usefixtures("openssl")
def test_a_root_alone_would_trust_everybody(tmp_path: Path) -> None:
    root = CaLab(tmp_path).trusted_root
    with pytest.raises(InputError, match="would trust everybody"):
        load_trust(trusted_roots=[root])
    assert load_trust(trusted_roots=[root], identity="a")


Change = Callable[[dict[str, Any]], object]


@pytest.mark.usefixtures("openssl")
def test_other_files_are_no_trusted_roots(tmp_path: Path) -> None:
    valid = json.loads(CaLab(tmp_path).trusted_root.read_bytes())
    changes: list[tuple[Change, str]] = [
        (lambda r: r.update(mediaType="x"), "unknown media type"),
        (lambda r: r.pop("mediaType"), "mediaType"),
        (lambda r: r.update(certificateAuthorities=[]), "no certificate authority"),
        (lambda r: r.update(timestampAuthorities=[]), "neither a timestamp authority nor a log"),
        (lambda r: r["certificateAuthorities"][0].update(certChain={"certificates": []}), "certificates"),
        (lambda r: r["certificateAuthorities"][0].update(validFor={"start": "x"}), "cannot be read"),
        (lambda r: r["certificateAuthorities"][0].update(validFor={"start": "2026-01-01"}), "cannot be read"),
        (
            lambda r: r["certificateAuthorities"][0]["certChain"]["certificates"][0].update(rawBytes="MAA="),
            "cannot be read",
        ),
    ]
    for change, words in changes:
        root = json.loads(json.dumps(valid))
        change(root)
        with pytest.raises(InputError, match=words):
            parse_trusted_roots(json.dumps(root).encode(), "root.json")
    two = b"\n".join([json.dumps(valid).encode()] * 2) + b"\n\n"
    assert len(parse_trusted_roots(two, "r")) == 2
    with pytest.raises(InputError, match="not valid JSON") as caught:
        parse_trusted_roots(two + b"{", "r")
    assert caught.value.where == "r, line 4"
    large = tmp_path / "large"
    large.write_bytes(b" " * (5 << 20))
    with pytest.raises(InputError, match="larger than"):
        read_trusted_roots(large)


@pytest.mark.parametrize(
    ("pattern", "text", "answer"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("a*", "ab", True),
        ("a*", "a/b", False),
        ("a**", "a/b", True),
        ("a***", "a/b", True),
        ("**/b", "a/c/b", True),
        ("*/*", "a/b", True),
        ("*/*", "a/b/c", False),
        ("", "", True),
        ("*", "", True),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("https://github.com/acme/*", "https://github.com/acme/../evil/x", False),
        ("A", "a", False),
    ],
)
def test_patterns(pattern: str, text: str, answer: bool) -> None:
    assert matches(pattern, text) is answer
