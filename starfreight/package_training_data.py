"""Read the training data of a package: its data manifest and the lists beside it.

data = read_training_data(folder)
for number, source in enumerate(data.sources):
for entry in data.kept(number):
print(source.source, entry.path, entry.license)
"""

from __future__ import annotations

from pathlib import Path

from starfreight.data_manifest import DataManifest
from starfreight.errors import GateError, InputError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package


def read_training_data(
    folder: Path, package: Package | None = None, *, verified: bool = False
) -> DataManifest | None:
    """The data manifest in a package, verified with its lists; entries stay on disk.

    Args:
        folder: the package's directory.
        package: its record, if it is loaded.
        verified: true if the package was verified, to read less; see :meth:`DataManifest.load`.

    Returns:
        ``None`` if the package has none: the recipe kept it out, or an earlier version built it.

    Raises:
        InputError: no package there.
        GateError: the manifest or a list is missing or damaged.
    """
    package = package or Package.load(folder)
    files = package.training_data
    if files is None:
        return None
    layout = ImageLayout(folder)
    for each in (files.manifest, *(entry.file for entry in files.lists)):
        with layout.open(each):
            pass
    places = {each.path: layout.blob_path(each.file.digest) for each in files.lists}
    try:
        return DataManifest.load(layout.blob_path(files.manifest.digest), places, verified=verified)
    except InputError as error:
        raise GateError(error.what, where=error.where, fix="get the package again from its source") from error
