"""The stores by the scheme of their address. Their libraries are imported on first use."""

from __future__ import annotations

import importlib

from starfreight.results.address import Place
from starfreight.results.interface import ResultsStore

STORES = {
    "oci": "starfreight.results.registry:RegistryResults",
    "oci+http": "starfreight.results.registry:RegistryResults",
    "s3": "starfreight.results.object_storage:ObjectStorageResults",
    "gs": "starfreight.results.object_storage:ObjectStorageResults",
    "az": "starfreight.results.object_storage:ObjectStorageResults",
}
"""``module:class`` of each :class:`ResultsStore`."""


def open_store(place: Place, *, write: bool = False) -> ResultsStore:
    """Open the store of a place.

    Args:
        place: its address.
        write: results will be sent, by the order of the user's recipe.

    Raises:
        InputError: its library is not installed, or the credentials are incomplete.
        ServiceError: it cannot be reached.
    """
    module, _, attribute = STORES[place.scheme].partition(":")
    store: ResultsStore = getattr(importlib.import_module(module), attribute)(place, write=write)
    return store
