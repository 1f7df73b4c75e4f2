"""Results in object storage: S3, Google Cloud Storage and Azure, by obstore's fsspec file system.

    PREFIX/names/NAME.json                 the index with a name; written last
    PREFIX/digests/HEX.json                the same by its digest
    PREFIX/files/JOB/HEX                   files by their digests, owned by the job that has sent them

Files that a job's newer result no longer contains are deleted after its names have moved. Credentials come
from the environment (``AWS_ACCESS_KEY_ID``, ``GOOGLE_SERVICE_ACCOUNT``, ``AZURE_STORAGE_ACCOUNT_NAME``) or
from the identity of the pod or machine, as obstore reads them.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from starfreight.console import Advance
from starfreight.errors import GateError, InputError, ServiceError
from starfreight.files import atomic_write, sha256_bytes, sha256_file
from starfreight.results.address import Place
from starfreight.results.index import MAX_INDEX_BYTES, ResultFile, ResultIndex, read_index

_CHUNK = 16 << 20
"""Bytes of one request: a file is read by ranges."""
_RETRIES = 5
_PATIENCE = datetime.timedelta(seconds=60)
_OF_CREDENTIALS = ("credential", "metadata", "169.254.", "token", "account must be")
"""Words in errors of obstore that found no credentials, and looked for an identity of the machine."""
_PAST_THE_END = "416 Range Not Satisfiable"
"""In the error of an object that is shorter than expected: HTTP has no empty ranges."""
_QUERY = re.compile(r"\?[^\s\"']+")


class ObjectStorageResults:
    """See :class:`starfreight.results.interface.ResultsStore`."""

    def __init__(self, place: Place, *, write: bool = False) -> None:
        self._place = place
        self._root = f"{place.host}/{place.path}".rstrip("/")
        self._files = _file_system(place)
        self._sent: set[str] = set()
        self._previous: ResultIndex | None = None

    def find(self, name: str) -> ResultIndex | None:
        """See :meth:`ResultsStore.find`."""
        by_digest = name.startswith("sha256:")
        where = f"{self._place}{'@' if by_digest else ':'}{name}"
        path = f"digests/{name.removeprefix('sha256:')}.json" if by_digest else f"names/{name}.json"
        try:
            with self._errors(f"reading {name}", missing=True):
                # A range is clipped at the object's end.
                data = bytes(self._files.cat_file(self._path(path), start=0, end=MAX_INDEX_BYTES + 1))
        except FileNotFoundError:
            return None
        if len(data) > MAX_INDEX_BYTES or (by_digest and sha256_bytes(data) != name):
            raise GateError(
                "The index of the result does not match its digest, or is too large.",
                where=where,
                fix="do not use this result",
            )
        return read_index(data, where)

    def get(self, index: ResultIndex, file: ResultFile, to: Path, advance: Advance) -> None:
        """See :meth:`ResultsStore.get`."""
        digest, size = hashlib.sha256(), 0
        with atomic_write(to) as out:
            for piece in self._pieces(index, file) if file.size else ():
                digest.update(piece)
                size += len(piece)
                out.write(piece)
                advance(len(piece))
            if size != file.size or "sha256:" + digest.hexdigest() != file.digest:
                raise GateError(
                    f"The storage sent other bytes than those of {file.path[:200]!r} ({file.digest}).",
                    where=str(self._place),
                    fix="do not use this result; run the job again",
                )

    def _pieces(self, index: ResultIndex, file: ResultFile) -> Iterator[bytes]:
        """The bytes of a file, at most one byte more than its size."""
        size = 0
        while size <= file.size:
            # The last range asks for a byte more, to notice a longer object.
            end = size + _CHUNK if file.size - size > _CHUNK else file.size + 1
            try:
                with self._errors(f"fetching {file.path}", missing=True):
                    piece = bytes(self._files.cat_file(self._file(index, file), start=size, end=end))
            except FileNotFoundError:
                raise _missing(file, self._place) from None
            except ServiceError as error:
                if _PAST_THE_END in str(error.__cause__):
                    return
                raise
            yield piece
            if len(piece) < end - size:
                return
            size = end

    def put(self, index: ResultIndex, folder: Path, names: Sequence[str], advance: Advance) -> str:
        """See :meth:`ResultsStore.put`."""
        # The job's own name is the last one; another job may have sent the same run.
        there = None
        with contextlib.suppress(GateError, InputError):
            there = self.find(names[-1])
        if there != self._previous:
            # Of the pod before, whose files are taken over, or of a second one at the same time: this one may
            # have deleted what was sent from here.
            self._previous, self._sent = there, set()
        for file in index.contents():
            self._send(index, file, folder / file.path)
            advance(file.size)
        data, digest = index.as_bytes(), index.digest
        with self._errors("writing the index"):
            self._files.pipe_file(self._path(f"digests/{digest.removeprefix('sha256:')}.json"), data)
            for name in names:
                self._files.pipe_file(self._path(f"names/{name}.json"), data)
        self._sent = {file.digest for file in index.contents()}
        self._delete_old(index)
        self._previous = index
        return digest

    def _send(self, index: ResultIndex, file: ResultFile, path: Path) -> None:
        target = self._file(index, file)
        if file.digest in self._sent:
            return
        # Objects appear whole, under their digests. (fsspec's info() would also need the right to list.)
        with self._errors(f"sending {file.path}"), contextlib.suppress(FileNotFoundError):
            self._files.cat_file(target, start=0, end=1)
            return
        if sha256_file(path) != file.digest:
            raise GateError(
                "A file has changed while it was sent.", where=str(path), fix="run the same command again"
            )
        with self._errors(f"sending {file.path}"):
            self._files.put_file(str(path), target)

    def _delete_old(self, index: ResultIndex) -> None:
        """Delete files that only the previous result of this job has. Without the right to, they stay."""
        old = self._previous
        if old is None or old.job != index.job or old.digest == index.digest:
            return
        kept = {file.digest for file in index.contents()}
        gone = [self._file(old, file) for file in old.contents() if file.digest not in kept]
        gone.append(self._path(f"digests/{old.digest.removeprefix('sha256:')}.json"))
        for path in gone:
            with contextlib.suppress(Exception):
                self._files.rm_file(path)

    def _file(self, index: ResultIndex, file: ResultFile) -> str:
        return self._path(f"files/{index.job}/{file.digest.removeprefix('sha256:')}")

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextlib.contextmanager
    def _errors(self, doing: str, *, missing: bool = False) -> Iterator[None]:
        """Translate errors of obstore; with ``missing`` all but that of a missing object."""
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        try:
            yield
        except FileNotFoundError as error:
            if missing:
                raise
            raise ServiceError(
                "The bucket does not exist, or an object in it is gone.",
                where=f"{self._place}, while {doing[:200]}",
                fix="check the address, the region and the endpoint (AWS_REGION, AWS_ENDPOINT_URL)",
            ) from error
        except (BaseError, OSError) as error:
            refused = isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError)
            # Signed addresses are credentials.
            first_line = str(error).strip().partition("\n")[0].partition(": <")[0]  # Without XML.
            said = _QUERY.sub("?...", first_line)[:300]
            fix = "check the address, the region and the endpoint, or run the same command later"
            if refused or any(word in said.lower() for word in _OF_CREDENTIALS):
                fix = (
                    "set the credentials of the storage in the environment or in the Secret of the job "
                    "(run.kubernetes.results_secret); see: starfreight docs kubernetes"
                )
            elif "builder error" in said:  # The HTTP client refuses the address.
                fix = "check the endpoint; for plain http, set AWS_ALLOW_HTTP=true"
            raise ServiceError(
                f"The object storage {'refuses' if refused else 'fails'}: {said.rstrip('.')}.",
                where=f"{self._place}, while {doing[:200]}",
                fix=fix,
            ) from error


def _file_system(place: Place) -> Any:
    try:
        from obstore.fsspec import FsspecStore
    except ImportError as error:
        raise InputError(
            "The library for object storage is not installed.",
            where=str(place),
            fix="pip install 'starfreight[object-storage]'",
        ) from error
    # Not cached: the environment may have changed since an earlier one was made.
    store: Any = FsspecStore
    return store(
        place.scheme,
        retry_config={"max_retries": _RETRIES, "retry_timeout": _PATIENCE},
        skip_instance_cache=True,
    )


def _missing(file: ResultFile, place: Place) -> ServiceError:
    return ServiceError(
        f"{file.path[:200]!r} is gone: a newer result of the job has replaced this one meanwhile.",
        where=str(place),
        fix="run the same command again",
    )
