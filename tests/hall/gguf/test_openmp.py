"""llama.cpp loads on a system without OpenMP, as a small Debian is."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from starfreight.errors import InputError
from starfreight.gguf import openmp
from starfreight.gguf.local_model import llama_cpp
from starfreight.gguf.openmp import LIBRARY, load_openmp


def _torchs_library() -> Path:
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        pytest.skip("torch is not installed")
    return Path(found.origin).parent / "lib" / LIBRARY


class _System:
    """What loading a library does where none of this name is installed."""

    def __init__(self, works: Sequence[Path] = ()) -> None:
        self.tried: list[str] = []
        self._works = [str(path) for path in works]

    def load(self, name: str) -> None:
        self.tried.append(name)
        if name not in self._works:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")


def test_without_the_systems_library_torchs_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = _torchs_library()
    system = _System([shipped])
    monkeypatch.setattr(openmp.ctypes, "CDLL", system.load)
    load_openmp()
    assert system.tried == [LIBRARY, str(shipped)]


def test_torchs_library_answers_to_the_name_that_llama_cpp_asks_for() -> None:
    shipped = _torchs_library()
    if not shipped.exists():
        pytest.skip("this build of torch has none of that name")
    # A name alone is looked up among the loaded libraries first; their place shows which one is taken.
    look = (
        f"import ctypes; ctypes.CDLL({str(shipped)!r}); ctypes.CDLL({LIBRARY!r}); "
        "print({line.split()[-1] for line in open('/proc/self/maps') if 'gomp' in line})"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr({str(shipped.resolve())})


def test_nothing_is_loaded_from_torch_if_the_system_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    system = _System([Path(LIBRARY)])
    monkeypatch.setattr(openmp.ctypes, "CDLL", system.load)
    load_openmp()
    assert system.tried == [LIBRARY]


def test_a_missing_system_library_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xllamacpp.py").write_text(
        f"raise ImportError('{LIBRARY}: cannot open shared object file: No such file or directory')"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "xllamacpp", raising=False)
    with pytest.raises(InputError) as caught:
        llama_cpp()
    assert "llama.cpp cannot be loaded: libgomp.so.1" in caught.value.what
    assert "apt install libgomp1" in (caught.value.fix or "")
