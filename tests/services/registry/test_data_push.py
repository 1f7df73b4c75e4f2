"""``data push``: a laptop's data in a registry trains the same blocks, and publishes no secret."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from click.testing import CliRunner
from servers import Server
from small_jobs import ALL_ALIKE

from starfreight.cli import cli
from starfreight.console import Console
from starfreight.data_manifest import DataManifest
from starfreight.errors import GateError, InputError, RecipeError
from starfreight.jobs.data.blocks.training_data import Corpus, make_blocks
from starfreight.jobs.data.push import PushedRecipe, push_recipe
from starfreight.jobs.data.push.rewrite_recipe import replace_values
from starfreight.jobs.prepare.prepare_runs import prepare_runs
from starfreight.recipe import load_recipe
from starfreight.run import DATA_MANIFEST, Inputs, Run

TOKEN = "ghp_" + "A7f3Kq9Zx2Lm5Np8Rt1Vw4Yb6Cd0Eg3Hj5Ks"
MIT = """MIT License

Copyright (c) 2026 Acme

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def push(registry: Server, repository: str, console: Console) -> Callable[..., PushedRecipe]:
    def run(recipe: Path, write: Path | None = None, **options: Any) -> PushedRecipe:
        chosen = {"insecure": True, "with_secrets": False, "console": console, **options}
        return push_recipe(recipe, f"oci://{registry.host}/{repository}", write=write, **chosen)

    return run


def blocks_of(recipe: Path, runs: Path) -> tuple[str, Run]:
    """Digest of the blocks that a recipe trains."""
    file = load_recipe(recipe)
    (run,) = prepare_runs([file.recipe], file.folder, runs, Console(quiet=True))
    record, inputs = Run.load(run), Inputs.load(run)
    manifest = DataManifest.load(run / DATA_MANIFEST)
    corpus = Corpus(record.recipe, manifest, [Path(path) for path in inputs.data], Path(inputs.base))
    return make_blocks(corpus, run).record.digest, record


def pushed_files(registry: Server, source: str) -> dict[str, bytes]:
    """The files of a pushed archive."""
    repository, _, digest = source.removeprefix(f"oci://{registry.host}/").partition("@")
    url = f"{registry.url}/v2/{repository}/manifests/{digest}"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    (layer,) = requests.get(url, headers=accept, timeout=10).json()["layers"]
    with tarfile.open(registry.blob(layer["digest"])) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


@pytest.mark.parametrize("form", ["fim", "code"])
def test_the_pushed_directory_trains_the_same_blocks(
    write_job: Callable[..., Path], push: Callable[..., PushedRecipe], tmp_path: Path, form: str
) -> None:
    recipe = write_job(data={"source": "./code", "format": form, "held_out": 0.25, "filters": ALL_ALIKE})
    (tmp_path / "code/LICENSE").write_text(MIT)
    deep = tmp_path / "code" / ("deep-" * 30) / "größe.py"
    deep.parent.mkdir()
    deep.write_text((tmp_path / "code/basket_3.py").read_text().replace("basket", "größe"))
    (tmp_path / "code/.env").write_text(f"TOKEN={TOKEN}")
    (tmp_path / "code/picture.bin").write_bytes(bytes(1000))
    written = tmp_path / "elsewhere/new.yaml"
    written.parent.mkdir()
    pushed = push(recipe, written)
    assert pushed.sources[0].texts == 10
    here, there = blocks_of(recipe, tmp_path / "a"), blocks_of(written, tmp_path / "b")
    assert here[0] == there[0]
    assert pushed.base is not None
    assert there[1].recipe.base.model == pushed.base.replacement
    assert there[1].base.digest == here[1].base.digest
    assert there[1].base.files == here[1].base.files


def test_a_file_of_records_trains_the_same_blocks(
    write_job: Callable[..., Path], push: Callable[..., PushedRecipe], tmp_path: Path
) -> None:
    rows = [{"prompt": f"Add {n}", "response": f"def add_{n}(x):\n    return x + {n}\n"} for n in range(40)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {
        "source": "pairs.jsonl",
        "format": "instruct",
        "license": "MIT",
        "held_out": 0.25,
        "filters": ALL_ALIKE,
    }
    recipe = write_job(data=data)
    push(recipe, tmp_path / "new.yaml")
    assert blocks_of(tmp_path / "new.yaml", tmp_path / "a")[0] == blocks_of(recipe, tmp_path / "b")[0]


def test_the_same_texts_give_the_same_artifact(
    write_job: Callable[..., Path], push: Callable[..., PushedRecipe], tmp_path: Path
) -> None:
    recipe = write_job()
    first = push(recipe)
    os.utime(tmp_path / "code/basket_0.py", (1, 1))
    (tmp_path / "code/basket_0.py").chmod(0o700)
    assert push(recipe).sources == first.sources


def test_only_what_training_reads_leaves_this_machine(
    write_job: Callable[..., Path], push: Callable[..., PushedRecipe], registry: Server, tmp_path: Path
) -> None:
    recipe = write_job(data={"source": "./code", "exclude": ["internal/*"], "filters": ALL_ALIKE})
    code = tmp_path / "code"
    for name in (
        ".git/config",
        "internal/plan.py",
        "big.py",
        "none.py",
        "data.bin",
        "LICENSE",
        "sub/LICENSE",
    ):
        (code / name).parent.mkdir(exist_ok=True)
        (code / name).write_text("x = 1\n" if name.endswith(".py") else "")
    (code / "big.py").write_text("x = 1\n" * 300_000)
    (code / "none.py").write_text("")
    (code / "LICENSE").write_text(MIT)
    (code / "inner.py").symlink_to("basket_1.py")
    files = pushed_files(registry, push(recipe).sources[0].replacement)
    assert set(files) == {"LICENSE", *(f"basket_{number}.py" for number in range(8))}
    assert files["basket_1.py"] == (code / "basket_1.py").read_bytes()


def test_a_link_out_of_the_directory_is_refused(
    write_job: Callable[..., Path], push: Callable[..., PushedRecipe], tmp_path: Path
) -> None:
    recipe = write_job()
    (tmp_path / "code/out.py").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="leads out"):
        push(recipe)


