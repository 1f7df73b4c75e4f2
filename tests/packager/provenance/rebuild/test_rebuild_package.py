"""A package's files made again from base and adapter, by what the package records."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import GateError, InputError, ServiceError
from starfreight.files import sha256_file
from starfreight.package import Package
from starfreight.packager.build import build_package as builder
from starfreight.packager.build.build_package import build_package
from starfreight.packager.provenance.rebuild.check_inputs import check_base
from starfreight.packager.provenance.rebuild.rebuild_package import RebuildRequest, Rebuilt, rebuild_package
from starfreight.packager.provenance.recorded import read_provenance
from starfreight.packager.registry.open_package import open_package
from starfreight.records import FileDigest
from starfreight.run import Calibration, Machine, Run

Make = Callable[..., Path]


def rebuild(root: Path, console: Console, **options: Any) -> Rebuilt:
    """Rebuild ``root/package`` from the run's base and adapter."""
    given = {"base": root / "base", "adapter": root / "runs" / "tiny" / "adapter", **options}
    with open_package(str(root / "package"), console) as opened:
        return rebuild_package(opened, RebuildRequest(**given), console)


def build(root: Path, console: Console, make_run: Make, **recipe: Any) -> Package:
    return build_package(make_run(root, **recipe), root / "package", None, console, skip_loss_check=True)


def calibrated(root: Path, make_imatrix: Make) -> None:
    """Give the run an importance matrix, as a recipe with ``package.imatrix`` does."""
    folder = root / "runs" / "tiny"
    path = make_imatrix(root / "base", folder / "imatrix.gguf")
    run = Run.load(folder)
    assert run.outcome is not None
    made = FileDigest(path="imatrix.gguf", digest=sha256_file(path), size=path.stat().st_size)
    blocks = run.outcome.tokens // run.recipe.training.sequence_length or 1
    outcome = run.outcome.model_copy(update={"tokens": blocks * run.recipe.training.sequence_length})
    calibration = Calibration(imatrix=made, blocks=min(1, blocks), tokens=10)
    run.model_copy(update={"calibration": calibration, "outcome": outcome}).save(folder)


GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.mark.parametrize(
    "package", [path for path in sorted((GOLDEN / "finished-packages").iterdir()) if path.is_dir()],
    ids=lambda path: path.name,
)  # fmt: skip
def test_packages_of_earlier_versions_are_rebuilt(package: Path, console: Console) -> None:
    request = RebuildRequest(
        base=GOLDEN / "inputs" / "base", adapter=GOLDEN / "finished-runs" / package.name / "adapter"
    )
    with open_package(str(package), console) as opened:
        assert rebuild_package(opened, request, console).is_identical


CARD = {"title": "Tiny  coder", "description": "Two\nlines.", "url": "https://a.example", "doi": "10.1234/x"}


@pytest.mark.parametrize(
    "recipe",
    [
        {"quantizations": ["Q8_0", "Q4_K_M", "F16"], "card": CARD, "license": "Apache-2.0"},
        {"ship": "adapter", "quantizations": ["Q8_0", "Q2_K"]},
        {"merge": {"base": "nf4_roundtrip"}, "chat_template": "{{ messages }}"},
        {"architecture": "starcoder", "tied": False},
    ],
    ids=["several-files", "adapter", "nf4-round-trip", "starcoder"],
)
@pytest.mark.parametrize("threads", [1, 3])
def test_base_and_adapter_give_the_published_bytes(
    make_run: Make, console: Console, tmp_path: Path, recipe: dict[str, Any], threads: int
) -> None:
    package = build(tmp_path, console, make_run, **recipe)
    rebuilt = rebuild(tmp_path, console, threads=threads)
    assert rebuilt.is_identical
    files = [variant.gguf.digest for variant in package.variants]
    files += [package.adapter.digest] if package.adapter else []
    assert [each.rebuilt for each in rebuilt.files] == files


def test_the_round_trip_starts_where_training_loaded_the_base(
    make_run: Make, console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path, merge={"base": "nf4_roundtrip"})
    record = Run.load(run)
    gpu = Machine(processor="x86_64", device="NVIDIA H200", threads=1)
    record.model_copy(update={"machine": gpu}).save(run)
    on_gpu = build_package(run, tmp_path / "package", None, console, skip_loss_check=True)
    assert rebuild(tmp_path, console).is_identical
    record.save(run)
    on_cpu = build_package(run, tmp_path / "other", None, console, skip_loss_check=True)
    assert on_gpu.default_variant.gguf != on_cpu.default_variant.gguf, "the dtype matters"


