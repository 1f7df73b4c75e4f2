"""A file of a model on the hub, read by byte ranges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
from huggingface_hub import HfApi, constants, get_session, get_token, hf_hub_url
from huggingface_hub.hf_api import RepoFile

from starfreight.base_artifact import WEIGHTS
from starfreight.errors import InputError, ServiceError
from starfreight.hub_snapshot import NOT_SHOWN, hub_errors
from starfreight.registry.retries import retry_after
from starfreight.registry.session import RETRY_STATUSES
from starfreight.remote_weights.byte_source import Broken, RangeAnswer

_SECONDS = 30.0
"""Longest silence of a server."""


class HubSource:
    """A file of a model at a commit.

    The hub redirects to a store with a link of limited time, so each request begins at the hub. httpx takes
    the token out of a request that is redirected to another origin.

    Args:
        url: its address at the hub.
        where: the file, for an error.
        size: its length in bytes.
        digest: its digest.
    """

    def __init__(self, url: str, where: str, size: int, digest: str) -> None:
        self._url = url
        self.where, self.size, self.digest = where, size, digest

    @contextmanager
    def request(self, start: int, stop: int) -> Iterator[RangeAnswer]:
        """Request bytes ``start`` to ``stop``.

        Raises:
            Broken: the connection broke, or the hub is busy.
            InputError: the hub no longer has the file, or denies access.
            ServiceError: the hub refuses.
        """
        # Count and hash the bytes as stored: no proxy may compress them.
        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            with get_session().stream(
                "GET", self._url, headers=headers, timeout=_SECONDS, follow_redirects=True
            ) as response:
                status = response.status_code
                if status in RETRY_STATUSES:
                    raise Broken(
                        f"the hub answers with status {status}",
                        retry_after(response.headers.get("Retry-After")),
                    )
                if status in NOT_SHOWN:
                    raise InputError(
                        f"The hub no longer gives out a file of the base model (status {status}).",
                        where=self.where,
                        fix="check that you still have access to the model, and HF_TOKEN",
                    )
                content_range = response.headers.get("Content-Range", "")
                yield RangeAnswer(status, content_range, _pieces(response))
        except httpx.TransportError as error:
            raise Broken(f"the connection failed ({type(error).__name__})") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServiceError(
                f"The hub's answer for a file of the base model is invalid ({type(error).__name__}).",
                where=self.where,
                fix="run the same command again later",
            ) from error


def _pieces(response: httpx.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_raw()
    except (httpx.TransportError, httpx.StreamError) as error:
        raise Broken(f"the connection broke ({type(error).__name__})") from error


def hub_sources(name: str, revision: str) -> Mapping[str, HubSource]:
    """The files of weights in a model's top directory, by name.

    Args:
        name: ``organisation/name``.
        revision: the commit.

    Raises:
        InputError: no such model or commit, access is denied, or a file's digest is unknown.
        ServiceError: the hub does not answer.
    """
    found = {}
    with hub_errors(name, revision, "model"):
        entries = [
            entry
            for entry in HfApi().list_repo_tree(name, revision=revision)
            if isinstance(entry, RepoFile) and entry.path.endswith(WEIGHTS) and int(entry.size) >= 0
        ]
    for entry in entries:
        where = f"{name}@{revision}/{entry.path}"
        if entry.lfs is None:
            raise InputError(
                "The hub gives no SHA-256 for a file of weights, which is not in its large file storage.",
                where=where,
                fix="download the base (--no-stream-base), or name a directory with it",
            )
        url = hf_hub_url(name, entry.path, revision=revision)
        found[entry.path] = HubSource(url, where, int(entry.size), f"sha256:{entry.lfs.sha256}")
    return found
