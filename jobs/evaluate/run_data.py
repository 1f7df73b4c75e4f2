"""The data of a finished run, found again in their sources.

    data = RunData.open(Path("runs/acme-coder-0123456789"))
    for sample, held_out in data.samples(0):
        ...

The manifest names files and records by their digests. Sources may have changed since: only samples with the
name and digest of an entry are read. Memory grows by eight bytes for each entry.
"""

from __future__ import annotations

import array
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.data_manifest import DataManifest
from starfreight.errors import InputError
from starfreight.files import sha256_file
from starfreight.jobs.data.sources import naming_source, open_source
from starfreight.jobs.data.sources.interface import Sample, Unusable
from starfreight.run import DATA_MANIFEST, INPUTS_FILE, Inputs, Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class RunData:
    """The data of a run.

    Attributes:
        run: its record.
        manifest: of its data, with the digest in the record.
        paths: where each source is on this machine; ``None`` for one that is not.
    """

    run: Run
    manifest: DataManifest
    paths: tuple[Path | None, ...]

    @classmethod
    def open(cls, folder: Path) -> RunData:
        """Reads a run's directory.

        Raises:
            InputError: not a run, or its data manifest is missing, changed, or of an earlier release.
        """
        run = Run.load(folder)
        path = folder / DATA_MANIFEST
        if not path.is_file() or sha256_file(path) != run.data_manifest.digest:
            raise InputError(
                "The data manifest has changed since the run was prepared."
                if path.is_file()
                else "The run has no data manifest.",
                where=str(path),
                fix="restore it, or name other files with --held-out DIR",
            )
        manifest = DataManifest.load(path)
        if len(manifest.sources) != len(run.recipe.data):
            raise InputError(
                "The data manifest does not have the sources of the run's recipe.",
                where=str(path),
                fix="restore the directory of the run, or name other files with --held-out DIR",
            )
        given = Inputs.load(folder).data if (folder / INPUTS_FILE).exists() else ()
        paths = [
            Path(given[number]) if number < len(given) else None for number in range(len(manifest.sources))
        ]
        return cls(
            run, manifest, tuple(path if path is not None and path.exists() else None for path in paths)
        )

    def samples(self, source: int) -> Iterator[tuple[Sample, bool]]:
        """Yield the samples of a source that are in the manifest, unchanged; true if one is held out.

        Raises:
            InputError: the source cannot be read.
        """
        path = self.paths[source]
        if path is None:
            return
        kept, held_out = self._entries(source)
        with naming_source(source):
            for found in open_source(self.run.recipe.data[source], path).samples():
                if isinstance(found, Unusable):
                    continue
                key = _key(found.name, found.digest)
                if _contains(held_out, key):
                    yield found, True
                elif _contains(kept, key):
                    yield found, False

    def _entries(self, source: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Sorted keys of the entries for training, and of those held out."""
        import numpy as np

        keys = {"train": array.array("Q"), "held_out": array.array("Q")}
        for entry in self.manifest.kept(source):
            if entry.split in keys:
                keys[entry.split].append(_key(entry.path, entry.digest))
        train, held_out = (np.sort(np.frombuffer(each, np.uint64)) for each in keys.values())
        return train, held_out


def _key(name: str, digest: str) -> int:
    text = f"{name}\0{digest}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def _contains(keys: NDArray[np.uint64], key: int) -> bool:
    import numpy as np

    place = int(np.searchsorted(keys, np.uint64(key)))
    return place < len(keys) and int(keys[place]) == key
