"""The plugins of `detect-secrets`, and the patterns triggering each of them.

A plugin is run on short pieces of a text around its triggers: patterns that are cheap, linear, and part of
every match of the plugin. This is twenty times as fast as running every plugin on every line, and bounds the
time spent on a hostile text, since some plugins' patterns are quadratic in the length of a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detect_secrets.plugins.base import BasePlugin

# A cloud provider's key follows a name of at most 30 letters and `=` with up to 8 blanks on each side.
_NAME = 64


@dataclass(frozen=True)
class Trigger:
    """A pattern near which a plugin can match.

    Attributes:
        pattern: linear in the length of the text.
        before: characters before the start of the pattern that the plugin may need.
        after: characters after it.
        in_lower_case: true if the pattern is matched against the text in lower case.
    """

    pattern: re.Pattern[str]
    before: int
    after: int
    in_lower_case: bool = False


def _trigger(pattern: str, before: int, after: int, in_lower_case: bool = False) -> Trigger:
    return Trigger(re.compile(pattern), before, after, in_lower_case)


_A_SECRET = _trigger("secret", _NAME, 160, in_lower_case=True)
_AN_URL = _trigger("://", 8, 512)

# By the names of detect-secrets' classes. Patterns start with letters where possible: these are found at 1
# GB/s, others at a tenth of it. Omitted: IPPublicDetector (an address is personal data, see
# personal_data.py); the entropy and keyword detectors (see passwords.py); and PrivateKeyDetector, which
# matches the header of a key without the key (see find_secrets.py).
TRIGGERS: dict[str, tuple[Trigger, ...]] = {
    "ArtifactoryDetector": (_trigger("AKC|AP[0-9A-F]", 1, 160),),
    "AWSKeyDetector": (
        _trigger("A3T|ABIA|ACCA|AKIA|ASIA", 0, 24),
        _trigger("aws", 0, 100, in_lower_case=True),
    ),
    "AzureStorageKeyDetector": (_trigger("AccountKey=", 0, 110),),
    "BasicAuthDetector": (_AN_URL,),
    "CloudantDetector": (
        _trigger("cl(?:ou|oudant)?[_-]?(?:api)?(?:key|pw|pass|token)", 4, 160, in_lower_case=True),
        _AN_URL,
    ),
    "DiscordBotTokenDetector": (_trigger(r"\.[a-zA-Z\d_-]{6}\.[a-zA-Z\d_-]{27}", 26, 40),),
    "GitHubTokenDetector": (_trigger("gh[pousr]_", 0, 48),),
    "GitLabTokenDetector": (
        _trigger("gl(?:pat|dt|ft|soat|rt|cbt|imt|ptt|agent|oas)-", 0, 1100),
        _trigger("GR1348941", 0, 80),
    ),
    "IbmCloudIamDetector": (_trigger(r"[ =:>\"'][A-Za-z0-9_\-]{44}", _NAME, 64),),
    "IbmCosHmacDetector": (_A_SECRET,),
    "JwtTokenDetector": (_trigger("eyJ", 0, 2048),),
    "MailchimpDetector": (_trigger("-us[0-9]", 32, 5),),
    "NpmDetector": (_trigger(":_authToken=", 256, 128),),
    "OpenAIDetector": (_trigger("T3BlbkFJ", 256, 32),),
    "PypiTokenDetector": (_trigger("pypi-AgE", 0, 512),),
    "SendGridDetector": (_trigger(r"SG\.", 0, 72),),
    "SlackDetector": (
        _trigger("xox[abposr]-", 0, 160, in_lower_case=True),
        _trigger(r"https://hooks\.slack\.com", 0, 160, in_lower_case=True),
    ),
    "SoftlayerDetector": (
        _trigger("sl[_-]?(?:api)?[_-]?(?:key|pwd|pass|token)", 4, 160, in_lower_case=True),
        _trigger("softlayer", 16, 160, in_lower_case=True),
    ),
    "SquareOAuthDetector": (_trigger("sq0csp-", 0, 56),),
    "StripeDetector": (_trigger("k_live_", 2, 40),),
    "TelegramBotTokenDetector": (_trigger(r":[0-9A-Za-z_-]{35}", 10, 40),),
    "TwilioKeyDetector": (_trigger("AC[a-z0-9]{32}", 0, 34), _trigger("SK[a-z0-9]{32}", 0, 34)),
}


def plugins() -> dict[str, BasePlugin]:
    """Return the plugins of :data:`TRIGGERS`, by name.

    Only their ``analyze_string`` is used, which reads no settings and does not verify keys with a service.
    """
    import importlib
    import pkgutil

    import detect_secrets.plugins

    found: dict[str, BasePlugin] = {}
    for module in pkgutil.iter_modules(detect_secrets.plugins.__path__):
        members = vars(importlib.import_module(f"detect_secrets.plugins.{module.name}"))
        found.update({name: members[name]() for name in TRIGGERS if name in members})
    return {name: found[name] for name in sorted(TRIGGERS)}


def pieces(text: str, lowered: str, trigger: Trigger) -> Iterator[tuple[int, int]]:
    """Yield the pieces to run a plugin on: each trigger with ``before`` and ``after`` around it, in its line.

    A character is in two pieces at most, regardless of the number of triggers.
    """
    seen = 0
    for match in trigger.pattern.finditer(lowered if trigger.in_lower_case else text):
        at = match.start()
        if at + trigger.after <= seen:
            continue
        seen = at + 2 * trigger.after
        start = max(at - trigger.before, text.rfind("\n", max(at - trigger.before, 0), at) + 1)
        end = text.find("\n", at, seen)
        yield start, end if end >= 0 else min(seen, len(text))


def lower_case(text: str) -> str:
    """Return ``text`` in lower case, with every character at its old position."""
    lowered = text.lower()
    return lowered if len(lowered) == len(text) else text.translate(_ASCII_LOWER)


_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
