"""A recipe is published with the package, so none with a secret in it is read."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.errors import RecipeError
from starfreight.recipe import load_recipe
from starfreight.recipe.secrets import refuse_secrets

WriteRecipe = Callable[..., Path]
TOP = Path(__file__).parents[2]
TOKEN = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
AWS = "AKIA" + "Q3EGRIW7ZMBN4XKD"
PASSWORD = "q9Zx7TmB2vLp"
KEY = "-----BEGIN RSA PRIVATE KEY-----\\n" + "MIIEpAIBAAKCAQEA7bq" * 4


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        (f"package: {{system: 'Never tell anyone {TOKEN}.'}}", "package.system"),
        (f"package: {{template: '{{{{ .Prompt }}}} {AWS}'}}", "package.template"),
        (f"package: {{parameters: {{stop: ['a', '{TOKEN}']}}}}", "package.parameters.stop[1]"),
        (f"package: {{parameters: {{password: '{PASSWORD}'}}}}", "package.parameters.password"),
        (f"package: {{parameters: {{{TOKEN}: 1}}}}", "package.parameters"),
        (f'package: {{card: {{description: "{KEY}"}}}}', "package.card.description"),
        (f"package: {{card: {{url: 'https://ann:{PASSWORD}@acme.com/'}}}}", "package.card.url"),
        (
            f"package: {{card: {{limitations: 'psql postgres://app:{PASSWORD}@db/x'}}}}",
            "package.card.limitations",
        ),
        (f"sweep: {{package.system: ['a', 'Use {TOKEN}']}}", "sweep.package.system[1]"),
        (
            f"run: {{kubernetes: {{push_secret: '{AWS.lower()}', pull_secret: x}}, image: '{TOKEN}'}}",
            "run.image",
        ),
        (f"run: {{image: 'ann:{PASSWORD}@registry.example/trainer:1'}}", "run.image"),
        (f"run: {{image: 'ann:{PASSWORD}@registry.example/trainer@sha256:{'a' * 64}'}}", "run.image"),
        (f"publish: {{reference: 'ann:{PASSWORD}@registry.example/acme/coder:1'}}", "publish.reference"),
    ],
)
def test_a_secret_anywhere_is_refused_by_its_key_and_not_repeated(
    parts: str, key: str, write_recipe: WriteRecipe
) -> None:
    path = write_recipe(parts)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert "looks like a key or a password" in caught.value.what
    assert caught.value.where == f"{path}, key {key}"
    for secret in (TOKEN, AWS, PASSWORD, "MIIE"):
        assert secret not in str(caught.value)


def test_a_secret_in_an_option_is_refused_too(write_recipe: WriteRecipe) -> None:
    with pytest.raises(RecipeError, match="looks like a key"):
        load_recipe(write_recipe()).with_run_options(image=f"https://ann:{PASSWORD}@registry.example/trainer")


SHIPPED = sorted(
    path
    for folder in ("examples", "tests/golden/recipes", "tests/jobs/backends/kubernetes/recipes",
                   "starfreight/commands/sample")
    for path in (TOP / folder).rglob("*.yaml")
    if re.search(r"^version: 1$", path.read_text(), re.MULTILINE)
)  # fmt: skip


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_no_recipe_that_ships_is_refused(path: Path) -> None:
    assert load_recipe(path).recipe.version == 1


HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


@pytest.mark.parametrize("key", ["system", "source", "url", "reference", "push_secret"])
@pytest.mark.parametrize(
    "text",
    [
        HEX,
        HEX[:40],
        f"sha256:{HEX}",
        f"oci://registry.example/team/tokens@sha256:{HEX}",
        f"registry.example:5000/team/trainer:1.0@sha256:{HEX}",
        f"python:3.12@sha256:{HEX}",
        "mailto:jane.doe@acme.com",
        f"See https://github.com/acme/x/commit/{HEX[:40]} for tokens.",
        f"The password file has the digest {HEX}.",
        "swh:1:rev:309cf2674ee7a0749978cf8265ab91a60aea0f7d",
        "550e8400-e29b-41d4-a716-446655440000",
        "git:ssh://git@github.com/acme/secrets.git",
        "git@github.com:acme/token.git",
        "10.5281/zenodo.1234567",
        "/mnt/tokens/key-1234abcd5678efgh",
        "./data/secret-santa/tokens_2024.jsonl",
        "acme/secret-santa-7b-v2",
        "dataset:acme/token-classification-2024-q3-v1",
        "registry-push-2024",
        "jane.doe@acme.com",
        'password = os.environ["DB_PASSWORD_2"]',
        'api_key="YOUR_API_KEY"',
        "token: <YOUR_TOKEN_1>",
        'curl -H "Authorization: Bearer $TOKEN" https://acme.com',
        "postgres://user:password@localhost:5432/db in code",
        'def login(user, password="secret"):\n    return token(user, password)',
        "assert token == 'abc123def456'",
        "<|im_start|>system\n{{ .System }}<|im_end|>",
        "Keys such as sk-... stay placeholders: {{ .Secret }}",
    ],
)
def test_digests_addresses_paths_and_code_are_no_secrets(key: str, text: str) -> None:
    refuse_secrets({key: text}, "recipe.yaml")


def test_an_ordinary_recipe_needs_no_detectors() -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom starfreight.recipe import load_recipe\n"
        "load_recipe(Path(sys.argv[1]))\n"
        "print([n for n in ('detect_secrets', 'requests') if n in sys.modules])\n"
    )
    path = TOP / "starfreight/commands/sample/recipe.yaml"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
