"""A base whose weights stay at the hub: the same package, byte for byte, and no use of a hub that cheats."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import COMMIT, TOKEN, HubServer

from starfreight.console import Console
from starfreight.files import sha256_file
from starfreight.packager.build.build_package import build_package
from starfreight.recipe import recipe_digest
from starfreight.run import INPUTS_FILE, Run

ROOT = Path(__file__).parents[3]
BASE = f"acme/base@{COMMIT}"
Starfreight = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def environment(hub: HubServer, tmp_path: Path) -> dict[str, str]:
    """The hub's client reads its settings when it is imported, so the commands run in processes."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    return kept | {
        "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": TOKEN, "NO_PROXY": "*",
        "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip


@pytest.fixture
def starfreight(environment: dict[str, str], tmp_path: Path) -> Starfreight:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "starfreight", *map(str, arguments)],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    return run


def from_the_hub(run: Path, hub: HubServer) -> None:
    """Rewrites the record of a run as if its base came from the hub to another machine."""
    hub.models["acme/base"] = run.parents[1] / "base"
    record = Run.load(run)
    base = record.recipe.base.model_copy(update={"model": "acme/base", "revision": COMMIT})
    recipe = record.recipe.model_copy(update={"base": base})
    used = record.base.model_copy(update={"model": "acme/base", "revision": COMMIT})
    changed = {"recipe": recipe, "recipe_digest": recipe_digest(recipe), "base": used}
    record.model_copy(update=changed).save(run)
    (run / INPUTS_FILE).unlink()


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_package_from_a_streamed_base_is_the_same_byte_for_byte(
    make_run: Callable[..., Path], starfreight: Starfreight, hub: HubServer, console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path, quantizations=["Q8_0", "Q4_K_M"], merge={"base": "nf4_roundtrip"})
    from_the_hub(run, hub)
    build_package(run, tmp_path / "local", tmp_path / "base", console)
    built = starfreight("package", "build", run, "--stream-base", "--out", tmp_path / "streamed")
    assert built.returncode == 0, built.stderr
    assert "are read at their source" in built.stderr
    assert digests(tmp_path / "streamed") == digests(tmp_path / "local")
    rebuilt = starfreight("package", "rebuild", tmp_path / "streamed", "--run", run, "--stream-base")
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert "base and adapter give the published bytes" in rebuilt.stdout
    # Nothing but small files has reached the disk, and the token has reached the hub alone.
    assert hub.ranges
    assert all(asked for asked, _ in hub.ranges)
    assert {authorization for _, authorization in hub.ranges} == {None}
    assert not list((tmp_path / "hf").rglob("*.safetensors"))
    downloaded = starfreight(
        "package", "press", BASE, "--no-stream-base", "--quantize", "F16", "--out", "f16"
    )
    assert downloaded.returncode == 0, downloaded.stderr
    assert list((tmp_path / "hf").rglob("*.safetensors"))
    # The weights are in the cache now, so they are not requested again.
    next((tmp_path / "hf").rglob("LICENSE")).unlink()
    del hub.ranges[:]
    cached = starfreight("package", "press", BASE, "--stream-base", "--quantize", "F16", "--out", "again")
    assert cached.returncode == 0, cached.stderr
    assert not hub.ranges
    assert digests(tmp_path / "again") == digests(tmp_path / "f16")
    assert list(digests(tmp_path / "f16")) == ["base-F16.gguf"]


def test_other_weights_than_the_recorded_ones_are_refused(
    make_run: Callable[..., Path], starfreight: Starfreight, hub: HubServer, tmp_path: Path
) -> None:
    run = make_run(tmp_path)
    from_the_hub(run, hub)
    weights = tmp_path / "base" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    built = starfreight("package", "build", run, "--stream-base", "--out", tmp_path / "p")
    assert built.returncode == 3
    assert "is not the one the adapter was trained on" in built.stderr
    assert not (tmp_path / "p").exists()
    # Without a run's record, the hub's own digest counts.
    hub.digests[weights] = "0" * 64
    pressed = starfreight("package", "press", BASE, "--stream-base", "--quantize", "Q8_0", "--out", "out")
    assert pressed.returncode == 3
    assert "The server sent bytes with the digest sha256:" in pressed.stderr
    assert not list(tmp_path.glob("out/*.gguf"))


def test_an_interrupt_ends_a_press_that_waits_for_the_hub(
    make_checkpoint: Callable[..., Path], environment: dict[str, str], hub: HubServer, tmp_path: Path
) -> None:
    base = hub.models["acme/base"] = make_checkpoint(tmp_path / "base", hidden=256, ffn=1024)
    blocks = -(-(base / "model.safetensors").stat().st_size >> 16)
    leave = threading.Event()

    def stall(handler: object, path: Path, start: int, stop: int) -> bool:
        if len(hub.ranges) > blocks + 10:  # The file is checked; the press has begun.
            leave.wait(60)
        return False

    hub.spoil = stall
    small = "from starfreight.remote_weights import block_reader as b; b.BLOCK = 1 << 16; b.HELD = 9"
    program = f"{small}; from starfreight.cli import entry; entry()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "package", "press", BASE, "--stream-base",
         "--quantize", "Q8_0", "--out", "out"],
        env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while len(hub.ranges) <= blocks + 12 and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=30)[1]
        assert time.monotonic() - began < 10
        assert process.returncode == 130, error
        assert "Traceback" not in error
        assert not list((tmp_path / "out").glob("*"))
    finally:
        leave.set()
        process.kill()
