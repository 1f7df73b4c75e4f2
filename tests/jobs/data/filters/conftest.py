"""Documents for filters, and secrets assembled at run time so that no file contains one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from starfreight.files import sha256_bytes
from starfreight.jobs.data.filters.interface import Document
from starfreight.jobs.data.filters.license import license_of
from starfreight.jobs.data.languages import language_of
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe.data import Data

HEX = "0123456789abcdef"


@pytest.fixture(scope="session")
def make_sample() -> Callable[..., Sample]:
    def make(
        content: str | Mapping[str, Any] = "x = 1\n", path: str | None = "src/app.py", **more: Any
    ) -> Sample:
        data = str(content).encode("utf-8", "surrogatepass")
        return Sample(name=path or "a.jsonl:1", content=content, digest=sha256_bytes(data), size=len(data),
                      path=path, **more)  # fmt: skip

    return make


@pytest.fixture(scope="session")
def make_document(make_sample: Callable[..., Sample]) -> Callable[..., Document]:
    def make(
        content: str | Mapping[str, Any] = "x = 1\n",
        path: str | None = "src/app.py",
        *,
        data: Data | None = None,
        swhid: str | None = None,
        **more: Any,
    ) -> Document:
        sample = make_sample(content, path, **more)
        text = content if isinstance(content, str) else "\n\n".join(map(str, content.values()))
        license = license_of(text, sample.license, data or Data(source="./src"))
        return Document(sample, text, language_of(path), license, swhid)

    return make


@pytest.fixture(scope="session")
def secrets() -> dict[str, str]:
    """A made-up secret of each kind, in a line of code."""
    token = "aB3dE5gH7jK9mN1pQ3sT5vX7zB9dF1hJ3lN5pR7tV9xZ1bD3fH5jL7nP9rT1vX3zB5dF7"
    jwt = "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + token[:43]
    return {
        "Artifactory Credentials": f'key = "AKC{token[:40]}"',
        "AWS Access Key": 'id = "AKIA' + '4QWERTY7UIOP2ZXC"',
        "Azure Storage Account access key": f'"AccountKey={(token * 2)[:86]}=="',
        "Basic Auth Credentials": 'url = "postgres://app:s3cr' + 'etPw9@db.internal/x"',
        "Cloudant Credentials": 'cloudant_password = "' + "a1b2c3d4e5f60789" * 4 + '"',
        "Discord Bot Token": f"'M{token[:24]}.{token[:6]}.{token[:27]}'",
        "GitHub Token": f'"ghp_{token[:36]}"',
        "GitLab Token": f'"glpat-{token[:20]}"',
        "IBM Cloud IAM Key": f'ibm_api_key = "{token[:44]}"',
        "IBM COS HMAC Credentials": 'cos_secret_access_key = "' + "a1b2c3d4e5f60789" * 3 + '"',
        "JSON Web Token": f'"{jwt}"',
        "Mailchimp Access Key": '"' + "0a1b2c3d" * 4 + '-us12"',
        "NPM tokens": f"//registry.npmjs.org/:_authToken=npm_{token[:36]}",
        "OpenAI Token": f'"sk-{token[:20]}T3Blbk' + f'FJ{token[20:40]}"',
        "PyPI Token": f'"pypi-AgEIcHlwaS5vcmc{token}{token}"',
        "SendGrid API Key": f'"SG.{token[:22]}.{token[:43]}"',
        "Slack Token": '"xoxb-' + '1234567890-abcdef123456"',
        "SoftLayer Credentials": 'softlayer_api_key = "' + "a1b2c3d4e5f60789" * 4 + '"',
        "Square OAuth Secret": f'"sq0csp-{token[:43]}"',
        "Stripe Access Key": f'"sk_live_{token[:24]}"',
        "Telegram Bot Token": f'"110201543:{token[:35]}"',
        "Twilio API Key": '"SK' + "0a1b2c3d" * 4 + '"',
        "Secret Keyword": 'password = "correct-horse' + '-7-battery"',
        "Private Key": "-----BEGIN RSA PRIVATE"
        + f" KEY-----\n{token[:64]}\n{token[:64]}\n-----END RSA PRIVATE KEY-----",
    }
