"""Sends metrics to a Pushgateway (https://github.com/prometheus/pushgateway), a group for each run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from starfreight.errors import InputError, ServiceError
from starfreight.jobs.metrics.exposition import CONTENT_TYPES, Sample, exposition

JOB = "starfreight"
_PATIENCE = (5.0, 15.0)
_WORDS = 200
"""Bytes of a refusal that are read and shown; a server may send without end."""


def check_address(address: str) -> None:
    """Checks the address of a Pushgateway.

    Raises:
        InputError: it is not an http or https address, or holds a password.
    """
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or True)
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment:
        raise InputError(
            "The address of the Pushgateway is not valid.",
            where="option --push",
            fix="write it as http://pushgateway.example:9091",
        )
    if parts.username or parts.password:
        # Other users of the machine can read the arguments of commands.
        raise InputError(
            "The address of the Pushgateway holds a user name or a password.",
            where="option --push",
            fix="put them into ~/.netrc",
        )


def push(samples: Iterable[Sample], address: str) -> int:
    """Replaces the metrics of each run in the Pushgateway; returns the number of groups.

    Args:
        samples: of all runs; those without a run make a group of their own.
        address: of the Pushgateway.

    Raises:
        ServiceError: it does not answer, or refuses.
    """
    import requests
    from urllib3.util import Retry

    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.labels.get("run", "")].append(sample)
    where = urlsplit(address).netloc
    with requests.Session() as session:
        # PUT replaces a whole group, so repeating one changes nothing.
        retry = Retry(
            total=3, backoff_factor=0.3, status_forcelist=(429, 502, 503, 504), raise_on_status=False,
            allowed_methods={"PUT"}, redirect=False,
        )  # fmt: skip
        for scheme in ("http://", "https://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=retry))
        for run, found in groups.items():
            group = f"/run/{quote(run, safe='')}" if run else ""
            try:
                answer = session.put(
                    f"{address.rstrip('/')}/metrics/job/{JOB}{group}",
                    data=exposition(found, "prometheus").encode(),
                    headers={"Content-Type": CONTENT_TYPES["prometheus"]},
                    timeout=_PATIENCE,
                    allow_redirects=False,
                    stream=True,
                )
                said = b"" if answer.ok else next(answer.iter_content(_WORDS), b"")
                answer.close()
            except requests.RequestException as error:
                raise ServiceError(
                    f"The Pushgateway does not answer: {type(error).__name__}.",
                    where=where,
                    fix="check the address, the network and the proxy",
                ) from error
            if answer.status_code >= 300:
                raise ServiceError(
                    f"The Pushgateway answered with status {answer.status_code}: "
                    f"{' '.join(said.decode('utf-8', 'replace').split()) or answer.reason}.",
                    where=where,
                    fix="check the address and the credentials in ~/.netrc",
                )
    return len(groups)