def test_an_importance_matrix_is_needed_checked_and_named_as_in_the_run(
    make_run: Make, make_imatrix: Make, console: Console, tmp_path: Path
) -> None:
    run = make_run(tmp_path, imatrix={"blocks": 1}, quantizations=["Q4_K_M"])
    calibrated(tmp_path, make_imatrix)
    build_package(run, tmp_path / "package", None, console, skip_loss_check=True)
    with pytest.raises(InputError, match="importance matrix, which is not given"):
        rebuild(tmp_path, console)
    moved = (run / "imatrix.gguf").rename(tmp_path / "elsewhere.dat")
    assert rebuild(tmp_path, console, imatrix=moved).is_identical
    moved.write_bytes(moved.read_bytes() + b"\0")
    with pytest.raises(GateError, match="importance matrix is not the one"):
        rebuild(tmp_path, console, imatrix=moved)


def test_a_package_without_an_importance_matrix_takes_none(
    make_run: Make, make_imatrix: Make, console: Console, tmp_path: Path
) -> None:
    build(tmp_path, console, make_run)
    with pytest.raises(InputError, match="without an importance matrix"):
        rebuild(tmp_path, console, imatrix=make_imatrix(tmp_path / "base", tmp_path / "i.gguf"))


@pytest.mark.parametrize("name", ["base/model.safetensors", "base/tokenizer.json", "base/config.json",
                                  "runs/tiny/adapter/adapter_model.safetensors",
                                  "runs/tiny/adapter/adapter_config.json"])  # fmt: skip
def test_an_input_that_changed_is_named(make_run: Make, console: Console, tmp_path: Path, name: str) -> None:
    build(tmp_path, console, make_run)
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    with pytest.raises(GateError, match=path.name.replace(".", r"\.")) as caught:
        rebuild(tmp_path, console)
    assert caught.value.where == str(path)
    path.unlink()
    with pytest.raises(GateError, match=f"it has no {path.name}"):
        rebuild(tmp_path, console)


def test_weights_that_the_statement_does_not_name_are_refused(
    make_run: Make, console: Console, tmp_path: Path
) -> None:
    build(tmp_path, console, make_run)
    (tmp_path / "base" / "model.safetensors.index.json").write_text("{}")
    with pytest.raises((GateError, InputError)):
        rebuild(tmp_path, console)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../../secret", ".", "a\0b"])
def test_a_statement_cannot_name_files_outside_the_base(
    make_run: Make, console: Console, tmp_path: Path, name: str
) -> None:
    build(tmp_path, console, make_run)
    (tmp_path / "secret").write_text("x")
    found = read_provenance(tmp_path / "package")
    first = replace(found.dependencies[0], name=f"base/{name}")
    with pytest.raises(GateError, match="outside the base model's directory"):
        check_base(tmp_path / "base", replace(found, dependencies=(first,)), console)


def test_nothing_is_written_unless_files_are_kept(
    make_run: Make, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, console, make_run)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    written = []
    opened = os.open
    monkeypatch.setattr(
        os, "open", lambda path, flags, *rest, **more: (
            written.append(str(path)) if flags & os.O_CREAT else None, opened(path, flags, *rest, **more)
        )[1],
    )  # fmt: skip
    assert rebuild(tmp_path, console).is_identical
    assert written == [] and list(scratch.iterdir()) == []
    monkeypatch.undo()
    kept = rebuild(tmp_path, console, out=tmp_path / "kept")
    assert [path.name for path in sorted((tmp_path / "kept").iterdir())] == ["tiny-Q8_0.gguf"]
    assert sha256_file(tmp_path / "kept" / "tiny-Q8_0.gguf") == kept.files[0].published


def test_a_disk_without_room_is_refused_before_the_press(
    make_run: Make, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, console, make_run)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(ServiceError, match="10 B free"):
        rebuild(tmp_path, console, out=tmp_path / "kept")


def test_one_file_can_be_chosen(make_run: Make, console: Console, tmp_path: Path) -> None:
    build(tmp_path, console, make_run, quantizations=["Q8_0", "F16"])
    assert [each.name for each in rebuild(tmp_path, console, quantizations=("f16",)).files] == [
        "tiny-F16.gguf"
    ]
    with pytest.raises(InputError, match="no Q4_K_M"):
        rebuild(tmp_path, console, quantizations=("q4_k_m",))


def test_a_damaged_package_is_not_rebuilt(make_run: Make, console: Console, tmp_path: Path) -> None:
    package = build(tmp_path, console, make_run)
    blob = tmp_path / "package/blobs/sha256" / package.default_variant.gguf.digest.removeprefix("sha256:")
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    with pytest.raises(GateError):
        rebuild(tmp_path, console)


@pytest.fixture
def dishonest(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[bytearray], None]], None]:
    """Makes builds publish other files than the press made, with digests and statement to match."""

    def change(how: Callable[[bytearray], None]) -> None:
        press = builder.press

        def pressed(*arguments: Any) -> Any:
            made = []
            for file in press(*arguments):
                data = bytearray(file.path.read_bytes())
                how(data)
                file.path.write_bytes(data)
                made.append(replace(file, digest=sha256_file(file.path)))
            return tuple(made)

        monkeypatch.setattr(builder, "press", pressed)

    return change


