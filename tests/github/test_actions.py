"""The scripts of our actions, with hostile and odd inputs."""

from __future__ import annotations

import http.server
import importlib.util
import json
import os
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import jwt
import pytest
import yaml
from packaging.utils import canonicalize_name
from workflow_expressions import fill

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"


def load(path: str) -> ModuleType:
    """A script as a module."""
    specification = importlib.util.spec_from_file_location(Path(path).stem + "_script", GITHUB / path)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def run(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in a shell, with files for its outputs."""
    files = {name: str(folder / name) for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash" if script.endswith(".sh") else sys.executable, str(GITHUB / script)],
        cwd=ROOT, capture_output=True, text=True,
        env=os.environ | files | {"RUNNER_TEMP": str(folder), "PATH": path} | environment,
    )  # fmt: skip


# --- publish


def package(folder: Path, name: str) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "package.json").write_text(json.dumps({"name": name.rpartition("-")[0]}))
    return folder / name


def record(folder: Path, **result: Any) -> None:
    (folder / "starfreight.json").write_text(json.dumps(result))


def test_variants_are_published_with_their_names_in_the_tag(tmp_path: Path) -> None:
    script = load("actions/publish/publish.py")
    folders = [package(tmp_path, f"coder-rank-{rank}-0123456789") for rank in (4, 16)]
    record(tmp_path, variants=[{"package": f"../elsewhere/{each.name}"} for each in folders])
    (tmp_path / "recipe-name").write_text("coder\n")
    found = script.find_publications(tmp_path, "ghcr.io/acme/coder:1.0", "")
    assert [each.reference.rpartition(":")[2] for each in found] == ["1.0-rank-4", "1.0-rank-16"]
    with pytest.raises(script.RefusedError):
        script.find_publications(tmp_path, "ghcr.io/acme/coder:1.0", "other")


def test_the_chosen_variant_alone_is_published_at_the_tag(tmp_path: Path) -> None:
    script = load("actions/publish/publish.py")
    package(tmp_path, "coder-rank-4-0123456789")
    chosen = {"package": "packages/coder-rank-4-0123456789", "quantization": "Q8_0"}
    record(tmp_path, variants=[], chosen=chosen)
    (found,) = script.find_publications(tmp_path, "ghcr.io/acme/coder:1.0", "")
    assert (found.reference, found.default) == ("ghcr.io/acme/coder:1.0", "Q8_0")


def test_a_variant_cannot_take_the_tag_of_another_release(tmp_path: Path) -> None:
    script = load("actions/publish/publish.py")
    record(tmp_path, variants=[{"package": package(tmp_path, f"{name}-0123456789").name} for name in "ab"])
    (tmp_path / "recipe-name").write_text("coder")
    for suffix in (".1", "1", "-a/b", "-a\nx", "-" + "a" * 128):
        for each in tmp_path.glob("*-0123456789"):
            (each / "package.json").write_text(json.dumps({"name": f"coder{suffix}"}))
        with pytest.raises(script.RefusedError):
            script.find_publications(tmp_path, "ghcr.io/acme/coder:1.0", "")


def test_lines_about_a_package_are_no_commands_for_the_runner(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "starfreight"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho '::set-output name=references::forged' >&2\necho '{\"tags\": {}}'\n")
    program.chmod(0o755)
    package(tmp_path, "coder-0123456789")
    (tmp_path / "coder-0123456789" / "package.json").write_text('{"name": "coder", "variants": []}')
    done = run(
        "actions/publish/publish.py", tmp_path, SIGN="none", REFERENCE="ghcr.io/acme/coder:1.0",
        PACKAGES=str(tmp_path / "coder-0123456789"), RECIPE_NAME="", FORMATS="ollama", INSECURE="false",
        WORKFLOW="w", GITHUB_STEP_SUMMARY=str(tmp_path / "summary"),
        PATH=f"{program.parent}:{os.environ['PATH']}",
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == "" and "forged" in done.stdout
    stopped = ""
    for line in done.stdout.splitlines():
        if line.startswith("::stop-commands::"):
            stopped = line.removeprefix("::stop-commands::")
        elif line == f"::{stopped}::":
            stopped = ""
        elif line.startswith("::"):
            assert stopped, line


@pytest.mark.parametrize(
    ("reference", "password", "sent"),
    [
        ("ghcr.io/acme/coder:1.0", "own", "own"),
        ("registry.example.org/acme/coder:1.0", "own", ""),
        ("ghcr.io.example.org/acme/coder:1.0", "own", ""),
        ("registry.example.org/acme/coder:1.0", "given", "given"),
    ],
)
def test_only_ghcr_gets_the_token_of_the_job(reference: str, password: str, sent: str) -> None:
    action = yaml.safe_load((GITHUB / "actions/publish/action.yml").read_text())
    environment = action["runs"]["steps"][0]["env"]
    inputs = {"reference": reference, "password": password, "username": "someone"}
    contexts = {"inputs": inputs, "github": {"token": "own"}}
    filled = {
        key: fill(environment[f"STARFREIGHT_REGISTRY_{key}"], contexts) for key in ("USERNAME", "PASSWORD")
    }
    assert filled == {"USERNAME": sent and "someone", "PASSWORD": sent}


@pytest.mark.parametrize("recorded", ["..", "../../etc", "/", "", "missing-0123456789", "a/.."])
def test_a_record_cannot_name_a_package_outside_its_directory(recorded: str, tmp_path: Path) -> None:
    script = load("actions/publish/publish.py")
    (tmp_path / "packages").mkdir()
    (tmp_path / "package.json").write_text("{}")
    record(tmp_path / "packages", variants=[{"package": recorded}])
    with pytest.raises(script.RefusedError):
        script.find_publications(tmp_path / "packages", "ghcr.io/acme/coder:1.0", "")


@pytest.mark.parametrize(
    "reference",
    ["", "coder:1.0", "ghcr.io/acme/coder", "ghcr.io/Acme/coder:1", "ghcr.io/acme/coder:1 --force", "-x/y:z",
     "ghcr.io/acme/coder:1\nx=y", "ghcr.io/acme/coder@sha256:" + "a" * 64, "ghcr.io/a/b:$(id)"],
)  # fmt: skip
def test_a_wrong_reference_is_refused(reference: str) -> None:
    script = load("actions/publish/publish.py")
    with pytest.raises(script.RefusedError):
        script.check_reference(reference)
    script.check_reference("localhost:5000/acme/team/coder:1.0-rc_1")


def test_a_key_is_written_for_its_owner_alone_and_removed(tmp_path: Path) -> None:
    script = load("actions/publish/publish.py")
    key = "-----BEGIN CANARY-----\nabc\n"
    options = script.signing_options({"SIGN": "key", "KEY": key}, tmp_path)
    path = tmp_path / "starfreight-signing.key"
    assert options == ["--sign", "--key", str(path)] and stat.S_IMODE(path.stat().st_mode) == 0o600
    done = run(
        "actions/publish/publish.py", tmp_path, SIGN="key", KEY=key, REFERENCE="ghcr.io/acme/coder:1.0",
        PACKAGES=str(tmp_path), RECIPE_NAME="", FORMATS="ollama", INSECURE="false", WORKFLOW="w",
    )  # fmt: skip
    assert done.returncode == 2 and "has neither package.json" in done.stdout
    assert not path.exists() and "CANARY" not in done.stdout + done.stderr


# --- cluster-access


class Tokens(http.server.BaseHTTPRequestHandler):
    """GitHub's endpoint for identity tokens, which are valid for a moment."""

    count = 0

    def do_GET(self) -> None:
        assert self.headers["Authorization"] == "bearer request-canary"
        assert self.path == "/token?v=1&audience=my%20cluster"
        type(self).count += 1
        claims = {"exp": datetime.now(UTC) + timedelta(seconds=1), "number": self.count}
        body = json.dumps({"value": jwt.encode(claims, "k" * 32)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


CLUSTER = {
    "CONFIG": "", "SERVER": "https://127.0.0.1:1", "AUTHORITY": "", "AUDIENCE": "my cluster",
    "NAMESPACE": "n", "PYTHON": sys.executable, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-canary",
}  # fmt: skip


def test_a_cluster_gets_a_new_token_of_the_workflow_when_one_has_expired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubernetes.client import Configuration

    from kubernetes import config

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tokens)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/token?v=1"
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", url)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-canary")
    done = run("actions/cluster-access/write_kubeconfig.py", tmp_path, **CLUSTER)
    assert done.returncode == 0, done.stdout + done.stderr
    path = Path((tmp_path / "GITHUB_ENV").read_text().strip().removeprefix("KUBECONFIG="))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and "canary" not in path.read_text()
    client = Configuration()
    config.load_kube_config(str(path), client_configuration=client)
    tokens = [client.auth_settings()["BearerToken"]["value"] for _ in range(2)]
    server.shutdown()
    server.server_close()
    assert client.host == "https://127.0.0.1:1" and len(set(tokens)) == 2 and all(tokens)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"SERVER": ""}, "Give the secret kubeconfig"),
        ({"SERVER": "http://127.0.0.1:1"}, "https://"),
        ({"ACTIONS_ID_TOKEN_REQUEST_URL": ""}, "id-token: write"),
    ],
)
def test_a_cluster_without_access_is_an_error(changes: dict[str, str], problem: str, tmp_path: Path) -> None:
    done = run("actions/cluster-access/write_kubeconfig.py", tmp_path, **(CLUSTER | changes))
    assert done.returncode == 2 and problem in done.stdout and not (tmp_path / "GITHUB_ENV").exists()


