from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from starfreight.console import Console
from starfreight.errors import ServiceError
from starfreight.image import BuiltImage
from starfreight.images.push import _account, push_image

pytestmark = pytest.mark.usefixtures("plain_environment")


def push(address: str, port: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The error of a push through an engine at an address, to a registry that does not run."""
    engine = SimpleNamespace(api=SimpleNamespace(base_url=address))
    monkeypatch.setattr("starfreight.images.push.connect", lambda seconds: engine)
    monkeypatch.setattr("starfreight.registry.session.BACKOFF_FACTOR", 0.01)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", "pilot")
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", "secret")
    image = BuiltImage.model_construct()
    with pytest.raises(ServiceError) as caught:
        push_image(image, f"127.0.0.1:{port}/team/trainer:1.0", Console(quiet=True))
    return str(caught.value)


@pytest.mark.parametrize("address", ["http://10.0.0.9:2375", "http://engine.example.org:2375"])
def test_an_engine_elsewhere_over_plain_http_does_not_get_the_password(
    address: str, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "could read the registry's password" in push(address, free_port(), monkeypatch)


@pytest.mark.parametrize(
    "address",
    ["http+docker://localhost", "http+docker://ssh", "https://10.0.0.9:2376", "http://127.0.0.1:2375"],
)
def test_other_engines_may_push(
    address: str, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "cannot be reached" in push(address, free_port(), monkeypatch)


@pytest.mark.parametrize(
    ("login", "account"),
    [
        (None, {"username": "", "password": ""}),
        (("pilot", "secret"), {"username": "pilot", "password": "secret"}),
        (("<token>", "abc"), {"identitytoken": "abc"}),
    ],
)
def test_the_engine_gets_an_identity_token_as_one(
    login: tuple[str, str] | None, account: dict[str, str]
) -> None:
    assert _account(login) == account
