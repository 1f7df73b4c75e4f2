"""The whole of ``package verify``: who signed, the checks, and the verdict."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.packager.layout import attach
from starfreight.packager.layout.evidence import Evidence
from starfreight.packager.provenance.signing.bundle import MEDIA_TYPE
from starfreight.packager.provenance.verify.interface import Examined, Finding
from starfreight.packager.provenance.verify.page import UNSIGNED, page
from starfreight.packager.provenance.verify.verdict import Verdict
from starfreight.packager.provenance.verify.verify_package import verify_package

GOLDEN = Path(__file__).parents[2] / "golden"
FINISHED = Path(__file__).parents[3] / "golden/finished-packages"
EARLIER = sorted(
    path for root in (GOLDEN, FINISHED) for path in root.iterdir() if (path / "package.json").exists()
)

Copy = Callable[[str], Path]
Verify = Callable[..., Verdict]


def result(verdict: Verdict, name: str) -> str:
    return next(each.level for each in verdict.results if each.name == name)


def refusals(verdict: Verdict) -> str:
    return " ".join(each.what for each in verdict.refusals)


@pytest.mark.parametrize("folder", EARLIER, ids=lambda path: path.name)
def test_a_package_of_any_earlier_version_verifies_as_unsigned(folder: Path, verify: Verify) -> None:
    verdict = verify(folder)
    assert not verdict.refused, refusals(verdict)
    assert verdict.unsigned and UNSIGNED.split(":")[0] in page(verdict)
    assert verify(folder, "acme").refused


def test_a_signed_package_is_accepted_with_the_name_of_its_signer(copy_of: Copy, verify: Verify) -> None:
    folder = copy_of("signed")
    verdict = verify(folder, "acme")
    assert not verdict.refused and not verdict.unsigned, refusals(verdict)
    text = page(verdict)
    assert "signed by the key" in text and "acme.pub" in text and "UNSIGNED" not in text
    assert "./src (BSD-3-Clause)" in text and "exact_match" in text
    assert {each.level for each in verdict.results} <= {"passed", "noted"}
    data = verdict.as_dict()
    assert data["verified"] and data["signed"] and data["signers"][0]["kind"] == "key"
    assert data["digests"]["q8_0"] == Package.load(folder).variants[0].manifests[0].manifest.digest
    assert "error" not in data
    json.dumps(data)


def test_signatures_of_which_none_was_checked_are_not_called_good(copy_of: Copy, verify: Verify) -> None:
    verdict = verify(copy_of("signed"))
    assert not verdict.refused and verdict.unsigned
    assert "NOT CHECKED" in page(verdict) and "signed by the key" not in page(verdict)


def test_a_key_of_somebody_else_refuses(copy_of: Copy, verify: Verify) -> None:
    verdict = verify(copy_of("signed"), "other")
    assert verdict.refused and "not signed by a trusted signer" in refusals(verdict)
    assert verdict.as_dict()["signers"] == []


def test_an_honest_package_in_the_place_of_another_is_refused(
    copy_of: Copy, verify: Verify, console: Console
) -> None:
    """Whole, and of the right signer; but the signatures are about the package that was here before."""
    here, other = copy_of("unsigned"), copy_of("another")
    assert not verify(here).refused
    assert verify(here, "acme").refused
    there, layout = Package.load(other), ImageLayout(other)
    bundles = {each.manifest for each in there.attachments if each.artifact_type == MEDIA_TYPE}
    evidence = [
        Evidence(
            subject=manifest.manifest,
            data=layout.read(layout.manifest(bundle).layers[0]),
            media_type=MEDIA_TYPE,
            artifact_type=MEDIA_TYPE,
            annotations=layout.manifest(bundle).annotations,
        )
        for variant in Package.load(here).variants
        for manifest in variant.manifests
        for bundle in sorted(bundles, key=lambda each: each.digest)
    ]
    attach(here, evidence, console)
    verdict = verify(here, "acme")
    assert result(verdict, "files") == result(verdict, "contents") == "passed"
    assert result(verdict, "signatures") == "refused"
    assert "is signed by the key" in refusals(verdict) and verdict.unsigned


class _Noting:
    name = "noting"

    def findings(self, examined: Examined) -> Iterator[Finding]:
        yield Finding("noted", f"The package is {examined.package.name}.")


class _Failing:
    name = "failing"

    def findings(self, examined: Examined) -> Iterator[Finding]:
        yield Finding("passed", "The first half is right.")
        raise GateError("The second half cannot be read.", where="there", fix="mend it")


def test_a_check_that_cannot_read_its_part_refuses_and_the_others_are_made(
    copy_of: Copy, console: Console
) -> None:
    verdict = verify_package(str(copy_of("unsigned")), console, checks=[_Failing(), _Noting()])
    assert [(each.name, each.level) for each in verdict.results[3:]] == [
        ("failing", "refused"), ("noting", "noted"),
    ]  # fmt: skip
    error = verdict.error()
    assert error is not None and (error.what, error.where, error.fix) == (
        "The second half cannot be read.", "there", "mend it",
    )  # fmt: skip


def test_no_check_is_made_of_a_package_whose_files_are_damaged(copy_of: Copy, console: Console) -> None:
    folder = copy_of("unsigned")
    model = ImageLayout(folder).blob_path(Package.load(folder).variants[0].gguf.digest)
    model.write_bytes(model.read_bytes()[:-1])
    verdict = verify_package(str(folder), console, checks=[_Noting()])
    assert verdict.refused and [each.level for each in verdict.results] == [
        "refused", "not made", "not made", "not made",
    ]  # fmt: skip
    text = page(verdict)
    assert "REFUSED: The blob" in text and "NOT MADE" in text and "Do not use this package" in text
    assert str(model) in text


def test_a_file_is_named_in_its_own_letters(copy_of: Copy, verify: Verify) -> None:
    folder = copy_of("unsigned")
    (folder / "evil").write_text("x")
    assert [each.what for each in verify(folder).refusals] == ["evil does not belong to a package."]


@pytest.mark.parametrize("wrong", ["/nowhere/at/all", "./nowhere", "nowhere", "a\0b", "x" * 5000, ""])
def test_something_that_is_neither_a_directory_nor_a_reference_is_one_error(
    wrong: str, console: Console
) -> None:
    with pytest.raises(InputError):
        verify_package(wrong, console)


@pytest.mark.parametrize(
    ("kind", "key", "figures", "finding"),
    [
        ("unsigned", None, "unsigned", "is attached, unsigned."),
        ("signed", None, "signature not checked", "is attached, and no signature was checked."),
        ("signed", "acme", "signed", "is attached and signed."),
        ("signed", "other", "unsigned", "is attached, unsigned."),
    ],
)
def test_figures_are_called_signed_only_if_a_trusted_signer_signed_them(
    kind: str, key: str | None, figures: str, finding: str, copy_of: Copy, verify: Verify
) -> None:
    text = page(verify(copy_of(kind), key))
    assert f", {figures})" in text and f"1 evaluation {finding}" in text


def test_the_command_says_all_of_it(copy_of: Copy, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copy_of("signed")
    command = ["package", "verify", str(folder)]
    assert main([*command, "--key", str(keys / "acme.pub")]) == 0
    assert "ACCEPTED, signed by the key" in capsys.readouterr().out
    assert main([*command, "--key", str(keys / "other.pub"), "--key", str(keys / "acme.pub"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["signed"] is True
    assert main([*command, "--key", str(keys / "other.pub"), "--json"]) == 3
    data = json.loads(capsys.readouterr().out)
    assert data["verified"] is False and data["error"]["exit_code"] == 3
    assert main([*command, "--key", str(keys / "none.pub")]) == 2
    assert main([*command, "--vsa", "x.json"]) == 2


def test_a_package_cannot_steer_the_terminal(copy_of: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copy_of("unsigned")
    record = json.loads((folder / "package.json").read_bytes())
    record["title"] = "good\u202egnp.exe\x9b31m\u2028next"
    (folder / "package.json").write_text(json.dumps(record))
    (folder / "nasty\x1b[2Jname").touch()
    assert main(["package", "verify", str(folder)]) == 3
    text = capsys.readouterr().out
    assert not [each for each in text if each != "\n" and not each.isprintable()]
