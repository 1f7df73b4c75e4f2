"""Reference models: pressed once into the user's cache, keyed by their inputs, checked before use."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import GateError, InputError, ServiceError
from starfreight.files import sha256_file
from starfreight.package import Package
from starfreight.packager.build.build_package import build_package
from starfreight.packager.evaluation import references
from starfreight.packager.evaluation.references import reference_model


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "starfreight" / "references"


@pytest.fixture
def built(
    make_run: Callable[..., Path], tmp_path: Path, console: Console
) -> Callable[..., tuple[Path, Path]]:
    """A run and its package."""

    def make(**package: Any) -> tuple[Path, Path]:
        run = make_run(tmp_path, **package)
        build_package(run, tmp_path / "packages" / "p", None, console, skip_loss_check=True)
        return run, tmp_path / "packages" / "p"

    return make


def test_a_reference_model_is_pressed_once(
    built: Callable[..., tuple[Path, Path]], cache: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, package = built()
    made = {
        (quantization, tuned): reference_model(run, package, quantization, tuned=tuned, console=console)
        for quantization, tuned in (("F16", True), ("F16", False), ("Q8_0", False))
    }
    assert len({sha256_file(path) for path in made.values()}) == 3
    assert all(path.is_relative_to(cache) for path in made.values())
    # The tuned model in a quantization of the package is the package's file.
    own = reference_model(run, package, "q8_0", tuned=True, console=console)
    assert sha256_file(own) == Package.load(package).variants[0].gguf.digest

    def no_press(*arguments: Any) -> Any:
        raise AssertionError("pressed again")

    monkeypatch.setattr(references, "press", no_press)
    for (quantization, tuned), path in made.items():
        assert reference_model(run, package, quantization, tuned=tuned, console=console) == path


def test_a_damaged_reference_model_is_made_again(
    built: Callable[..., tuple[Path, Path]], cache: Path, console: Console
) -> None:
    run, package = built()
    path = reference_model(run, package, "F16", tuned=True, console=console)
    digest = sha256_file(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert sha256_file(reference_model(run, package, "F16", tuned=True, console=console)) == digest
    path.with_name("reference.json").write_text("{}")
    assert sha256_file(reference_model(run, package, "F16", tuned=True, console=console)) == digest


def test_beside_an_adapter_the_base_is_the_packages_own_file(
    built: Callable[..., tuple[Path, Path]], cache: Path, console: Console
) -> None:
    run, package = built(ship="adapter")
    path = reference_model(run, package, "Q8_0", tuned=False, console=console)
    assert sha256_file(path) == Package.load(package).variants[0].gguf.digest
    assert not cache.exists()


def test_another_run_or_none_is_refused(
    built: Callable[..., tuple[Path, Path]], cache: Path, console: Console, tmp_path: Path
) -> None:
    run, package = built()
    lost = shutil.copytree(package, tmp_path / "elsewhere" / "packages" / "p")
    with pytest.raises(InputError, match="the run of the package is not here"):
        reference_model(None, lost, "F16", tuned=True, console=console)
    with pytest.raises(InputError, match="cannot be found without the package's run"):
        reference_model(None, lost, "F16", tuned=False, console=console)
    record = run / "run.json"
    record.write_text(record.read_text().replace('"tiny-0123456789"', '"tiny-9999999999"'))
    with pytest.raises(InputError, match=r"The run is tiny-9999999999; the package was built from tiny-0123"):
        reference_model(run, package, "F16", tuned=True, console=console)


def test_a_changed_base_or_adapter_is_refused(
    built: Callable[..., tuple[Path, Path]], cache: Path, console: Console
) -> None:
    run, package = built()
    (run.parent.parent / "base" / "config.json").write_text("{}")
    with pytest.raises(GateError, match="not the one the adapter was trained on"):
        reference_model(run, package, "F16", tuned=False, console=console)
    (run / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError, match="adapter is not the run's"):
        reference_model(run, package, "F16", tuned=True, console=console)
    assert not any(path.suffix == ".gguf" for path in cache.rglob("*"))


def test_too_little_space_is_known_before_pressing(
    built: Callable[..., tuple[Path, Path]], cache: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, package = built()
    monkeypatch.setattr(references.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 1))  # type: ignore[attr-defined]
    with pytest.raises(ServiceError, match=r"The reference model needs .* are free"):
        reference_model(run, package, "F16", tuned=True, console=console)
