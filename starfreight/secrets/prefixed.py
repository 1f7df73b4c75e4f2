"""Tokens that services mark by a prefix, and that `detect-secrets` 1.5 does not know.

The prefixes and lengths are those of the services' documentation, and of GitHub's secret scanning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from starfreight.secrets.passwords import looks_random

# Kind, prefix to search for, pattern. All repetitions are bounded: the time is linear in the text.
_TOKENS = tuple(
    (kind, prefix, re.compile(rf"(?<![A-Za-z0-9_-]){pattern}(?![A-Za-z0-9_-])"))
    for kind, prefix, pattern in (
        ("Hugging Face Token", "hf_", r"hf_([A-Za-z0-9]{34,40})"),
        ("Hugging Face Token", "api_org_", r"api_org_([A-Za-z0-9]{34})"),
        ("GitHub Token", "github_pat_", r"github_pat_([A-Za-z0-9]{22}_[A-Za-z0-9]{59})"),
        ("NPM Token", "npm_", r"npm_([A-Za-z0-9]{36})"),
        ("Docker Token", "dckr_", r"dckr_(?:pat|oat)_([A-Za-z0-9_-]{27,64})"),
        ("Anthropic Key", "sk-ant-", r"sk-ant-[a-z0-9]{2,8}-([A-Za-z0-9_-]{80,128})"),
        ("Google API Key", "AIza", r"AIza([A-Za-z0-9_-]{35})"),
        ("Google OAuth Token", "ya29.", r"ya29\.([A-Za-z0-9_-]{60,512})"),
        ("Vault Token", "hvs.", r"hvs\.([A-Za-z0-9_-]{90,256})"),
        ("DigitalOcean Token", "_v1_", r"do[opr]_v1_([a-f0-9]{64})"),
        ("Slack App Token", "xapp-", r"xapp-[0-9]-[A-Z0-9]{8,16}-[0-9]{10,16}-([a-f0-9]{64})"),
    )
)


def prefixed_tokens(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and kind of each token."""
    for kind, prefix, pattern in _TOKENS:
        if prefix in text:
            for match in pattern.finditer(text):
                if _is_random(match[1]):
                    yield match.start(), match.end(), kind


def _is_random(value: str) -> bool:
    """True for letters and digits, or, as in Hugging Face's tokens, for many letters of both cases."""
    letters = {each for each in value if each.isalpha()}
    mixed = value != value.lower() and value != value.upper() and len(letters) >= 12
    return mixed or looks_random(value, 6)
