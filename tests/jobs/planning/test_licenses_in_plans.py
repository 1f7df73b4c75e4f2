"""``plan`` lists license duties; ``plan`` and ``run`` refuse data and models whose licenses forbid them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from small_jobs import ALL_ALIKE

from starfreight.cli import main

OPENRAIL = "LicenseRef-BigCode-OpenRAIL-M"
SOURCE = {"source": "./code", "license": "MIT", "held_out": 0.25, "filters": ALL_ALIKE}
PUBLISH = {"reference": "localhost:5000/acme/coder:1.0"}
Json = Callable[..., tuple[int, Any]]


@pytest.fixture
def base(tmp_path: Path, bases: Mapping[str, Path]) -> Path:
    """A base model beside the recipe, with a license and a card."""
    folder = Path(shutil.copytree(bases["starcoder2"], tmp_path / "base"))
    (folder / "README.md").write_text("# Base\n")
    return folder


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Json:
    """Runs a command and gives its exit code and its result as JSON."""

    def run(*words: str) -> tuple[int, Any]:
        code = main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return run


FORBIDDEN: dict[str, tuple[str, dict[str, Any], str]] = {
    "no training": ("LicenseRef-NoAI", {}, "forbids training"),
    "no training, not even in private": ("MIT AND LicenseRef-Acme-No-AI-Training", {}, "forbids training"),
    "no commercial use": ("CC-BY-NC-4.0", {"publish": PUBLISH}, "forbids commercial use"),
    "no derivatives": ("CC-BY-ND-4.0", {"publish": PUBLISH}, "forbids sharing"),
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_data_whose_license_forbids_this_use_are_refused_by_plan_and_run(
    name: str, base: Path, write_job: Callable[..., Path], tmp_path: Path, command: Json
) -> None:
    license, keys, words = FORBIDDEN[name]
    source = SOURCE | {"license": license}
    recipe = write_job(base={"model": "./base", "license": OPENRAIL}, data=source, **keys)
    code, planned = command("plan", str(recipe))
    assert code == 3
    assert words in planned["error"]["what"] and license in planned["error"]["what"]
    assert "./code" in planned["error"]["where"] and "exclude" in planned["error"]["next"]
    assert command("run", str(recipe), "--runs", str(tmp_path / "runs")) == (3, planned)
    assert not list((tmp_path / "runs").glob("*/run.json"))


def test_what_files_state_counts_and_filters_leave_it_out_by_default(
    base: Path, write_job: Callable[..., Path], tmp_path: Path, command: Json
) -> None:
    recipe = write_job(base={"model": "./base", "license": OPENRAIL}, data=SOURCE, publish=PUBLISH)
    path = tmp_path / "code/basket_1.py"
    path.write_text(f"# SPDX-License-Identifier: CC-BY-NC-4.0\n\n{path.read_text()}")
    code, planned = command("plan", str(recipe))
    assert code == 0 and planned["variants"][0]["data"][0]["left_out"] == {"license": 1}
    value = json.loads(recipe.read_text())
    value["data"][0]["filters"]["licenses"] = "any"
    recipe.write_text(json.dumps(value))
    code, planned = command("plan", str(recipe))
    assert code == 3 and "CC-BY-NC-4.0" in planned["error"]["what"]
    assert planned["error"]["where"] == "data of ./code, 1 text"


def test_texts_without_a_license_are_refused_unless_their_owner_decides(
    base: Path, write_job: Callable[..., Path], tmp_path: Path, command: Json
) -> None:
    source = SOURCE | {"filters": ALL_ALIKE | {"licenses": "any"}}
    keys = {"base": {"model": "./base", "license": OPENRAIL}, "data": source, "publish": PUBLISH}
    recipe = write_job(**keys)
    path = tmp_path / "code/basket_1.py"
    path.write_text(f"# SPDX-License-Identifier: NONE\n\n{path.read_text()}")
    code, planned = command("plan", str(recipe))
    assert code == 3 and "NONE gives no permission" in planned["error"]["what"]
    value = json.loads(recipe.read_text())
    value["package"] = {"license": f"{OPENRAIL} AND LicenseRef-Acme"}
    recipe.write_text(json.dumps(value))
    code, planned = command("plan", str(recipe))
    assert code == 0
    found = [each for each in planned["variants"][0]["license"]["duties"] if each["license"] == "NONE"]
    assert [each["state"] for each in found] == ["for the publisher to judge"]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"publish": PUBLISH, "package": {"license": f"{OPENRAIL} AND CC-BY-NC-4.0"}},
        {"publish": PUBLISH, "package": {"license": f"{OPENRAIL} AND LicenseRef-Acme-Internal"}},
    ],
    ids=["not published", "noncommercial model", "custom license"],
)
def test_noncommercial_data_may_train_a_noncommercial_model(
    keys: dict[str, Any], base: Path, write_job: Callable[..., Path], command: Json
) -> None:
    source = SOURCE | {"license": "CC-BY-NC-4.0"}
    recipe = write_job(base={"model": "./base", "license": OPENRAIL}, data=source, **keys)
    code, planned = command("plan", str(recipe))
    assert code == 0
    found = planned["variants"][0]["license"]["duties"]
    assert {"license": "CC-BY-NC-4.0", "state": "for the publisher to judge"}.items() <= found[-1].items()


def test_a_plan_lists_the_duties_with_their_states(
    base: Path, write_job: Callable[..., Path], command: Json
) -> None:
    recipe = write_job(base={"model": "./base", "license": OPENRAIL}, data=SOURCE, publish=PUBLISH)
    code, planned = command("plan", str(recipe))
    assert code == 0 and planned["refused"] is None
    license = planned["variants"][0]["license"]
    states = [(each["paragraph"], each["state"]) for each in license["duties"]]
    assert states == [
        ("4, Attachment A", "for the publisher to judge"), ("5.1", "met"), ("5.2(a)", "met"),
        ("5.2(b)", "met"), ("5.2(b)", "later"), ("5.2(c)", "met"), ("9", "met"),
        ("1(k)", "for the publisher to judge"), ("1(i)", "for the publisher to judge"),
        (None, "for the publisher to judge"),
    ]  # fmt: skip
    assert license["duty"] is None and license["notes"] == []


def test_a_plan_refuses_to_publish_what_publish_would_refuse(
    base: Path, write_job: Callable[..., Path], tmp_path: Path, command: Json
) -> None:
    (base / "README.md").unlink()
    keys = {"base": {"model": "./base", "license": OPENRAIL}, "data": SOURCE}
    code, planned = command("plan", str(write_job(**keys)))
    assert code == 0 and "README.md" in planned["variants"][0]["license"]["duty"]
    recipe = write_job(**keys, publish=PUBLISH)
    code, planned = command("plan", str(recipe))
    assert code == 3 and "5.2(b)" in planned["refused"]["what"]
    code, ran = command("run", str(recipe), "--publish", "--runs", str(tmp_path / "runs"))
    assert (code, ran["error"]) == (3, planned["refused"])
    assert not (tmp_path / "runs").exists()


def test_a_plan_tells_of_data_under_a_license_of_ones_own(
    base: Path, write_job: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    (base / "LICENSE").write_text("MIT License\n")
    keys = {"base": {"model": "./base", "license": "MIT"}, "data": SOURCE | {"license": "LicenseRef-Acme"}}
    assert main(["plan", str(write_job(**keys))]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "license MIT AND LicenseRef-Acme" in shown
    assert "Training data are under LicenseRef-Acme: the model would be under MIT AND LicenseRef" in shown
    assert main(["plan", str(write_job(**keys, package={"license": "LicenseRef-Acme"}))]) == 0
    assert "Training data are under" not in capsys.readouterr().out
