from __future__ import annotations

import pytest

from starfreight.registry.origins import Origin, is_own_token_service, origin_of


def origin(url: str) -> Origin:
    found = origin_of(url)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("https://ghcr.io", "https://ghcr.io/token"),
        ("https://registry-1.docker.io", "https://auth.docker.io/token"),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth"),
        ("https://quay.io", "https://quay.io/v2/auth"),
        ("https://europe-docker.pkg.dev", "https://europe-docker.pkg.dev/v2/token"),
        ("https://acme.azurecr.io", "https://acme.azurecr.io/oauth2/token"),
        ("https://registry.digitalocean.com", "https://api.digitalocean.com/v2/registry/auth"),
        ("https://us.icr.io", "https://icr.io/oauth/token"),
        ("https://git.example.org:5050", "https://git.example.org/jwt/auth"),
        ("https://registry.example.co.uk", "https://gitlab.example.co.uk/jwt/auth"),
        ("https://example.org", "https://auth.example.org/"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/token"),
        ("https://10.0.0.7:5000", "https://10.0.0.7/token"),
    ],
)
def test_token_services_of_the_registry_itself_get_the_password(registry: str, realm: str) -> None:
    assert is_own_token_service(origin(registry), origin(realm))


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("https://ghcr.io", "https://tokens.example.org/"),
        ("https://ghcr.io", "https://auth.docker.io/token"),
        ("https://ghcr.io", "https://ghcr.io.example.org/token"),
        ("https://ghcr.io", "https://evilghcr.io/token"),
        ("https://ghcr.io", "https://ghcr.io@example.org/token"),
        ("https://ghcr.io", "https://ghcr.io:8443/token"),
        ("https://ghcr.io", "http://ghcr.io/token"),
        ("https://acme.azurecr.io", "https://evil.azurecr.io/token"),
        ("https://acme.jfrog.io", "https://evil.jfrog.io/token"),
        ("https://a.dkr.ecr.eu-west-1.amazonaws.com", "https://b.s3.eu-west-1.amazonaws.com/"),
        ("https://acme.co.uk", "https://evil.co.uk/token"),
        ("https://registry.com", "https://com/token"),
        ("https://registry.localhost", "https://localhost/token"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token"),
        ("http://127.0.0.1:5000", "http://localhost:5000/token"),
        ("https://10.0.0.7", "https://11.0.0.7/token"),
        ("https://1.0.0.7", "https://9.1.0.0.7/token"),
        ("http://registry.example.org", "http://auth.example.org/token"),
    ],
)
def test_token_services_of_others_do_not(registry: str, realm: str) -> None:
    assert not is_own_token_service(origin(registry), origin(realm))


@pytest.mark.parametrize(
    ("url", "netloc"),
    [
        ("https://Registry.Example.ORG/v2/", "registry.example.org"),
        ("https://registry.example.org:443/v2/", "registry.example.org"),
        ("http://registry.example.org:443/v2/", "registry.example.org:443"),
        ("https://evil.example\\@registry.example.org/v2/", "evil.example"),
        ("https://registry.example.org@evil.example/v2/", "evil.example"),
    ],
)
def test_the_origin_is_the_one_that_requests_connects_to(url: str, netloc: str) -> None:
    assert origin(url).netloc == netloc


@pytest.mark.parametrize("url", ["", "registry.example.org", "file:///etc/passwd", "https://", "http://[::1"])
def test_other_addresses_have_no_origin(url: str) -> None:
    assert origin_of(url) is None
