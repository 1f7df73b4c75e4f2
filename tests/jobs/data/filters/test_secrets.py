from __future__ import annotations

import importlib
import logging
import pkgutil
import random
import string
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import detect_secrets.plugins
import pytest
from detect_secrets.plugins.base import RegexBasedDetector

from starfreight.jobs.data.filters.interface import Document
from starfreight.jobs.data.filters.secrets import SecretsFilter
from starfreight.secrets import KEY, find_secrets
from starfreight.secrets.detectors import TRIGGERS, plugins
from starfreight.secrets.find_secrets import is_placeholder, values_in
from starfreight.secrets.prefixed import prefixed_tokens
from starfreight.spans import replaced

CODE = "import os\n\n\ndef run(path):\n    return os.stat(path)\n" * 20


def test_each_kind_of_secret_is_found_in_the_middle_of_code(secrets: dict[str, str]) -> None:
    for kind, line in secrets.items():
        found = find_secrets(f"{CODE}{line}\n{CODE}")
        assert kind in [span.kind for span in found], kind


@pytest.mark.parametrize(
    ("prefix", "alphabet", "length", "kind"),
    [
        ("hf_", string.ascii_letters, 34, "Hugging Face Token"),
        ("api_org_", string.ascii_letters, 34, "Hugging Face Token"),
        ("npm_", string.ascii_letters + string.digits, 36, "NPM Token"),
        ("dckr_pat_", string.ascii_letters + string.digits, 27, "Docker Token"),
        ("sk-ant-api03-", string.ascii_letters + string.digits, 95, "Anthropic Key"),
        ("AIza", string.ascii_letters + string.digits, 35, "Google API Key"),
        ("ya29.", string.ascii_letters + string.digits, 120, "Google OAuth Token"),
        ("hvs.", string.ascii_letters + string.digits, 95, "Vault Token"),
        ("dop_v1_", "0123456789abcdef", 64, "DigitalOcean Token"),
        ("xapp-1-A1234567890-1234567890123-", "0123456789abcdef", 64, "Slack App Token"),
        ("github_pat_11ABCDEFG0aBcDeFgHiJkL_", string.ascii_letters + string.digits, 59, "GitHub Token"),
    ],
)
def test_tokens_with_a_service_s_prefix_are_found_and_replaced(
    prefix: str, alphabet: str, length: int, kind: str
) -> None:
    token = prefix + "".join(random.Random(3).choices(alphabet, k=length))
    for line in (f"login({token!r})", f"TOKEN={token}", f"# {token}, of the team"):
        text = f"{CODE}{line}\n{CODE}"
        found = find_secrets(text)
        assert [span.kind for span in found] == [kind], line
        assert replaced(text, found).count(KEY) == 1 and token not in replaced(text, found)
    # Part of a longer name, and too short.
    for other in (f"my_{token}", token[: len(prefix) + 10]):
        assert kind not in [span.kind for span in find_secrets(f"name = load({other})\n")], other


@pytest.mark.parametrize(
    "value", ["x" * 34, "from_pretrained_with_revision_name", "YOUR_TOKEN_GOES_IN_THIS_PLACE_HERE"]
)
def test_names_and_templates_of_tokens_stay(value: str) -> None:
    assert find_secrets(f"token = hf_{value}\n") == []


def test_many_prefixes_of_tokens_take_little_time() -> None:
    part = f"hf_{'a' * 33} npm_{'b' * 35} sk-ant-api03-{'c' * 70} hvs.{'d' * 80} "
    text = part * 3000
    begin = time.process_time()
    assert list(prefixed_tokens(text)) == []
    assert time.process_time() - begin < 2


def test_there_is_a_secret_to_test_each_plugin_with(secrets: dict[str, str]) -> None:
    assert {plugin.secret_type for plugin in plugins().values()} <= set(secrets)