# --- report


def test_names_from_recipes_are_no_markup_in_the_summary() -> None:
    script = load("actions/report/report.py")
    hostile = "a|b\n```<img src=x>[l](javascript:x) @all :tada: ![i](u) \u202e\x1b[31m"
    cell = script.cell(hostile)
    assert not set(cell.replace("&#", "").replace(";", "")) & set("|<>[]`*@!\n\x1b\u202e")
    (title,) = [line for line in script.chart('x" \n y', [(1, 2.0), (2, 1.0)]) if "title" in line]
    assert title.count('"') == 2


def test_a_chart_of_many_steps_is_short_and_has_its_range() -> None:
    script = load("actions/report/report.py")
    lines = script.chart("loss", [(step, 1 / step) for step in range(1, 100_001)])
    (values,) = [line for line in lines if line.startswith("  line")]
    assert values.count(",") < 60 and '  x-axis "step" 1 --> 100000' in lines
    assert script.chart("loss", [(1, 1.0)]) == []


# --- trainer-image


def test_an_image_in_the_registry_is_reused_by_its_digest(registry: Any, tmp_path: Path) -> None:
    layout = tmp_path / "image"
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(data: bytes) -> dict[str, Any]:
        import hashlib

        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    config = {"mediaType": "application/vnd.oci.image.config.v1+json"}
    config |= blob(b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}')
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []}
    entry = {"mediaType": kind} | blob(json.dumps(manifest).encode())
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    reference = f"{registry.host}/acme/starfreight-trainer:{'c' * 12}-cpu"
    copy = [
        "skopeo",
        "copy",
        "--insecure-policy",
        "--dest-tls-verify=false",
        f"oci:{layout}",
        f"docker://{reference}",
    ]
    subprocess.run(copy, check=True, capture_output=True)
    done = run(
        "actions/trainer-image/build.sh", tmp_path, OWNER="Acme", COMMIT="c" * 40, TORCH="cpu",
        REGISTRY=registry.host, INSECURE="true",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        tmp_path / "GITHUB_OUTPUT"
    ).read_text() == f"image={reference.rpartition(':')[0]}@{entry['digest']}\n"


