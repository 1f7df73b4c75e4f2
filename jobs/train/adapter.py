"""The adapter in a run directory: two world-readable files, free of paths of this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starfreight.directories import delete, move
from starfreight.files import PARTIAL_PREFIX, disk_errors, sha256_file, write_bytes
from starfreight.records import FileDigest
from starfreight.run import ADAPTER_FOLDER

_WEIGHTS = "adapter_model.safetensors"
_CONFIG = "adapter_config.json"


def save_adapter(model: Any, run: Path, base_name: str) -> tuple[FileDigest, ...]:
    """Write ``adapter/`` into a run directory, atomically.

    Args:
        model: the PEFT model.
        run: the run directory.
        base_name: the base model's public name.

    Returns:
        The two files with their digests.
    """
    folder = run / ADAPTER_FOLDER
    partial = run / (PARTIAL_PREFIX + ADAPTER_FOLDER)
    with disk_errors(folder):
        delete(partial, below=run)
        partial.mkdir()  # PEFT would accept a link in its place.
        model.save_pretrained(partial)
        config = json.loads((partial / _CONFIG).read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = base_name
        # PEFT writes a set: its order differs between processes.
        config["target_modules"] = sorted(config["target_modules"])
        write_bytes(partial / _CONFIG, json.dumps(config, indent=2, sort_keys=True).encode() + b"\n", run)
        (partial / "README.md").unlink(missing_ok=True)
        # safetensors writes mode 0600, which locks out other users of a shared volume.
        (partial / _WEIGHTS).chmod(0o644)
        delete(folder, below=run)
        move(partial, folder, below=run)
    return tuple(
        FileDigest(
            path=f"{ADAPTER_FOLDER}/{name}",
            digest=sha256_file(folder / name),
            size=(folder / name).stat().st_size,
        )
        for name in (_CONFIG, _WEIGHTS)
    )


def load_adapter(model: Any, folder: Path) -> None:
    """Load saved weights into the adapter of a model.

    Args:
        model: the PEFT model, of the same base and settings.
        folder: directory of a complete adapter: a run's, a checkpoint, or the best one so far.
    """
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    set_peft_model_state_dict(model, load_file(folder / _WEIGHTS))
