"""Version 1 of a recipe's identity: all keys of that time, defaults included.

Early runs, packages and cluster jobs have digests of it and are found by them. Nothing new gets one. **The
table of keys never changes:** keys added later are not in these digests. ``tests/golden/identities.json``
pins them.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from starfreight.recipe.models import Recipe

_KEYS = {
    "": "version name base data training package publish run sweep",
    "base": "model revision license",
    "data": (
        "source format revision split license repositories columns weight include exclude held_out fim "
        "repository filters"
    ),
    "data.columns": "content path repository license",
    "data.fim": "rate spm_rate line_rate node_rate",
    "data.repository": "metadata_rate fim_rate file_fim_rate",
    "data.filters": (
        "licenses exact_duplicates near_duplicates secrets personal_data generated minified vendored "
        "evaluation_sets opt_out"
    ),
    "training": (
        "method rank alpha dropout target_modules sequence_length batch_size gradient_accumulation steps "
        "epochs learning_rate schedule warmup weight_decay max_gradient_norm gradient_checkpointing seed "
        "checkpoint_every checkpoints_kept evaluate_every keep early_stopping evaluation_blocks "
        "evaluation_completions"
    ),
    "package": (
        "quantizations default template parameters system license license_files ship merge imatrix card"
    ),
    "package.merge": "base",
    "package.imatrix": "blocks",
    "package.card": "title description intended_use limitations authors contact url repository doi",
    "publish": "reference insecure",
    "run": (
        "where image gpus memory network keep_container gpu_memory time_limit processes threads kubernetes"
    ),
    "run.kubernetes": (
        "namespace queue service_account until nodes engine gpu_resource node_selector tolerations "
        "priority_class image_pull_secrets runs_claim data_claim data_path oci_data pull_secret push_secret "
        "parallelism retries cpus shared_memory ephemeral_storage checkpoint_grace keep_finished"
    ),
    "run.kubernetes.tolerations": "key operator value effect",
}
"""The keys of that time by section. Other values are included whole, such as mappings with a user's keys."""


def identity_v1(
    recipe: Recipe, *, only: Set[str] | None = None, without: Set[str] = frozenset()
) -> dict[str, Any] | None:
    """The keys of version 1 with their values, as plain data.

    Args:
        recipe: the recipe or one variant of it.
        only: the sections to include; all when ``None``.
        without: sections to leave out.

    Returns:
        ``None`` if the recipe sets a later key to a value other than its default, or is of a later version.
        No run with an identity of version 1 did the same work.
    """
    include, exclude = None if only is None else {*only}, {*without}
    recipe = recipe.without_evaluation()
    given = recipe.model_dump(mode="json", exclude_defaults=True, include=include, exclude=exclude)
    if recipe.version != 1 or not _is_known(given, ""):
        return None
    whole = recipe.model_dump(mode="json", include=include, exclude=exclude)
    cut = _cut(whole, "")
    assert isinstance(cut, dict)
    return cut


def _is_known(value: Any, path: str) -> bool:
    if isinstance(value, list):
        return all(_is_known(item, path) for item in value)
    if path not in _KEYS or not isinstance(value, dict):
        return True
    known = _KEYS[path].split()
    return all(key in known and _is_known(item, _join(path, key)) for key, item in value.items())


def _cut(value: Any, path: str) -> Any:
    """The value without later keys."""
    if path not in _KEYS or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        return [_cut(item, path) for item in value]
    return {key: _cut(value[key], _join(path, key)) for key in _KEYS[path].split() if key in value}


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
