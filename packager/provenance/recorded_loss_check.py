"""Read the comparison of a file with training from a package's provenance statement."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from starfreight.errors import GateError
from starfreight.package import Package
from starfreight.packager.loss_check import VERDICTS
from starfreight.packager.provenance.statement import LOSS_CHECK_KEY
from starfreight.strict_json import strict_loads


def recorded_loss_check(folder: Path, package: Package) -> Mapping[str, Any] | None:
    """The result in a package's statement, unverified.

    Returns:
        As :meth:`starfreight.packager.loss_check.LossCheck.as_dict`; ``None`` without one, as in packages of
        earlier versions, or if the statement cannot be read.
    """
    from starfreight.image_layout.reader import ImageLayout
    from starfreight.packager.provenance.recorded import statement_limit

    try:
        statement = strict_loads(ImageLayout(folder).read(package.provenance, statement_limit(package)))
        found = statement["predicate"]["runDetails"][LOSS_CHECK_KEY]
    except (GateError, ValueError, LookupError, TypeError, OSError):
        return None
    return found if isinstance(found, dict) and found.get("verdict") in VERDICTS else None


def loss_check_problem(found: Any, files: Collection[str]) -> str | None:
    """The contradiction in a statement's result; ``None`` if it is sound.

    Args:
        found: the result.
        files: names of the package's GGUF files.

    Returns:
        Completion of the sentence "The provenance statement ...".
    """
    if not isinstance(found, dict) or found.get("verdict") not in VERDICTS:
        return "has an unknown result of the comparison with training"
    if "file" in found and found["file"] not in list(files):  # It may be any JSON.
        return "names another file as compared with training than the package's"
    return None
