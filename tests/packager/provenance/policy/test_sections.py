"""Each section of a policy: met, and refused with a message of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_evaluations import passes, suite_result, write_evaluation

from starfreight.console import Console
from starfreight.evaluation import Evaluation
from starfreight.origin import Origin, RecipeSource
from starfreight.package import Package
from starfreight.packager.build.build_package import build_package
from starfreight.packager.evaluation.attach import attach
from starfreight.packager.provenance.policy import Policy
from starfreight.packager.provenance.policy.sections.licenses import is_allowed
from starfreight.packager.provenance.signing.local_key import LocalKey, generate_key
from starfreight.packager.provenance.signing.sign_package import sign_package
from starfreight.packager.provenance.trust import load_trust
from starfreight.packager.provenance.verify.interface import Finding
from starfreight.packager.provenance.verify.policy import PolicyCheck
from starfreight.run import Run

Find = Callable[..., list[Finding]]


def refusals(found: list[Finding]) -> dict[str, str]:
    return {str(each.data["key"]): each.what for each in found if each.level == "refused"}


def test_without_a_policy_or_rules_one_finding_tells(
    built: Path, make_policy: Callable[..., Policy], examine: Callable[..., Any]
) -> None:
    (none,) = PolicyCheck().findings(replace(examine(built, make_policy()), policy=None))
    (empty,) = PolicyCheck().findings(examine(built, make_policy()))
    assert (none.level, none.what) == ("noted", "No policy was given.")
    assert (empty.level, empty.what) == ("noted", "The policy has no rules.")


def test_each_section_is_met_or_refused_with_its_key(traced: Path, findings: Find) -> None:
    package = Package.load(traced)
    base = {"name": package.base.name}
    other = "sha256:" + "0" * 64
    data = ["MIT", "GPL-2.0-only", "NOASSERTION"]
    cases: list[tuple[dict[str, Any], str | None]] = [
        ({"bases": [base]}, None),
        ({"bases": [{"name": "**"}]}, None),
        ({"bases": [{**base, "digest": package.base.digest}]}, None),
        ({"bases": [{"name": "bigcode/*"}, base]}, None),
        ({"bases": [{"name": "bigcode/*"}]}, "is not in the list"),
        ({"bases": [{**base, "digest": other}]}, f"where {other} is allowed"),
        ({"bases": [{**base, "revision": "a" * 40}]}, "has the revision (none)"),
        ({"licenses": {"model": ["MIT"]}}, None),
        ({"licenses": {"model": ["mit-0", "Apache-2.0"]}}, "The model has the license MIT"),
        ({"licenses": {"data": data}}, None),
        ({"licenses": {"data": ["MIT", "NOASSERTION"]}}, None),
        ({"licenses": {"data": ["MIT"]}}, "1 sample of the training data is under a license"),
        ({"licenses": {"data": ["GPL-2.0-only", "NOASSERTION"]}}, "3 samples of the training data"),
        ({"builders": [{"id": "https://starfreight.dev/builders/*"}]}, None),
        ({"builders": [{"id": "https://other/*"}, {"id": "**"}]}, None),
        ({"builders": [{"id": "https://other/*"}]}, "was made by the builder"),
        ({"builders": [{"images": [other]}]}, "was not made in a container image"),
        ({"builders": [{"workflow": "**"}]}, "names no workflow"),
        ({"data": {"manifest": True}}, None),
        ({"data": {"sources": ["**"]}}, None),
        ({"data": {"sources": ["git:*"]}}, "is not in the list of allowed ones"),
        ({"data": {"forbidden_sources": ["x", "**"]}}, "is forbidden"),
        ({"data": {"forbidden_repositories": ["acme/other", "a/*"]}}, None),
        ({"data": {"forbidden_repositories": ["ACME/*"]}}, "3 samples of the training data are of"),
        ({"data": {"forbidden_repositories": ["github.com/acme/app"]}}, "such as acme/app"),
        ({"require": {"bom": False, "signed": False}}, None),
        ({"require": {"signed": True}}, "not signed by a trusted signer"),
        ({"require": {"evaluation": True}}, "has no evaluation"),
        ({"require": {"source_commit": True}}, "does not name the commit"),
        ({"require": {"not_older_than": "36500d"}}, None),
        ({"require": {"not_older_than": "1d"}}, "the limit is 1 day."),
        ({"figures": [{"suite": "fim", "figure": "exact_match", "at_least": 0}]}, "not measured"),
    ]  # fmt: skip
    for sections, words in cases:
        found = findings(traced, **sections)
        wrong = refusals(found)
        if words is None:
            assert not wrong, (sections, wrong)
        else:
            assert len(wrong) == 1, (sections, wrong)
            (key,) = wrong
            assert key.split(".")[0] in sections and words in wrong[key], (sections, wrong)
            assert all(each.fix and each.where for each in found if each.level == "refused")
        assert not any("\x1b" in each.what for each in found)


@pytest.mark.parametrize(("dirty", "met"), [(False, True), (True, False), (None, False)])
def test_the_recipe_has_to_be_known_to_be_that_of_its_commit(
    make_run: Callable[..., Path], tmp_path: Path, findings: Find, dirty: bool | None, met: bool
) -> None:
    run = make_run(tmp_path)
    origin = Origin(source=RecipeSource(commit="a" * 40, dirty=dirty))
    Run.load(run).model_copy(update={"origin": origin}).save(run)
    build_package(run, tmp_path / "package", None, Console(quiet=True), skip_loss_check=True)
    found = findings(tmp_path / "package", require={"source_commit": True})
    said = "The recipe is of the commit aaaa" if met else "The recipe differs from the commit aaaa"
    assert any(each.what.startswith(said) for each in found), found
    assert bool(refusals(found)) is not met


def test_without_the_data_manifest_nothing_about_its_entries_is_proven(
    traced: Path, make_policy: Callable[..., Policy], examine: Callable[..., Any]
) -> None:
    for rules in ({"manifest": True}, {"forbidden_repositories": ["x/y"]}):
        policy = make_policy(data=rules, licenses={"data": ["MIT"]})
        found = list(PolicyCheck().findings(replace(examine(traced, policy), data=None)))
        wrong = refusals(found)
        assert "does not contain the data manifest" in wrong[f"data.{next(iter(rules))}"]
        # Licenses and sources are in the statement, too.
        assert "licenses.data" not in wrong


def test_signers_of_the_command_line_do_not_replace_those_of_the_policy(
    built: Path, findings: Find, key: LocalKey, tmp_path: Path, console: Console
) -> None:
    signers = {"keys": ["acme.pub"]}
    generate_key(tmp_path / "other.key", tmp_path / "other.pub", b"password")
    trust = load_trust(keys=[tmp_path / "other.pub"])
    sign_package(built, LocalKey.load(tmp_path / "other.key", b"password"), console)
    assert (
        "Not signed by a signer of the policy" in refusals(findings(built, trust, signers=signers))["signers"]
    )
    assert not refusals(findings(built, trust, require={"signed": True}))
    sign_package(built, key, console)
    found = findings(built, trust, signers=signers, require={"signed": True})
    assert not refusals(found) and "The signer is allowed: the key acme.pub." in [each.what for each in found]


def test_inline_keys_are_keys(
    built: Path, findings: Find, key: LocalKey, tmp_path: Path, console: Console
) -> None:
    sign_package(built, key, console)
    pem = (tmp_path / "acme.pub").read_text()
    assert not refusals(findings(built, signers={"keys": [pem]}))


def test_figures_of_unsigned_evaluations_do_not_count_with_signers(
    built: Path, findings: Find, key: LocalKey, tmp_path: Path, console: Console
) -> None:
    package = Package.load(built)
    variant = package.default_variant
    values = passes(100, 0.5)
    directory = write_evaluation(
        tmp_path / "evaluation", [(suite_result("fim", "exact_match", values), values)], name=package.name,
        quantization=str(variant.quantization), gguf=variant.gguf.digest, run=package.run,
        template=package.template.digest if package.template else None,
        settings=package.settings.digest if package.settings else None,
    )  # fmt: skip
    record = Evaluation.load(directory)
    record.model_copy(update={"sandbox": "bubblewrap"}).save(directory)
    attach(built, directory, console)
    rules = [{"suite": "fim", "figure": "exact_match", "at_least": 0.2}]
    demand = {"figures": rules, "require": {"evaluation": True}}
    assert not refusals(findings(built, **demand))
    assert refusals(findings(built, figures=[{**rules[0], "at_least": 0.9}]))["figures"].startswith(
        "Q8_0: fim"
    )
    (missed,) = (
        each for each in findings(built, figures=[{**rules[0], "at_least": 0.9}]) if each.level == "refused"
    )
    assert missed.fix == "use a package that meets the bound, or change the policy"
    (unmeasured,) = (
        each for each in findings(built, figures=[{**rules[0], "suite": "mbpp"}]) if each.level == "refused"
    )
    assert unmeasured.fix is not None and unmeasured.fix.startswith("evaluate the package")
    earlier = Path(shutil.copytree(built, tmp_path / "earlier"))
    assert Package.load(earlier) == Package.load(built)
    signers = {"keys": ["acme.pub"]}
    wrong = refusals(findings(built, signers=signers, **demand))
    assert (
        "(1 evaluation is not signed" in wrong["figures"]
        and "no signed evaluation" in wrong["require.evaluation"]
    )
    sign_package(built, key, console)
    assert not refusals(findings(built, signers=signers, **demand))


def test_the_workflow_is_read_from_the_certificate(
    built: Path, findings: Find, tmp_path: Path, console: Console, private_ca: Any
) -> None:
    from starfreight.packager.provenance.signing.certificate import CertificateSigner, read_certificate
    from starfreight.packager.provenance.signing.timestamp_authority import TimestampAuthority

    certificate = read_certificate(private_ca.certificate)
    stamps = TimestampAuthority(private_ca.timestamps)
    signer = CertificateSigner(LocalKey.load(private_ca.key, None), certificate, stamps)
    sign_package(built, signer, console)
    shutil.copy(private_ca.trusted_root, tmp_path / "root.jsonl")
    address = "https://github.com/acme/coder/.github/workflows/{}@refs/heads/main"
    identity = {"identity": "https://github.com/acme/**", "claims": {"source_repository_ref": "refs/heads/*"}}
    signers = {"identities": [identity], "trusted_root": "root.jsonl"}
    for name, right in (("train.yml", True), ("*", True), ("other.yml", False)):
        builders = [{"workflow": address.format(name)}]
        wrong = refusals(findings(built, signers=signers, builders=builders))
        assert right == (not wrong), wrong
    other = {**identity, "claims": {"source_repository_ref": "refs/tags/**"}}
    assert refusals(findings(built, signers={**signers, "identities": [other]}))


@pytest.mark.parametrize(
    ("expression", "allowed", "answer"),
    [
        ("MIT", "MIT", True),
        ("mit", "MIT", True),
        ("MIT OR GPL-3.0-only", "MIT", True),
        ("MIT AND GPL-3.0-only", "MIT", False),
        ("(MIT OR GPL-3.0-only) AND Apache-2.0", "MIT Apache-2.0", True),
        ("(MIT OR GPL-3.0-only) AND Apache-2.0", "Apache-2.0", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only", False),
        ("LicenseRef-acme", "LicenseRef-acme", True),
        ("LicenseRef-other OR MIT", "MIT", True),
        ("NOASSERTION", "NOASSERTION", True),
        ("NOASSERTION OR LicenseRef-acme", "NOASSERTION", False),
        ("NONE", "NOASSERTION", False),
        ("MIT or so they say", "MIT", False),
        ("", "MIT", False),
        ("MIT OR", "MIT", False),
        ("((((", "MIT", False),
        ("(" * 5000 + "MIT" + ")" * 5000, "MIT", False),
        ("\x1b[31m", "MIT", False),
    ],
)
def test_expressions(expression: str, allowed: str, answer: bool) -> None:
    assert is_allowed(expression, tuple(allowed.split())) is answer


def test_an_exception_is_allowed_by_its_whole_name() -> None:
    name = "GPL-2.0-only WITH Classpath-exception-2.0"
    assert is_allowed(name, (name,)) and is_allowed(f"({name}) OR GPL-3.0-only", (name,))


def test_nothing_on_the_opt_out_list_may_be_in_the_data(traced: Path, findings: Find, tmp_path: Path) -> None:
    for line, words in (
        ("swh:1:cnt:" + "0" * 40, None),
        ("other/name", None),
        ("swh:1:rev:" + "c" * 40, "4 samples"),
        ("https://github.com/Acme/App", "such as src/app.py"),
    ):
        (tmp_path / "opt-out.txt").write_text(f"# Opted out\n{line}\n")
        wrong = refusals(findings(traced, data={"opt_out": "opt-out.txt"}))
        assert words in wrong["data.opt_out"] if words else not wrong


def test_json_of_the_findings(built: Path, findings: Find) -> None:
    found = findings(built, bases=[{"name": "**"}])
    assert json.dumps([dict(each.data) for each in found]) == '[{"key": "bases"}]'