@pytest.mark.parametrize("mode", ["leave_out", "replace", "keep"])
def test_secrets_are_treated_as_the_filter_does(
    write_job: Callable[..., Path], push: Callable[..., PushedRecipe], registry: Server, tmp_path: Path,
    mode: str, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    filters = {**ALL_ALIKE, "secrets": mode}
    recipe = write_job(data={"source": "./code", "license": "MIT", "held_out": 0.25, "filters": filters})
    (tmp_path / "code/settings.py").write_text(f'TOKEN = "{TOKEN}"\n\n\ndef read():\n    return TOKEN\n')
    if mode == "replace":
        with pytest.raises(GateError, match="would publish secrets") as refused:
            push(recipe)
        assert TOKEN not in str(refused.value)
        assert push(recipe, with_secrets=True).sources[0].texts == 9
        return
    pushed = push(recipe, tmp_path / "new.yaml", console=Console())
    said = capfd.readouterr().err
    assert TOKEN not in said + json.dumps(pushed.as_dict())
    assert "settings.py" in said
    assert ("settings.py" in pushed_files(registry, pushed.sources[0].replacement)) is (mode == "keep")
    assert blocks_of(tmp_path / "new.yaml", tmp_path / "a")[0] == blocks_of(recipe, tmp_path / "b")[0]


def test_records_with_secrets_are_refused(
    write_job: Callable[..., Path], push: Callable[..., PushedRecipe], tmp_path: Path
) -> None:
    (tmp_path / "pairs.jsonl").write_text(json.dumps({"prompt": "key", "response": f'T = "{TOKEN}"'}) + "\n")
    recipe = write_job(data={"source": "pairs.jsonl", "format": "instruct", "license": "MIT"})
    with pytest.raises(GateError, match=r"pairs\.jsonl:1"):
        push(recipe)
    assert push(recipe, with_secrets=True).sources


def test_what_cannot_travel_is_named(
    write_job: Callable[..., Path], push: Callable[..., PushedRecipe], tmp_path: Path
) -> None:
    recipe = write_job(data={"source": "./code", "filters": {"opt_out": "no.txt"}, "format": "repository"})
    (tmp_path / "no.txt").write_text("")
    staying = " ".join(push(recipe).staying)
    assert "opt_out" in staying
    assert "repository" in staying


def test_pushes_that_cannot_be(
    write_job: Callable[..., Path], push: Callable[..., PushedRecipe], tmp_path: Path, console: Console
) -> None:
    recipe = write_job()
    with pytest.raises(InputError, match="replace the original"):
        push(recipe, recipe)
    for target in ("host.test/a/b", "oci://host.test/a/b:1.0", "oci://a/b", "oci://host.test/a/b@sha256:00"):
        with pytest.raises(InputError):
            push_recipe(recipe, target, insecure=False, with_secrets=False, write=None, console=console)
    with pytest.raises(InputError, match="plain HTTP"):
        push_recipe(
            recipe, "oci://a.test/b/c", insecure=True, with_secrets=False, write=None, console=console
        )
    (tmp_path / "code/a\\b.py").write_text("x = 1\n")
    with pytest.raises(InputError, match="backslash"):
        push(recipe)
    only_json = tmp_path / "rows"
    only_json.mkdir()
    (only_json / "a.json").write_text('{"a": 1}\n')
    with pytest.raises(InputError, match="as records"):
        push(write_job(data={"source": "./rows"}))
    with pytest.raises(RecipeError):
        push(write_job(data={"source": "./missing"}))


@pytest.mark.parametrize(
    "text",
    [
        "data:\n  - source: ./a   # mine\n    license: MIT\n  - {source: './b', format: code}\n",
        'data: [{"source": "./a"}, {"format": "code", "source": ./b}]\n',
        "data:\n- license: MIT\n  source: >-\n    ./a\n- source: |-\n    ./b\n  license: MIT\n",
        "# ä\ndata:\n  - source:\n      ./a\n  - source: ./b",
    ],
)
def test_values_are_replaced_in_any_spelling(text: str) -> None:
    before = yaml.safe_load(text)
    new = {("data", number, "source"): f"oci://h.test/a/b@sha256:{number:064}" for number in range(2)}
    changed = replace_values(text, new, "here")
    assert [each["source"] for each in yaml.safe_load(changed)["data"]] == list(new.values())
    strip = [{key: value for key, value in each.items() if key != "source"} for each in before["data"]]
    after = yaml.safe_load(changed)["data"]
    assert [{key: value for key, value in each.items() if key != "source"} for each in after] == strip
    assert ("# mine" in changed) is ("# mine" in text)
    with pytest.raises(RecipeError, match="not written out"):
        replace_values(text, {("data", 2, "source"): "x"}, "here")


def test_the_command_prints_the_lines(
    write_job: Callable[..., Path], registry: Server, repository: str, tmp_path: Path
) -> None:
    command = ["data", "push", str(write_job()), f"oci://{registry.host}/{repository}", "--insecure"]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    assert f"source: oci://{registry.host}/{repository}@sha256:" in done.output
    done = CliRunner().invoke(cli, [*command, "--json", "--write", str(tmp_path / "new.yaml")])
    assert json.loads(done.output)["written"] == str(tmp_path / "new.yaml")
