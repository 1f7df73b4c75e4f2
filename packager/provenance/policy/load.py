"""Read a policy file: a :class:`Policy`, or one error that names the wrong key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from starfreight.errors import InputError, RecipeError
from starfreight.files import read_limited, sha256_bytes
from starfreight.opt_out_list import OptOutList
from starfreight.packager.provenance.policy.models import PolicyFile, Signers
from starfreight.packager.provenance.policy.policy import Policy
from starfreight.packager.provenance.trust import Trust
from starfreight.packager.provenance.trust.identity import TrustedIdentity
from starfreight.packager.provenance.trust.keys import TrustedKey
from starfreight.packager.provenance.trust.trust import RootedIdentities, rooted_identities
from starfreight.packager.provenance.trust.trusted_root import read_trusted_roots
from starfreight.recipe.explain import explain
from starfreight.recipe.yaml import parse_yaml

MAX_POLICY_BYTES = 256 << 10
NEWEST_VERSION = 1


def load_policy(path: Path) -> Policy:
    """Read a policy of at most 256 KiB, and the files that it names.

    Raises:
        InputError: a file is missing, too large, or not a key or a root.
        RecipeError: the policy is not UTF-8 or YAML, or a key is wrong.
    """
    content = read_limited(path, MAX_POLICY_BYTES, "policy")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"The policy is not UTF-8 (byte {error.start}).", where=str(path), fix="save it as UTF-8"
        ) from error
    file = validate_policy(parse_yaml(text, str(path), "policy"), str(path))
    try:
        trust = _trust(file.signers, path.parent) if file.signers else Trust()
        opt_out = _opt_out(file, path.parent)
    except InputError as error:
        raise InputError(error.what, where=error.where or str(path), fix=error.fix) from error
    return Policy(file, trust, str(path), sha256_bytes(content), opt_out)


def validate_policy(data: Any, where: str) -> PolicyFile:
    """The keys of a policy.

    Raises:
        RecipeError: a key is wrong; names the first one, and for an unknown key the nearest known one.
    """
    if not isinstance(data, dict):
        raise RecipeError(
            "The policy is not a mapping of keys to values.", where=where, fix="see: starfreight docs policy"
        )
    version = data.get("version")
    if isinstance(version, int) and version > NEWEST_VERSION:
        raise RecipeError(
            f"The policy has version {version}; this Starfreight reads versions up to {NEWEST_VERSION}.",
            where=f"{where}, key version",
            fix="upgrade Starfreight",
        )
    try:
        # By way of JSON: strict models accept a JSON list for a tuple, but not a Python list.
        text = json.dumps(data, allow_nan=False)
        return PolicyFile.model_validate_json(text)
    except ValidationError as error:
        raise explain(error, json.loads(text), where, PolicyFile, "policy") from error
    except (TypeError, ValueError) as error:
        raise RecipeError(
            f"The policy contains a value that is not plain data: {error}.",
            where=where,
            fix="use finite numbers, strings, lists and mappings",
        ) from error


def _trust(signers: Signers, folder: Path) -> Trust:
    keys = tuple(_key(each, number, folder) for number, each in enumerate(signers.keys))
    return Trust(keys, _rooted(signers, folder))


def _opt_out(file: PolicyFile, folder: Path) -> OptOutList | None:
    name = file.data.opt_out if file.data else None
    return None if name is None else OptOutList(_beside(folder, name))


def _key(text: str, number: int, folder: Path) -> TrustedKey:
    if text.lstrip().startswith("-----BEGIN"):
        return TrustedKey.parse(f"signers.keys[{number}]", text)
    return TrustedKey.read(_beside(folder, text))


def _rooted(signers: Signers, folder: Path) -> tuple[RootedIdentities, ...]:
    if not signers.identities:
        return ()
    chosen = [TrustedIdentity(each.identity, each.issuer, each.claims) for each in signers.identities]
    root = signers.trusted_root
    return (rooted_identities(chosen, () if root is None else read_trusted_roots(_beside(folder, root))),)


def _beside(folder: Path, name: str) -> Path:
    """A file beside the policy.

    Raises:
        InputError: it is elsewhere: policies come from others, and errors show parts of files.
    """
    if "\0" in name or not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"The policy names the file {name[:200]!r} outside of its directory.",
            fix="copy the file beside the policy",
        )
    return folder / name
