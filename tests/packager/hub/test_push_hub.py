"""Upload of a package to a hub, by the hub's own client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import COMMIT, TOKEN, HubServer

from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.package import Package
from starfreight.packager.evaluation.attach import set_rules
from starfreight.packager.hub.push_hub import push_hub
from starfreight.packager.install.export import package_models
from starfreight.packager.install.folder import folder_files
from starfreight.packager.install.sources import PackageSource
from starfreight.packager.layout import ImageLayout
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.quantization import Quantization
from starfreight.recipe.evaluate import QualityRule

Push = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def package_folder(tmp_path: Path, make_contents: Callable[..., PackageContents]) -> Path:
    weights = {Quantization.Q4_K_M: b"GGUF four" * 10_000, Quantization.Q8_0: b"GGUF eight" * 20_000}
    contents = make_contents(weights, system="Be brief.")
    write_package(tmp_path / "package", contents, Console(quiet=True))
    return tmp_path / "package"


@pytest.fixture
def push(hub: HubServer, package_folder: Path, tmp_path: Path) -> Push:
    """Runs the command in a process of its own: the hub's client reads its settings when it is imported."""

    def run(*arguments: str, token: str = TOKEN, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))
        }
        inherited |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": token}
        inherited |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        return subprocess.run(
            [sys.executable, "-m", "starfreight", "package", "push-hub", str(package_folder), *arguments],
            env=inherited | environment, capture_output=True, text=True, check=False, timeout=60,
            cwd=Path(__file__).parents[3],
        )  # fmt: skip

    return run


def test_a_repository_has_what_ollama_llama_cpp_and_lm_studio_read(
    push: Push, hub: HubServer, package_folder: Path
) -> None:
    done = push("acme/coder", "--json", "--private")
    assert done.returncode == 0, done.stderr
    files = hub.repositories["acme/coder"]
    assert set(files) == {
        "tiny-coder-Q4_K_M.gguf", "tiny-coder-Q8_0.gguf", "Modelfile", "README.md", "LICENSE",
        "LICENSE-MIT.txt", "provenance.intoto.json", "template", "system", "params",
    }  # fmt: skip
    package, layout = Package.load(package_folder), ImageLayout(package_folder)
    for variant in package.variants:
        path = layout.blob_path(variant.gguf.digest)
        assert files[f"tiny-coder-{variant.quantization}.gguf"] == path.read_bytes()
    assert files["template"] == b"{{ .Prompt }}"
    assert files["system"] == b"Be brief."
    assert json.loads(files["params"])["stop"] == ["<file_sep>", "<|endoftext|>"]
    assert b"FROM ./tiny-coder-Q4_K_M.gguf" in files["Modelfile"]
    result = json.loads(done.stdout)
    assert (result["repository"], result["commit"]) == ("acme/coder", COMMIT)
    assert hub.private == {"acme/coder"}
    assert TOKEN not in done.stdout + done.stderr


def test_an_upload_that_fails_commits_nothing_and_the_same_command_sends_only_the_rest(
    push: Push, hub: HubServer, package_folder: Path
) -> None:
    failing = Package.load(package_folder).variants[1].gguf.digest.removeprefix("sha256:")
    hub.refuse = lambda method, path: 400 if path.endswith(failing) else 0
    done = push("acme/coder")
    assert done.returncode == 4, done.stderr
    assert "run the same command again" in done.stderr
    assert hub.repositories["acme/coder"] == {}
    hub.refuse = lambda method, path: 0
    hub.repositories["acme/coder"] = {"notes.txt": b"mine"}
    sent = {each for each in hub.asked if each.startswith("PUT")}
    hub.asked.clear()
    assert len(sent) == 2
    assert push("acme/coder").returncode == 0
    assert [each for each in hub.asked if each.startswith("PUT")] == [f"PUT /store/{failing}"]
    assert hub.repositories["acme/coder"]["notes.txt"] == b"mine"


def test_one_variant_alone_is_chosen(package_folder: Path) -> None:
    source = PackageSource(package_folder)
    models = package_models(Package.load(package_folder), ("q8_0",), source)
    assert [each for each in folder_files(models, for_hub=True) if each.endswith(".gguf")] == [
        "tiny-coder-Q8_0.gguf"
    ]


def test_a_corrupt_file_is_not_uploaded(package_folder: Path, console: Console) -> None:
    path = ImageLayout(package_folder).blob_path(Package.load(package_folder).default_variant.gguf.digest)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(GateError, match="does not have the digest"):
        push_hub(package_folder, "acme/coder", (), private=False, console=console)


def test_a_hub_that_denies_access_is_exit_code_2(push: Push, hub: HubServer) -> None:
    done = push("acme/coder", token="hf_wrong")
    assert done.returncode == 2, done.stderr
    assert "HF_TOKEN" in done.stderr
    assert "hf_wrong" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_hub_without_xet_is_named_with_the_remedy(push: Push) -> None:
    done = push("acme/coder", HF_HUB_DISABLE_XET="0")
    assert done.returncode == 4, done.stderr
    assert "HF_HUB_DISABLE_XET=1" in done.stderr


def test_a_hub_without_a_scheme_is_bad_input(push: Push) -> None:
    done = push("acme/coder", HF_ENDPOINT="hub.example.org")
    assert done.returncode == 2, done.stderr
    assert "HF_ENDPOINT='hub.example.org'" in done.stderr


def test_a_hub_that_is_not_there_is_exit_code_4(push: Push, free_port: Callable[[], int]) -> None:
    done = push("acme/coder", HF_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["coder", "a/b/c", "../x/y", "acme/..", "https://hf.co/acme/coder", "a b/c"])
def test_a_name_that_is_no_repository_is_refused(name: str, package_folder: Path, console: Console) -> None:
    with pytest.raises(InputError, match="NAMESPACE/NAME"):
        push_hub(package_folder, name, (), private=False, console=console)


def test_a_package_that_was_not_measured_for_its_quality_rules_is_not_uploaded(
    push: Push, hub: HubServer, package_folder: Path
) -> None:
    rule = QualityRule(suite="fim", figure="exact_match", at_least=0.5)
    set_rules(package_folder, (rule,), Console(quiet=True))
    done = push("acme/coder")
    assert done.returncode == 3 and "was not measured" in done.stderr
