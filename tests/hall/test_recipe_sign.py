"""The recipe's ``publish.sign``: in no identity, without secrets, and one signer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from starfreight.commands.publish_checks import last_step_in_cluster
from starfreight.commands.recipe_signing import recipe_signer
from starfreight.errors import InputError, RecipeError
from starfreight.packager.provenance.signing.local_key import generate_key
from starfreight.recipe import load_recipe, recipe_digest, validate_recipe
from starfreight.recipe.models import Sign

RECIPE: dict[str, Any] = {
    "version": 1,
    "name": "tiny",
    "base": {"model": "./base", "license": "MIT"},
    "data": [{"source": "./src", "license": "MIT"}],
    "publish": {"reference": "registry.example.org/acme/coder:1.0"},
}


def with_sign(**sign: Any) -> dict[str, Any]:
    return {**RECIPE, "publish": {**RECIPE["publish"], "sign": sign}}


@pytest.mark.parametrize(
    "sign",
    [
        {"key": "acme.key"},
        {"key": "../keys/acme.key", "legacy": True, "model_signing": True},
        {"key": "pkcs11:token=release;id=%02"},
        {"key": "awskms:///alias/release"},
        {"key": "ci.key", "certificate": "ci.pem", "timestamps": "https://tsa.example.org/"},
        {"keyless": True, "trust_config": "sigstore.json"},
    ],
)
def test_signing_is_in_no_identity_and_stays_on_this_machine(sign: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(with_sign(**sign)))
    signed = load_recipe(tmp_path / "recipe.yaml").recipe
    plain = validate_recipe(RECIPE, "recipe")
    assert signed.publish is not None and signed.publish.sign is not None
    assert recipe_digest(signed) == recipe_digest(plain)
    assert signed.without_evaluation() == plain
    assert (last_step_in_cluster(plain), last_step_in_cluster(signed)) == ("publish", "package")


@pytest.mark.parametrize(
    ("sign", "words"),
    [
        ({}, "either key or keyless"),
        ({"key": "a", "keyless": True}, "either key or keyless"),
        ({"key": "a", "certificate": "b"}, "certificate and timestamps together"),
        ({"key": "a", "timestamps": "https://b/"}, "certificate and timestamps together"),
        (
            {"keyless": True, "certificate": "b", "timestamps": "https://b/"},
            "certificate and timestamps together",
        ),
        ({"key": "a", "trust_config": "b"}, "trust_config without keyless"),
        ({"keyless": True, "legacy": True}, "for a key alone"),
        ({"key": "a", "certificate": "b", "timestamps": "https://b/", "legacy": True}, "for a key alone"),
        ({"key": "pkcs11:id=%02?pin-value=canary"}, "holds a PIN"),
        ({"key": "pkcs11:id=%02?PIN-source=canary"}, "holds a PIN"),
        ({"key": "https://me:canary@host/"}, "looks like a key or a password"),
        ({"key": "a", "password": "canary"}, "(?s)password"),
    ],
)
def test_other_choices_are_refused_without_quoting_secrets(
    sign: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(with_sign(**sign)))
    with pytest.raises(RecipeError, match=words) as caught:
        load_recipe(tmp_path / "recipe.yaml")
    assert "canary" not in str(caught.value)


def test_files_are_found_beside_the_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        recipe_signer(Sign(key="keys/acme.key"), tmp_path)
    assert caught.value.where == str(tmp_path / "keys/acme.key")
    generate_key(tmp_path / "acme.key", tmp_path / "acme.pub", b"correct horse")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STARFREIGHT_KEY_PASSWORD", "correct horse")
        assert recipe_signer(Sign(key="acme.key"), tmp_path).name == "acme.key"
