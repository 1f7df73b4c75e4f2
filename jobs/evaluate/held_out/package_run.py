"""The run that a package was made from."""

from __future__ import annotations

from pathlib import Path

from starfreight.errors import StarfreightError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.run import DATA_MANIFEST, RUN_FILE, Run
from starfreight.strict_json import strict_loads

_STATEMENT_LIMIT = 1 << 30


def run_of_package(package: Path, runs: Path | None = None) -> Path | None:
    """The directory of a package's run, if it is there with the data that the package's provenance names.

    Args:
        package: the package's directory.
        runs: the directory of runs; ``None`` for ``runs/`` beside the directory of packages.

    Raises:
        InputError: not a package.
        GateError: the package is damaged.
    """
    record = Package.load(package)
    if record.run != Path(record.run).name or record.run in ("", "..", "."):
        return None  # A package of others is not to choose a path.
    absolute = package.resolve()
    home = runs if runs is not None else absolute.parent.parent / "runs"
    # On the volume of a cluster, packages/ is among the runs.
    beside = () if runs is not None else (absolute.parent.parent / record.run,)
    for folder in dict.fromkeys((home / absolute.name, home / record.run, *beside)):
        try:
            found = Run.load(folder) if (folder / RUN_FILE).is_file() else None
        except StarfreightError:
            continue
        if found is not None and found.id == record.run:
            statement = ImageLayout(package).read(record.provenance, _STATEMENT_LIMIT)
            return folder if found.data_manifest.digest == _data_manifest(statement) else None
    return None


def _data_manifest(statement: bytes) -> str | None:
    """The digest of the data manifest in a provenance statement."""
    try:
        inputs = strict_loads(statement)["predicate"]["buildDefinition"]["resolvedDependencies"]
        found = [each["digest"]["sha256"] for each in inputs if each["name"] == DATA_MANIFEST]
    except (ValueError, LookupError, TypeError):
        return None
    return f"sha256:{found[0]}" if len(found) == 1 else None
