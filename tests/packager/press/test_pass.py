"""What must hold of the pass: the same bytes always, whole files or none, and keys that say what it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from packager.press import ModelIdentity, Origin, PressRequest, Quantization, predict_size, press
from starfreight.checkpoint import open_checkpoint
from starfreight.console import Console
from starfreight.errors import RecipeError
from starfreight.files import sha256_file

PRESS = """
import json, sys
from pathlib import Path
from packager.press import PressRequest, press
from starfreight.console import Console
from starfreight.errors import StarfreightError
base, out, limit = sys.argv[1:]
if limit != "0":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    request = PressRequest(Path(base), None, ("Q4_K_M", "F32"), Path(out), "m", threads=1)
    print(json.dumps([file.digest for file in press(request, Console(quiet=True))]))
except StarfreightError as error:
    print(json.dumps(error.as_dict()))
    sys.exit(error.exit_code)
"""


def start(base: Path, out: Path, limit: int = 0) -> subprocess.Popen[str]:
    """The press in a process of its own; ``limit`` is the largest file it may write, in bytes."""
    return subprocess.Popen(
        [sys.executable, "-c", PRESS, str(base), str(out), str(limit)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )


def test_any_number_of_threads_gives_the_same_bytes(
    make_checkpoint: Callable[..., Path], make_adapter: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base", vocab_size=5000, shards=3)
    adapter = make_adapter(tmp_path / "adapter", {"model.layers.0.mlp.c_fc.weight": (512, 256)})
    quantizations = tuple(Quantization)
    digests = []
    for threads in (1, 2, 7):
        request = PressRequest(
            base, adapter, quantizations, tmp_path / f"out-{threads}", "m", threads=threads
        )
        digests.append([file.digest for file in press(request, console)])
    assert digests[0] == digests[1] == digests[2]
    assert len(set(digests[0])) == len(quantizations)


def test_sharded_and_whole_checkpoints_give_the_same_bytes(
    make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    digests = {
        press(
            PressRequest(
                make_checkpoint(tmp_path / str(shards), shards=shards), None, ("Q8_0",), tmp_path, "m"
            ),
            console,
        )[0].digest
        for shards in (1, 4)
    }
    assert len(digests) == 1


def test_what_is_reported_is_what_lies_there(
    make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base")
    files = press(PressRequest(base, None, ("q4_K_M", "F16", "Q4_K_M"), tmp_path / "out", "mine"), console)
    assert [file.path.name for file in files] == ["mine-Q4_K_M.gguf", "mine-F16.gguf"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["mine-F16.gguf", "mine-Q4_K_M.gguf"]
    for file in files:
        assert file.digest == sha256_file(file.path)
        assert file.size == file.path.stat().st_size
        assert file.parameters == open_checkpoint(base).shape.parameters
    assert [file.file_type for file in files] == [15, 1]


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_the_predicted_size_is_that_of_the_file_less_its_header(
    architecture: str, make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base", architecture, tied=False, hidden=96)
    shape = open_checkpoint(base).shape
    for file in press(PressRequest(base, None, tuple(Quantization), tmp_path / "out", "m"), console):
        assert 0 <= predict_size(shape, file.quantization) - file.size < 20_000


def test_the_size_of_starcoder2_3b_follows_from_its_shape() -> None:
    from starfreight.checkpoint import ModelShape

    shape = ModelShape("starcoder2", 30, 3072, 12288, 24, 2, 49152, 16384, 1e-5, 999999.44, True, "BF16")
    assert shape.parameters == 3_030_371_328
    assert 0 < predict_size(shape, "F32") - 4 * shape.parameters < 4_000_000
    # 34 bytes for 32 weights, but for norms and biases.
    assert 0 < predict_size(shape, "q8_0") - shape.parameters * 34 // 32 < 10_000_000


def test_the_file_says_what_it_is_and_where_it_comes_from(
    make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    from gguf import GGUFReader

    identity = ModelIdentity(
        name="Mine",
        version="1.2",
        license="bigcode-openrail-m",
        license_link="https://example.org/license",
        base_models=(
            Origin("starcoder2-3b", "bigcode", "abc123", repo_url="https://huggingface.co/bigcode/x"),
        ),
        datasets=(Origin("our code", version="sha256:00"), Origin("more")),
        languages=("en",),
    )
    base = make_checkpoint(tmp_path / "base", layers=1)
    (file,) = press(PressRequest(base, None, ("F16",), tmp_path / "out", "m", identity), console)
    fields = GGUFReader(file.path).fields
    found = {key: field.contents() for key, field in fields.items() if key.startswith("general.")}
    assert found == {
        "general.architecture": "starcoder2",
        "general.type": "model",
        "general.name": "Mine",
        "general.version": "1.2",
        "general.size_label": found["general.size_label"],
        "general.license": "bigcode-openrail-m",
        "general.license.link": "https://example.org/license",
        "general.base_model.count": 1,
        "general.base_model.0.name": "starcoder2-3b",
        "general.base_model.0.version": "abc123",
        "general.base_model.0.organization": "bigcode",
        "general.base_model.0.repo_url": "https://huggingface.co/bigcode/x",
        "general.dataset.count": 2,
        "general.dataset.0.name": "our code",
        "general.dataset.0.version": "sha256:00",
        "general.dataset.1.name": "more",
        "general.languages": ["en"],
        "general.quantization_version": 2,
        "general.file_type": 1,
    }


def test_killed_in_the_middle_it_leaves_no_file_under_a_final_name(
    make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base", vocab_size=16_000, ffn=2048, layers=4)
    out = tmp_path / "out"
    process = start(base, out)
    while process.poll() is None and not any(
        path.stat().st_size > 2_000_000 for path in out.glob(".partial-*")
    ):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert out.exists()
    assert not list(out.glob("*.gguf"))
    again, fresh = start(base, out), start(base, tmp_path / "fresh")
    assert json.loads(again.communicate()[0]) == json.loads(fresh.communicate()[0])


def test_interrupted_it_cleans_up(make_checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    base = make_checkpoint(tmp_path / "base", vocab_size=16_000, ffn=2048, layers=4)
    out = tmp_path / "out"
    process = start(base, out)
    while process.poll() is None and not any(
        path.stat().st_size > 2_000_000 for path in out.glob(".partial-*")
    ):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    assert list(out.iterdir()) == []


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    process = start(make_checkpoint(tmp_path / "base"), tmp_path / "out", limit=600_000)
    error = json.loads(process.communicate()[0])
    assert process.returncode == 4
    assert error["kind"] == "ServiceError"
    assert "no room left" in error["what"]
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"quantizations": ()},
        {"quantizations": ("Q4_K_XL",)},
        {"name": "../outside"},
        {"name": ""},
        {"threads": 0},
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    change: Mapping[str, object], make_checkpoint: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    values: dict[str, object] = {
        "base": make_checkpoint(tmp_path / "base", layers=1, hidden=64, ffn=64),
        "adapter": None,
        "quantizations": ("Q8_0",),
        "out": tmp_path / "out",
        "name": "m",
    }
    with pytest.raises(RecipeError):
        press(PressRequest(**(values | change)), console)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
