"""Ask every client's questions, and collect the verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starfreight.console import Console
from starfreight.errors import StarfreightError
from starfreight.packager.doctor.interface import CannotPullError, PullingClient, Verdict
from starfreight.packager.doctor.live_release import LiveClient, LiveRelease, plain_tag
from starfreight.packager.doctor.table import CLIENTS
from starfreight.packager.registry.release_tags import missing_tag
from starfreight.packager.registry.remote_manifest import ACCEPT
from starfreight.registry.reference import SUFFIXES, parse_tag_reference


@dataclass(frozen=True)
class Diagnosis:
    """The verdicts on a release."""

    reference: str
    with_credentials: bool
    """This machine has credentials for the registry. Ollama and llama.cpp were tried without."""
    verdicts: tuple[Verdict, ...]

    def as_dict(self) -> dict[str, Any]:
        """The diagnosis as ``--json`` prints it."""
        return {
            "reference": self.reference,
            "with_credentials": self.with_credentials,
            "clients": [verdict.as_dict() for verdict in self.verdicts],
        }

    def as_text(self) -> str:
        """The diagnosis as a table, with reasons and remedies below each failure."""
        width = max(len(verdict.client) for verdict in self.verdicts)
        how = "this machine's credentials" if self.with_credentials else "no credentials"
        lines = [f"{self.reference}, with {how}:"]
        for verdict in self.verdicts:
            lines.append(
                f"  {'yes' if verdict.pulls else 'no ':3}  {verdict.client:{width}}  {verdict.command}"
            )
            indent = " " * (width + 9)
            if verdict.problem:
                lines.append(f"{indent}because {verdict.problem.rstrip('.')}")
            if verdict.fix:
                lines.append(f"{indent}fix: {verdict.fix}")
            lines += [f"{indent}note: {note}" for note in verdict.notes]
        return "\n".join(lines)


def diagnose(
    reference: str, *, insecure: bool, console: Console, clients: tuple[PullingClient, ...] = CLIENTS
) -> Diagnosis:
    """Replay each client's requests.

    Args:
        reference: ``HOST/NAMESPACE/NAME:TAG``; a suffix of a format is left out.
        insecure: use plain HTTP.
        console: shows progress.
        clients: the clients to try.

    Raises:
        InputError: malformed, or no such tag.
        ServiceError: no registry answers there.
    """
    asked = parse_tag_reference(reference)
    target = asked.with_tag(plain_tag(asked.tag))
    client = LiveClient(target, insecure=insecure)
    tags = (target.tag, *(target.tag + suffix for suffix in SUFFIXES))
    if client.lets_in() and not any(client.may_have(tag, ACCEPT) for tag in tags):
        raise missing_tag(target, insecure=insecure)
    release = LiveRelease(target, insecure, client)
    verdicts = []
    with console.progress("Asking", total=len(clients), unit="clients") as advance:
        for each in clients:
            verdicts.append(_verdict(each, release))
            advance(1)
    return Diagnosis(str(target), client.has_credentials, tuple(verdicts))


def _verdict(client: PullingClient, release: LiveRelease) -> Verdict:
    flag = "--insecure " if release.insecure else ""
    instead = f"starfreight package install {flag}{release.reference}"
    try:
        return client.check(release)
    except CannotPullError as error:
        return Verdict(client.name, False, instead, error.problem, error.fix)
    except StarfreightError as error:
        return Verdict(client.name, False, instead, error.what, error.fix)