def test_no_plugin_of_the_library_is_forgotten() -> None:
    chosen_otherwise = {"IPPublicDetector", "PrivateKeyDetector"}
    theirs = set()
    for module in pkgutil.iter_modules(detect_secrets.plugins.__path__):
        for name, member in vars(importlib.import_module(f"detect_secrets.plugins.{module.name}")).items():
            if isinstance(member, type) and issubclass(member, RegexBasedDetector):
                theirs.add(name)
    assert theirs - {"RegexBasedDetector"} == set(TRIGGERS) | chosen_otherwise


def test_looking_around_triggers_finds_all_that_looking_at_every_line_finds(secrets: dict[str, str]) -> None:
    lines = [line for kind, line in secrets.items() if kind not in ("Private Key", "Secret Keyword")]
    lines += [f"    x{number} = f({line})  # {line.upper()}" for number, line in enumerate(lines)]
    lines += [f"{'y' * 3000} {line} {'z' * 3000}" for line in lines]
    text = CODE.join(line + "\n" for line in lines)
    covered = {at for span in find_secrets(text) for at in range(span.start, span.end)}
    start = missed = found = 0
    for line in text.splitlines(keepends=True):
        for plugin in plugins().values():
            for value in values_in(line, plugin):
                at = start + line.find(value)
                found += 1
                missed += not is_placeholder(value) and at not in covered
        start += len(line)
    assert found > 60
    assert missed == 0


def test_a_replaced_text_holds_no_secret(secrets: dict[str, str]) -> None:
    for kind, line in secrets.items():
        text = f"{CODE}{line}\n{CODE}"
        result = replaced(text, find_secrets(text))
        assert find_secrets(result) == [], kind
        assert result.startswith(CODE)
        assert result.endswith(CODE)


def test_a_private_key_is_replaced_from_its_first_line_to_its_last(secrets: dict[str, str]) -> None:
    text = f"a = 1\n{secrets['Private Key']}\nb = 2\n"
    assert replaced(text, find_secrets(text)) == f"a = 1\n{KEY}\nb = 2\n"


def test_a_secret_is_replaced_wherever_it_stands_again(secrets: dict[str, str]) -> None:
    secret = secrets["Secret Keyword"].split('"')[1]
    text = f"{secrets['Secret Keyword']}\n# {secret} again\n"
    assert secret not in replaced(text, find_secrets(text))


def test_the_detail_says_kind_and_line_and_never_the_secret(
    secrets: dict[str, str], make_document: Callable[..., Document], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for kind, line in secrets.items():
            detail = SecretsFilter().reject(make_document(f"one\ntwo\n{line}\n"))
            assert detail is not None
            assert kind == "Artifactory Credentials" or "(line 3" in detail
            assert len(detail) < 80
            for word in line.replace('"', " ").replace("=", " ").split():
                assert len(word) < 12 or word not in detail
    assert caplog.text == ""


@pytest.mark.parametrize(
    "line",
    [
        'password = "password"',
        'password = getpass("Your password, 8 characters at least: ")',
        'token = os.environ["API_TOKEN_2"]',
        'api_key = "<your key 123456789>"',
        'secret = "${VAULT_SECRET_12345}"',
        'password = "{password1234}"',
        'secret_id = "123e4567-e89b-12d3-a456-426614174000"',
        'if "BEGIN RSA PRIVATE KEY" in text:\n    return load(text)',

               '-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCg\n-----END PUBLIC KEY-----',
        'digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"',
        'url = "https://user:password@host/path"',
        'url = "https://$USER:$PASSWORD1@host/path"',
        'key = "AKIAIOSFODNN7EXAMPLE"',
        "self.api_key = api_key",
        "ACacheManager.lookup(APDictionaryCache)",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_secret_stays(line: str) -> None:
    assert find_secrets(line) == []


def test_the_standard_library_holds_no_secret() -> None:
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    assert len(files) > 100
    assert [file.name for file in files if find_secrets(file.read_text(encoding="utf-8"))] == []


def test_a_secret_after_letters_that_grow_in_lower_case_is_replaced_where_it_is(
    secrets: dict[str, str],
) -> None:
    text = "İ" * 50 + "\n" + secrets["Slack Token"] + "\nend\n"
    assert replaced(text, find_secrets(text)) == "İ" * 50 + f'\n"{KEY}"\nend\n'
