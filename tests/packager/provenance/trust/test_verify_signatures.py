"""Signatures of a package: right ones, and every kind of wrong one with a message of its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attach_bundle import attach_bundle, bundles, changed_statement, signed
from small_evaluations import passes, suite_result, write_evaluation

from starfreight.console import Console
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.evaluation.attach import attach
from starfreight.packager.layout import attach as add_evidence
from starfreight.packager.provenance.signing.bundle import Bundle
from starfreight.packager.provenance.signing.sign_package import bundle_evidence, sign_package
from starfreight.packager.provenance.signing.signed_statement import SignedStatement
from starfreight.packager.provenance.signing.verified import SignatureReport
from starfreight.packager.provenance.trust import Trust, verify_signatures
from starfreight.packager.provenance.trust.signed_payload import PayloadCheck

SLSA = "https://slsa.dev/provenance/v1"
NO_BUNDLE = "a manifest without exactly one bundle"
MakeKeys = Callable[..., Any]


def verified(folder: Path, trust: Trust) -> SignatureReport:
    return verify_signatures(ImageLayout(folder), Package.load(folder), trust)


def tags(folder: Path) -> tuple[str, ...]:
    package = Package.load(folder)
    return tuple(f"{each.tag}{one.suffix}" for each in package.variants for one in each.manifests)


def test_a_signed_package_verifies(package: Path, make_keys: MakeKeys, console: Console) -> None:
    keys = make_keys()
    sign_package(package, keys.signer, console)
    report = verified(package, keys.trust)
    assert report.verified and not report.unknown
    assert [each.in_words() for each in report.signers] == ["the key acme.pub"]
    provenance = [each for each in report.signatures if each.predicate_type == SLSA]
    assert len(provenance) == len(tags(package))


def test_without_a_trusted_signer_bundles_are_counted(
    package: Path, make_keys: MakeKeys, console: Console
) -> None:
    assert verified(package, Trust()) == SignatureReport(checked=False)
    sign_package(package, make_keys().signer, console)
    report = verified(package, Trust())
    assert not report.checked and not report.verified and report.unknown == len(bundles(package))


def test_an_unsigned_package_has_no_signed_manifest(package: Path, make_keys: MakeKeys) -> None:
    report = verified(package, make_keys().trust)
    assert report.unsigned == tags(package) and not report.verified and not report.problems


def test_another_key_is_unknown_and_named_as_the_reason(
    package: Path, make_keys: MakeKeys, console: Console
) -> None:
    sign_package(package, make_keys("other").signer, console)
    report = verified(package, make_keys().trust)
    assert report.unsigned == tags(package) and not report.problems
    assert report.unknown == len(bundles(package))
    assert all("a key that is not trusted" in each for each in report.untrusted)


def test_bundles_of_strangers_change_nothing(package: Path, make_keys: MakeKeys, console: Console) -> None:
    keys, stranger = make_keys(), make_keys("stranger")
    sign_package(package, keys.signer, console)
    sign_package(package, stranger.signer, console)
    for data in (b"", b"{", b"[" * 90_000, b"{}", os.urandom(500), signed(b"no statement", stranger.signer)):
        attach_bundle(package, data, console)
    report = verified(package, keys.trust)
    assert report.verified and report.unknown >= len(tags(package)) + 6


def test_any_of_several_trusted_keys_will_do(package: Path, make_keys: MakeKeys, console: Console) -> None:
    first, second = make_keys("first"), make_keys("second")
    sign_package(package, second.signer, console)
    assert verified(package, first.trust | second.trust).verified


def problem(folder: Path, trust: Trust) -> str:
    report = verified(folder, trust)
    assert not report.verified
    (found,) = report.problems
    return found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s["predicate"]["runDetails"]["metadata"].update(invocationId="b"), "contradicts"),
        (lambda s: s["predicate"].clear(), "contradicts"),
        (lambda s: s["subject"].pop(), "another state of this package, with other manifests"),
        (lambda s: s["subject"][-1]["digest"].update(sha256="0" * 64), "another state of this package"),
        (lambda s: [each["digest"].update(sha256="0" * 64) for each in s["subject"]], "another state"),
        (
            lambda s: [each.update(name="x", digest={"sha256": "0" * 64}) for each in s["subject"]],
            "another package",
        ),
        (lambda s: s.pop("predicateType"), "not an in-toto statement"),
        (lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"), "not an in-toto statement"),
        (lambda s: s.update(subject={}), "not an in-toto statement"),
        (lambda s: s.update(subject=[{"name": "x", "digest": {"sha1": "00"}}]), "not an in-toto statement"),
        (lambda s: s.update(predicateType=["x"]), "not an in-toto statement"),
        (lambda s: s.update(predicateType=SLSA + "x", subject=s["subject"][:1]), "statement is not about"),
    ],
)
def test_a_trusted_statement_of_something_else_is_refused(
    change: Callable[[Any], object], words: str, package: Path, make_keys: MakeKeys, console: Console
) -> None:
    keys = make_keys()
    sign_package(package, keys.signer, console)
    attach_bundle(package, signed(changed_statement(package, change), keys.signer), console)
    found = problem(package, keys.trust)
    assert words in found and "the key acme.pub" in found


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"\xff", b'{"_type":1,"_type":2}', b"[" * 90_000])
def test_a_trusted_payload_that_is_not_json_is_refused(
    payload: bytes, package: Path, make_keys: MakeKeys, console: Console
) -> None:
    keys = make_keys()
    attach_bundle(package, signed(payload, keys.signer), console)
    assert "not an in-toto statement" in problem(package, keys.trust)


def test_the_signatures_of_another_package_are_refused(
    package: Path, other_package: Path, make_keys: MakeKeys, console: Console
) -> None:
    keys = make_keys()
    sign_package(other_package, keys.signer, console)
    attach_bundle(package, bundles(other_package)[0][1].as_bytes(), console)
    assert "another package" in problem(package, keys.trust)


def test_the_signatures_of_an_earlier_state_are_refused(
    package: Path, make_keys: MakeKeys, console: Console, tmp_path: Path
) -> None:
    keys = make_keys()
    earlier = Path(shutil.copytree(package, tmp_path / "earlier"))
    sign_package(earlier, keys.signer, console)
    record = Package.load(package)
    variant = record.default_variant
    values = passes(50, 0.5)
    directory = write_evaluation(
        tmp_path / "evaluation", [(suite_result("fim", "exact_match", values), values)], name=record.name,
        quantization=str(variant.quantization), gguf=variant.gguf.digest, run=record.run,
        template=record.template.digest if record.template else None,
        settings=record.settings.digest if record.settings else None,
    )  # fmt: skip
    attach(package, directory, console)  # It changes the card, and with it the manifests.
    assert tags(package) == tags(earlier) and Package.load(package).variants != record.variants
    attach_bundle(package, bundles(earlier)[0][1].as_bytes(), console)
    assert "another state of this package, with other manifests" in problem(package, keys.trust)
    sign_package(package, keys.signer, console)
    assert not verified(package, keys.trust).verified


def test_a_changed_statement_is_refused(package: Path, make_keys: MakeKeys, console: Console) -> None:
    keys = make_keys()
    sign_package(package, keys.signer, console)
    bundle = bundles(package)[0][1]
    forged = Bundle(bundle.payload.replace(b"subject", b"Subject"), bundle.signature)
    attach_bundle(package, forged.as_bytes(), console)
    assert "its statement has changed since it was signed" in problem(package, keys.trust)


def test_a_stripped_bundle_is_missed(package: Path, make_keys: MakeKeys, console: Console) -> None:
    keys = make_keys()
    before = Package.load(package)
    after, _ = sign_package(package, keys.signer, console)
    first = len(before.attachments)
    kept = after.attachments[:first] + after.attachments[first + 1 :]
    after.model_copy(update={"attachments": kept}).save(package)
    report = verified(package, keys.trust)
    assert report.unsigned == tags(package)[:1] and not report.problems


def test_a_bundle_at_another_manifest_than_its_subject_is_refused(
    package: Path, make_keys: MakeKeys, console: Console
) -> None:
    keys, record = make_keys(), Package.load(package)
    signer = keys.signer
    other = record.variants[-1].manifests[-1].manifest
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "x", "digest": {"sha256": other.digest.removeprefix("sha256:")}}],
        "predicateType": "https://in-toto.io/attestation/release",
        "predicate": {},
    }
    attach_bundle(package, signed(statement, signer), console, other)
    assert not verified(package, keys.trust).problems
    attach_bundle(package, signed(statement, signer), console)
    assert "attached to a manifest that its statement is not about" in problem(package, keys.trust)


def test_a_statement_of_githubs_build_may_stand_beside_ours(
    package: Path, make_keys: MakeKeys, console: Console
) -> None:
    keys = make_keys()
    sign_package(package, keys.signer, console)
    build = {"buildDefinition": {"buildType": "https://actions.github.io/buildtypes/workflow/v1"}}
    statement = changed_statement(package, lambda s: s.update(predicate=build))
    attach_bundle(package, signed(statement, keys.signer), console)
    report = verified(package, keys.trust)
    assert report.verified
    assert json.loads(report.signatures[-1].payload) == statement


def test_names_of_signers_reach_the_terminal_without_control_characters(
    package: Path, make_keys: MakeKeys, console: Console
) -> None:
    keys = make_keys()
    statement = changed_type = {"_type": "https://in-toto.io/Statement/v1", "predicate": {}}
    changed_type |= {"predicateType": "\x1b[2J", "subject": [{"name": "\x1b", "digest": {"sha256": "00"}}]}
    attach_bundle(package, signed(statement, keys.signer), console)
    assert "\x1b" not in problem(package, keys.trust)


def test_attachments_that_hold_no_bundle_or_are_misplaced_are_unknown(
    package: Path, make_keys: MakeKeys, console: Console
) -> None:
    keys = make_keys()
    sign_package(package, keys.signer, console)
    record = Package.load(package)
    first, *_, last = (each.manifest for variant in record.variants for each in variant.manifests)
    evidence = bundle_evidence(first, b"{}", SLSA, record.created).model_copy(
        update={"media_type": "text/plain"}
    )
    add_evidence(package, [evidence], console)
    report = verified(package, keys.trust)
    assert report.verified and report.untrusted == (f"A bundle of {tags(package)[0]} has {NO_BUNDLE}.",)
    record = Package.load(package)
    moved = [
        each.model_copy(update={"subject": last.digest}) if each.subject == first.digest else each
        for each in record.attachments
    ]
    record.model_copy(update={"attachments": tuple(moved)}).save(package)
    report = verified(package, keys.trust)
    assert report.unsigned == tags(package)[:1]
    assert any("of another subject than its record" in each for each in report.untrusted)


def test_a_statement_of_the_package_belongs_to_its_own_manifests(package: Path) -> None:
    record = Package.load(package)
    (first, second, *_) = (each.manifest for variant in record.variants for each in variant.manifests)
    payload = json.dumps({"subject": [{"name": "a", "digest": {"sha256": "0"}}], "predicate": {}}).encode()
    check = PayloadCheck(record, [SignedStatement("https://example.org", payload, (first,))])
    assert check.problem(payload, first.digest) is None
    assert "attached to a manifest that its statement is not about" in str(
        check.problem(payload, second.digest)
    )
