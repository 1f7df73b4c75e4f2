"""The model card: its front matter, its sections, and the tables of its training data."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from starfreight.console import Console
from starfreight.package import Package
from starfreight.package_evaluations import read_evaluations
from starfreight.packager.build.build_package import build_package
from starfreight.packager.build.describe import describe
from starfreight.packager.card import render_card
from starfreight.packager.card.figures import with_figures, without_figures
from starfreight.packager.card.front_matter import hub_license
from starfreight.packager.card.terms import notices, restrictions
from starfreight.packager.card.training_data import training_data
from starfreight.packager.hashed_file import QuantizedFile
from starfreight.packager.press.open_base import open_checked
from starfreight.quantization import Quantization
from starfreight.recipe import validate_recipe
from starfreight.run import Run

Card = Callable[..., str]

HEADINGS = (
    "Intended use", "Out-of-scope uses", "Limitations", "Files", "Use", "Training data", "Training",
    "How to verify", "License", "Base model and notices",
)  # fmt: skip


@pytest.fixture
def card(make_run: Callable[..., Path], tmp_path: Path) -> Card:
    """Renders the card of a tiny run with other values in its recipe and its base."""

    def made(
        manifest: dict[str, Any] | None = None,
        *,
        base: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        recipe: dict[str, Any] | None = None,
        documents: tuple[str, ...] = ("BASE_MODEL_CARD.md",),
        has_data: bool = True,
        **package: Any,
    ) -> str:
        root = Path(tempfile.mkdtemp(dir=tmp_path))
        run = Run.load(make_run(root, **package))
        changed = run.recipe.model_dump(mode="json") | (recipe or {})
        changed["data"][0] |= data or {}
        run = run.model_copy(
            update={
                "recipe": validate_recipe(changed, "recipe"),
                "base": run.base.model_copy(update=base or {}),
            }
        )
        quantization = Quantization.Q8_0
        model = describe(run, open_checked(root / "base").shape, (), (quantization,))
        file = QuantizedFile(Path("tiny-Q8_0.gguf"), "sha256:" + "a" * 64, 1000, quantization)
        found = manifest or {"version": 2, "sources": [source()]}
        return render_card(
            model, run, found, [file], documents=documents, has_data=has_data, has_bom=True
        ).decode()

    return made


def source(**changes: Any) -> dict[str, Any]:
    counts = {"samples": 3, "bytes": 300}
    return {
        "source": "./src", "revision": None, "found": 5, "train": counts,
        "held_out": {"samples": 0, "bytes": 0},
        "licenses": {"MIT": counts}, "languages": {"Python": counts}, "left_out": {"unusable": {"empty": 2}},
        "replaced": {"email": 4}, "files": [],
    } | changes  # fmt: skip


def front(card: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.removeprefix("---\n").split("\n---\n", 1)[0])
    return found


def test_the_card_has_the_sections_of_a_good_card_in_order(card: Card) -> None:
    text = card()
    assert tuple(re.findall(r"^## (.*)$", text, re.M)) == HEADINGS
    assert "\n\n\n" not in text and text.endswith("\n") and not text.endswith("\n\n")


def test_the_front_matter_of_a_model_from_the_hub_is_complete(card: Card) -> None:
    text = card(
        base={
            "model": "bigcode/starcoder2-3b",
            "revision": "b" * 40,
            "license": "LicenseRef-BigCode-OpenRAIL-M",
        },
        data={"source": "dataset:acme/code"},
    )
    assert front(text) == {
        "license": "bigcode-openrail-m",
        "base_model": "bigcode/starcoder2-3b",
        "base_model_relation": "finetune",
        "datasets": ["acme/code"],
        "library_name": "gguf",
        "pipeline_tag": "text-generation",
        "tags": ["code", "fill-in-the-middle", "gguf", "qlora", "starfreight", "python"],
    }


def test_an_adapter_is_related_as_one(card: Card) -> None:
    text = card(base={"model": "acme/base", "revision": "b" * 40}, ship="adapter")
    assert front(text)["base_model_relation"] == "adapter"


def test_a_base_that_is_not_on_the_hub_is_named_in_the_text_alone(card: Card) -> None:
    text = card()
    assert "base_model" not in front(text) and "`base`" in text


@pytest.mark.parametrize(
    ("name", "hub"),
    [
        ("MIT", "mit"), ("Apache-2.0", "apache-2.0"), ("GPL-3.0-or-later", "gpl-3.0"),
        ("ODC-By-1.0", "odc-by"),
        ("LicenseRef-BigCode-OpenRAIL-M", "bigcode-openrail-m"), ("BSD-3-Clause", "bsd-3-clause"),
        ("PSF-2.0", None), ("MIT AND Apache-2.0", None), ("LicenseRef-Acme", None),
        ("other", None), ("", None),
    ],
)  # fmt: skip
def test_licenses_have_the_hub_s_names(name: str, hub: str | None) -> None:
    assert hub_license(name) == hub


def test_a_license_that_the_hub_does_not_know_is_named_with_its_file(card: Card) -> None:
    found = front(card(base={"license": 'Acme "License"\u0085\u2028x: [y]'}))
    assert found["license"] == "other" and found["license_link"] == "LICENSE"
    assert found["license_name"] == 'Acme "License" x: [y]'


def test_use_restrictions_are_passed_on(card: Card) -> None:
    text = card(base={"license": "LicenseRef-BigCode-OpenRAIL-M"})
    section = text.split("## Out-of-scope uses\n")[1].split("\n## ")[0]
    assert "BigCode OpenRAIL-M v1" in section and "malware" in section
    assert [each.name for each in restrictions("LicenseRef-BigCode-OpenRAIL-M AND MIT", "MIT")] == [
        "BigCode OpenRAIL-M v1"
    ]
    assert restrictions("MIT", "PSF-2.0") == () == notices("MIT")


def test_data_are_shown_by_language_and_license(card: Card) -> None:
    big = {"samples": 10, "bytes": 5000}
    text = card({"version": 2, "sources": [
        source(), source(languages={"Java": big, "Python": big}, licenses={"Apache-2.0": big}),
    ]})  # fmt: skip
    rows = "| {} | files or records | bytes |\n|---|---|---|\n{}\n"
    assert rows.format("language", "| Python | 13 | 5,300 |\n| Java | 10 | 5,000 |") in text
    assert rows.format("license", "| Apache-2.0 | 10 | 5,000 |\n| MIT | 3 | 300 |") in text
    assert "Left out by filters: unusable: empty (4)." in text
    assert "Redacted in the texts: email (8)." in text


def test_many_languages_are_shortened() -> None:
    languages = {f"L{number:03}": {"samples": 1, "bytes": 1000 - number} for number in range(100)}
    rows = training_data({"sources": [source(languages=languages)]}).languages
    assert len(rows) == 41 and (rows[-1].name, rows[-1].samples) == ("60 others", 60)


def test_a_manifest_of_the_first_version_has_sources_and_licenses() -> None:
    first = {
        "source": "/home/me/src", "revision": None, "license": "MIT", "left_out": {"empty": 2},
        "files": [{"path": "a", "size": 10}],
    }  # fmt: skip
    found = training_data({"version": 1, "sources": [first]})
    assert [(each.name, each.used, each.left_out) for each in found.sources] == [("src", 1, 2)]
    assert [each.name for each in found.licenses] == ["MIT"] and found.languages == ()
    assert found.left_out == (("empty", 2),)


def test_hostile_names_of_languages_and_licenses_stay_text(card: Card) -> None:
    evil = "x](https://evil.example)\n---\n| <img src=y> `z` \u202e"
    counts = {"samples": 1, "bytes": 1}
    text = card({"version": 2, "sources": [
        source(
            languages={evil: counts}, licenses={evil: counts}, replaced={evil: 1}, left_out={evil: {evil: 1}}
        ),
    ]})  # fmt: skip
    body = text.split("\n---\n", 1)[1]
    assert "https://evil" not in body and "\u202e" not in text and "\n---\n" not in body
    assert not re.search(r"(?<!\\)<img", re.sub(r"`[^`]*`", "", body.replace(r"\`", "")))
    assert all(re.fullmatch(r"[a-z0-9+#.-]{1,40}", tag) for tag in front(text)["tags"])


def test_figures_come_before_the_license_and_go_again(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    package = build_package(make_run(tmp_path), tmp_path / "p", None, console)
    data = (tmp_path / "p/blobs/sha256" / package.model_card.digest.removeprefix("sha256:")).read_bytes()
    assert with_figures(data, package, read_evaluations(tmp_path / "p", package)) == data
    assert without_figures(data) == data
    assert data.count(b"\n## License\n") == 1


def test_the_commands_name_the_release(card: Card) -> None:
    text = card(recipe={"publish": {"reference": "ghcr.io/acme/coder:1.0"}})
    assert "    starfreight package verify ghcr.io/acme/coder:1.0 --key SIGNER.pub\n" in text
    assert "    gh attestation verify oci://ghcr.io/acme/coder:1.0 --owner OWNER --bundle-from-oci " in text
    assert "--type slsaprovenance1 ghcr.io/acme/coder:1.0\n" in text


def test_a_hostile_reference_is_no_command(card: Card) -> None:
    text = card(recipe={"publish": {"reference": "ghcr.io/a/b:1; rm -rf /"}})
    assert "rm -rf" not in text.split("## How to verify")[1]


def test_both_orders_of_filling_in_are_shown_with_their_tokens(card: Card) -> None:
    text = card(data={"fim": {"rate": 0.9, "spm_rate": 0.5}})
    assert "    <fim_prefix><fim_suffix>code after the cursor<fim_middle>code before the cursor\n" in text
    assert "Trained on cuts in 90% of the pieces of its files, 50% of these suffix first" in text
    prefix_first = card(data={"fim": {"spm_rate": 0.0}})
    assert "<fim_prefix><fim_suffix>code" not in prefix_first


def test_models_of_repositories_and_of_instructions_say_how_to_ask(card: Card) -> None:
    assert "    <repo_name>name<file_sep>path/of/a.py\n" in card(data={"format": "repository"})
    text = card(data={"format": "instruct"})
    assert "    ### Instruction\n" in text and "no such cuts" in text


def test_a_list_of_data_that_is_kept_out_is_named_by_its_digest(card: Card) -> None:
    assert "package trace" in card(has_data=True)
    kept_out = card(has_data=False)
    assert "the list itself is not in this package" in kept_out and "package trace" not in kept_out


def test_the_package_tells_what_it_has(
    make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    build_package(make_run(tmp_path), tmp_path / "p", None, console)
    package = Package.load(tmp_path / "p")
    assert package.bom is not None and package.documents == ()
    card = (tmp_path / "p/blobs/sha256" / package.model_card.digest.removeprefix("sha256:")).read_text()
    assert "`bom.cdx.json`" in card and "BASE_MODEL_CARD.md" not in card