def test_a_file_made_otherwise_is_found_with_its_first_tensor(
    make_run: Make, console: Console, tmp_path: Path, dishonest: Any
) -> None:
    def nudge(data: bytearray) -> None:
        data[-100] ^= 0x10

    dishonest(nudge)
    package = build(tmp_path, console, make_run)
    (file,) = rebuild(tmp_path, console).files
    assert not file.is_identical and file.published == package.default_variant.gguf.digest
    found = file.difference
    assert found is not None and found.part == "tensor" and found.keys_differing == 0
    assert found.offset == package.default_variant.gguf.size - 100
    assert found.tensors_differing == 1 and found.tensors == (found.name,)
    assert found.weights_differing == 1 and found.largest is not None and found.largest > 0


def test_another_key_is_found_with_both_values(
    make_run: Make, console: Console, tmp_path: Path, dishonest: Any
) -> None:
    def rename(data: bytearray) -> None:
        place = data.index(b"BSD") if b"BSD" in data else data.index(b"fill-in-the-middle")
        data[place : place + 3] = b"XXX"

    dishonest(rename)
    build(tmp_path, console, make_run)
    rebuilt = rebuild(tmp_path, console)
    found = rebuilt.files[0].difference
    assert found is not None and (found.part, found.name) == ("key", "general.tags")
    assert found.tensors_differing == 0
    assert "general.tags" in "\n".join(rebuilt.as_lines())


def test_other_versions_are_named_as_the_likely_cause(
    make_run: Make, console: Console, tmp_path: Path, dishonest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nudge(data: bytearray) -> None:
        data[-100] ^= 0x10

    dishonest(nudge)
    build(tmp_path, console, make_run)
    assert "have the same versions here" in rebuild(tmp_path, console).as_lines()[-1]
    monkeypatch.setattr("starfreight.packager.provenance.rebuild.tool_versions.__version__", "99.0")
    last = rebuild(tmp_path, console).as_lines()[-1]
    assert last.startswith("Likely cause: other versions of tools (starfreight ") and "99.0 here" in last


def test_training_on_a_gpu_is_not_repeated_unless_forced(
    make_run: Make, console: Console, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path)
    gpu = Machine(processor="x86_64", device="NVIDIA H200", threads=1)
    Run.load(run).model_copy(update={"machine": gpu}).save(run)
    build_package(run, tmp_path / "package", None, console, skip_loss_check=True)
    arguments = ["package", "rebuild", str(tmp_path / "package"), "--train"]
    empty = ["--recipe-folder", str(tmp_path / "runs")]
    assert main([*arguments, *empty]) == 2
    said = capsys.readouterr().err
    assert "trained on NVIDIA H200" in said and "--force" in said
    assert main([*arguments, *empty, "--force"]) == 2
    assert "./base" in capsys.readouterr().err, "forced, it goes on to look for the inputs"


def test_the_command_exits_with_3_and_tells_where(
    make_run: Make, console: Console, tmp_path: Path, dishonest: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    build(tmp_path, console, make_run)
    run = str(tmp_path / "runs" / "tiny")
    assert main(["package", "rebuild", str(tmp_path / "package"), "--run", run]) == 0
    assert "tiny-Q8_0.gguf  bit-identical" in capsys.readouterr().out

    def nudge(data: bytearray) -> None:
        data[-100] ^= 0x10

    dishonest(nudge)
    build_package(Path(run), tmp_path / "forged", None, console, skip_loss_check=True)
    capsys.readouterr()
    assert main(["package", "rebuild", str(tmp_path / "forged"), "--run", run, "--json"]) == 3
    (file,) = json.loads(capsys.readouterr().out)["files"]
    assert file["identical"] is False and file["difference"]["part"] == "tensor"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ([], 2, "exactly one of --adapter, --run and --train"),
        (["--run", "RUN", "--train"], 2, "exactly one of"),
        (["--run", "RUN", "--force"], 2, "--force has no effect"),
        (["--train", "--imatrix", "x"], 2, "--imatrix has no effect"),
        (["--adapter", "RUN/adapter", "--recipe-folder", "RUN"], 2, "with --base"),
        (["--adapter", "RUN", "--base", "BASE"], 2, "but holds one"),
        (["--run", "BASE"], 2, "run does not exist"),
        (["--run", "RUN", "--quantize", "Q9"], 2, "Q9"),
    ],
)
def test_contradicting_or_missing_options_are_refused(
    make_run: Make, console: Console, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    options: list[str], code: int, said: str,
) -> None:  # fmt: skip
    build(tmp_path, console, make_run)
    places = {"RUN": str(tmp_path / "runs" / "tiny"), "BASE": str(tmp_path / "base")}
    given = [option.replace("RUN", places["RUN"]).replace("BASE", places["BASE"]) for option in options]
    assert main(["package", "rebuild", str(tmp_path / "package"), *given]) == code
    assert said in capsys.readouterr().err
