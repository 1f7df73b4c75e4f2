"""Runs and packages of earlier versions are found again, and nothing is trained or built twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recipe_models import later, parts

from starfreight.console import Console
from starfreight.data_manifest import DataManifest
from starfreight.errors import RecipeError
from starfreight.files import sha256_file
from starfreight.jobs.backends.docker.container import container_name
from starfreight.jobs.backends.kubernetes.manifests.names import choose_names
from starfreight.jobs.prepare.prepare_runs import prepare_runs
from starfreight.jobs.prepare.run_identity import earlier_run_id, run_folder, run_id
from starfreight.jobs.protocol.record import JobRecord
from starfreight.packager.build.build_package import build_package
from starfreight.recipe import Recipe, Training, expand, load_recipe
from starfreight.records import FileDigest
from starfreight.run import DATA_MANIFEST, RUN_FILE, BaseInput, Run

REPOSITORY = Path(__file__).parents[3]
GOLDEN = REPOSITORY / "tests/golden"
EARLIER = json.loads((GOLDEN / "identities.json").read_text())
NOW = json.loads((GOLDEN / "identities-v2.json").read_text())
NAMES = sorted(EARLIER["recipes"])
BASE = BaseInput.model_validate_json(json.dumps(EARLIER["made_up"]["base"]))
MANIFEST = FileDigest.model_validate(EARLIER["made_up"]["manifest"])


def resolved(recipe: Recipe, rate: float) -> Recipe:
    training = recipe.training.model_copy(update={"learning_rate": rate})
    return recipe.model_copy(update={"training": training})


def files(folder: Path) -> dict[str, tuple[str, int]]:
    """The digest and the time of change of each file.

    Preparation always writes ``inputs.json``, which is left out, and the license texts, without a time here.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "inputs.json":
            time = 0 if path.parent.name == "licenses" else path.stat().st_mtime_ns
            found[path.relative_to(folder).as_posix()] = (sha256_file(path), time)
    return found


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The golden inputs with their runs and packages, as their user has them."""
    shutil.copytree(GOLDEN / "inputs", tmp_path / "work")
    shutil.copytree(GOLDEN / "finished-runs", tmp_path / "work/runs")
    shutil.copytree(GOLDEN / "finished-packages", tmp_path / "work/packages")
    return tmp_path / "work"


@pytest.mark.parametrize("name", NAMES)
def test_the_ids_of_runs_jobs_and_containers_are_those_of_their_version(name: str) -> None:
    earlier, now = EARLIER["recipes"][name], NOW["recipes"][name]
    recipe = load_recipe(GOLDEN / name).recipe
    if now["job_name"] is None:
        with pytest.raises(RecipeError):
            choose_names(recipe, longest_suffix=0)
    else:
        names = choose_names(recipe, longest_suffix=0)
        assert (names.job, names.recipe_digest) == (now["job_name"], now["recipe_digest"])
        assert names.earlier_job == earlier["job_name"]
        assert names.earlier_recipe_digest == earlier["recipe_digest"]
    for variant, was, known in zip(expand(recipe), earlier["variants"], now["variants"], strict=True):
        both = {
            "as_given": variant,
            "with_defaults": resolved(variant, was["learning_rate_with_defaults"]),
        }
        for key, each in both.items():
            assert run_id(each, BASE, MANIFEST) == known[key]["run_id"]
            assert earlier_run_id(each, BASE, MANIFEST) == was[key]["run_id"]
        assert container_name(was["with_defaults"]["run_id"], 1) == was["container"]


@pytest.mark.parametrize("part", list(parts()), ids=lambda part: part.__name__)
def test_a_later_key_with_a_default_changes_no_id_of_a_run_or_a_job(part: type[Any]) -> None:
    newer = later(part)
    for path in sorted((GOLDEN / "recipes").glob("*.yaml")):
        before = load_recipe(path).recipe
        after = newer.model_validate_json(before.model_dump_json())
        assert isinstance(after, Recipe)
        assert run_id(after, BASE, MANIFEST) == run_id(before, BASE, MANIFEST)
        assert earlier_run_id(after, BASE, MANIFEST) == earlier_run_id(before, BASE, MANIFEST)
        if NOW["recipes"][f"recipes/{path.name}"]["job_name"] is not None:
            assert choose_names(after, longest_suffix=0) == choose_names(before, longest_suffix=0)


def test_a_run_under_its_earlier_id_is_found_only_while_there_is_none_under_the_new_one(
    tmp_path: Path,
) -> None:
    recipe = load_recipe(GOLDEN / "inputs/fim.yaml").recipe
    new, earlier = run_id(recipe, BASE, MANIFEST), earlier_run_id(recipe, BASE, MANIFEST)
    assert earlier is not None
    assert new != earlier
    (tmp_path / earlier).mkdir()  # Left behind by a preparation that was killed.
    assert run_folder(tmp_path, recipe, BASE, MANIFEST) == tmp_path / new
    (tmp_path / earlier / RUN_FILE).touch()
    assert run_folder(tmp_path, recipe, BASE, MANIFEST) == tmp_path / earlier
    (tmp_path / new).mkdir()
    assert run_folder(tmp_path, recipe, BASE, MANIFEST) == tmp_path / earlier
    (tmp_path / new / RUN_FILE).touch()
    assert run_folder(tmp_path, recipe, BASE, MANIFEST) == tmp_path / new


def test_a_run_under_its_earlier_id_is_not_taken_for_one_with_a_later_key(tmp_path: Path) -> None:
    recipe = load_recipe(GOLDEN / "inputs/fim.yaml").recipe
    (tmp_path / str(earlier_run_id(recipe, BASE, MANIFEST))).mkdir()
    (tmp_path / str(earlier_run_id(recipe, BASE, MANIFEST)) / RUN_FILE).touch()
    data = recipe.model_dump(mode="json")
    data["training"]["later"] = 2
    changed = later(Training).model_validate_json(json.dumps(data))
    assert isinstance(changed, Recipe)
    assert run_folder(tmp_path, changed, BASE, MANIFEST).name == run_id(changed, BASE, MANIFEST)
    assert earlier_run_id(changed, BASE, MANIFEST) is None


@pytest.mark.parametrize("name", sorted(EARLIER["finished_runs"]))
def test_the_finished_runs_of_a_golden_recipe_are_found_and_left_as_they_are(name: str, work: Path) -> None:
    before = files(work)
    file = load_recipe(work / Path(name).name)
    found = prepare_runs(expand(file.recipe), file.folder, work / "runs", Console(quiet=True))
    assert [folder.name for folder in found] == EARLIER["finished_runs"][name]
    assert files(work) == before
    for folder in found:
        run = Run.load(folder)
        assert run.is_done(folder)
        assert DataManifest.load(folder / DATA_MANIFEST).digest == run.data_manifest.digest
        ids = NOW["finished_runs"][folder.name]
        assert run_id(run.recipe, run.base, run.data_manifest) == ids["run_id"]
        record = JobRecord.find(folder)
        assert record is not None
        assert record.end is not None
        assert (record.runner, record.end.exit_code) == ("local", 0)


@pytest.mark.parametrize(
    "folder", sorted((GOLDEN / "finished-packages").glob("*/")), ids=lambda path: path.name
)
def test_the_package_of_a_golden_run_is_found_and_not_built_again(folder: Path, work: Path) -> None:
    before = files(work)
    run = work / "runs" / folder.name
    package = build_package(run, work / "packages" / folder.name, None, Console(quiet=True))
    assert (package.run, package.recipe) == (folder.name, Run.load(run).recipe_digest)
    assert files(work) == before


def test_a_package_is_found_after_its_recipe_was_changed_and_changed_back(work: Path) -> None:
    """The record then has the digest of now, and the package the one of then."""
    path = work / "fim.yaml"
    text = path.read_text()
    before = files(work / "packages")

    def prepare() -> Path:
        file = load_recipe(path)
        (found,) = prepare_runs([file.recipe], file.folder, work / "runs", Console(quiet=True))
        return found

    path.write_text(text.replace("Golden fill-in-the-middle", "Another title"))
    found = prepare()
    changed = Run.load(found).recipe_digest
    path.write_text(text)
    assert prepare() == found
    run = Run.load(found)
    package = json.loads((work / "packages" / found.name / "package.json").read_text())
    assert run.recipe_digest not in (changed, package["recipe"])
    build_package(found, work / "packages" / found.name, None, Console(quiet=True))
    assert files(work / "packages") == before


@pytest.mark.parametrize(
    ("name", "runner", "exit_code"),
    [("job-docker.json", "docker", 0), ("job-docker-running.json", "docker", None),
     ("job-running.json", "local", None)],
)  # fmt: skip
def test_a_golden_record_of_a_job_is_read(
    name: str, runner: str, exit_code: int | None, tmp_path: Path
) -> None:
    shutil.copy(GOLDEN / name, tmp_path / "job.json")
    record = JobRecord.find(tmp_path)
    assert record is not None
    assert record.runner == runner
    assert (record.end.exit_code if record.end else None) == exit_code
    again = tmp_path / "again"
    again.mkdir()
    record.save(again)
    assert json.loads((again / "job.json").read_text()) == json.loads((GOLDEN / name).read_text())


@pytest.fixture(params=["this", "later"])
def release(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line of this release, or of a later one whose recipes have more keys."""
    environment = dict(os.environ)
    if request.param == "later":
        package = tmp_path / "later/starfreight"
        package.mkdir(parents=True)
        for path in (REPOSITORY / "starfreight").iterdir():
            if path.name not in ("recipe", "__pycache__"):
                (package / path.name).symlink_to(path.resolve())
        shutil.copytree(REPOSITORY / "starfreight/recipe", package / "recipe")
        for name, model in (
            ("models", "Training"),
            ("package", "PackageOptions"),
            ("data", "Fim"),
            ("models", "Base"),
        ):
            path = package / f"recipe/{name}.py"
            head = f"class {model}(RecipePart):\n"
            before, _, after = path.read_text().partition(head)
            docstring, _, keys = after.partition("\n\n")
            assert keys, name
            path.write_text(f"{before}{head}{docstring}\n\n    later_key: int = 1\n{keys}")
        environment["PYTHONPATH"] = str(package.parent)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", *arguments],
            capture_output=True, text=True, timeout=300, check=False, env=environment, cwd=tmp_path,
        )  # fmt: skip

    shown = "from starfreight.recipe import Fim, PackageOptions as P, Training as T; print(T(), P(), Fim())"
    assert run("-c", shown).stdout.count("later_key=1") == (3 if request.param == "later" else 0)
    return run


def test_the_whole_line_does_nothing_again_for_a_recipe_of_an_earlier_version(
    release: Callable[..., subprocess.CompletedProcess[str]], work: Path
) -> None:
    before = files(work)
    done = release(
        "-m", "starfreight", "run", str(work / "fim.yaml"),
        "--runs", str(work / "runs"), "--packages", str(work / "packages"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert files(work) == before