# --- setup-starfreight


@pytest.mark.parametrize("wrong", [{"FOR": "x"}, {"TORCH": "cpu ; id"}])
def test_setup_refuses_unknown_choices(wrong: dict[str, str], tmp_path: Path) -> None:
    given = {
        "FOR": "train",
        "TORCH": "cpu",
        "KUBERNETES": "false",
        "SOURCE": str(ROOT),
        "PYTHON": sys.executable,
    }
    done = run("actions/setup-starfreight/install.sh", tmp_path, **(given | wrong))
    assert done.returncode == 2 and "::error title=setup-starfreight::" in done.stdout


@pytest.mark.nightly
def test_setup_installs_the_command_with_locked_libraries(tmp_path: Path) -> None:
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    given = {
        "FOR": "publish",
        "TORCH": "cpu",
        "KUBERNETES": "true",
        "SOURCE": str(source),
        "PYTHON": sys.executable,
    }
    done = run("actions/setup-starfreight/install.sh", tmp_path, **given)
    assert done.returncode == 0, done.stdout + done.stderr
    binaries = Path((tmp_path / "GITHUB_PATH").read_text().strip())
    frozen = subprocess.run([binaries / "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    pairs = [line.split("==") for line in frozen.splitlines() if "==" in line]
    installed = {canonicalize_name(name): version for name, version in pairs}
    names = ("images/packager/requirements.txt", *(f".github/actions/setup-starfreight/{each}.txt"
             for each in ("sigstore", "kubernetes")))  # fmt: skip
    text = "".join((ROOT / each).read_text() for each in names)
    pins = dict(line.split(" ")[0].split("==") for line in text.splitlines() if "==" in line)
    # No library but the locked ones; pip freeze leaves out setuptools.
    assert installed == pins and {"sigstore", "kubernetes"} <= set(pins)


# --- release and benchmarks


@pytest.mark.parametrize("tag", ["v9.9.9", "0.1", "v0.1.0;id", "v0.1", "main"])
def test_a_tag_of_another_version_is_no_release(tag: str, tmp_path: Path) -> None:
    done = run("release/version.sh", tmp_path, TAG=tag)
    assert done.returncode == 1 and "::error title=Release::" in done.stdout
    assert not (tmp_path / "GITHUB_OUTPUT").exists()


def test_a_night_is_added_to_the_history_of_benchmarks(tmp_path: Path) -> None:
    measure, history = load("benchmarks/measure.py"), load("benchmarks/history.py")
    output = "Q4_K: 900 million numbers a second, ggml 100.0; ratio of the best 9.0, median ratio 8.7\n"
    ratios = measure.read_ratios(output, measure.BENCHMARKS["kernels"][1])
    assert ratios == {"Q4_K": 8.7}
    (tmp_path / "tonight.json").write_text(json.dumps({"kernels": ratios}))
    for _ in range(2):
        script = [sys.executable, str(GITHUB / "benchmarks/history.py")]
        given = [str(tmp_path / "history"), str(tmp_path / "tonight.json"), "c" * 40]
        subprocess.run([*script, *given], check=True)
    with (tmp_path / "history/history.jsonl").open("a") as file:
        file.write("not JSON\n[]\n")
    assert len(history.read_history(tmp_path / "history/history.jsonl")) == 2
    page = (tmp_path / "history/history.md").read_text()
    assert "**Q4_K**: 8.7 on" in page and "line [8.7, 8.7]" in page
