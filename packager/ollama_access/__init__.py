"""Access for people who hold an Ollama key: authorized keys, Ollama's own sign-in, signed blob addresses.

Nothing here serves HTTP. The gateway's token service and ``package serve --keys`` do.

    keys = AuthorizedKeysFile(Path("authorized_keys"))
    signer = Signer(secrets.token_bytes(32))
    exchange = Exchange(keys.read, signer)
    exchange.challenge("https://models.example/token", "team/coder")    # for WWW-Authenticate
    issued = exchange.answer("https://models.example/token?...", authorization)    # issued.token
    key = exchange.check(authorization, "team/coder")
    addresses = SignedAddresses(keys.read, signer)
    addresses.sign("team/coder", digest, key)    # "exp=...&key=...&sig=..."
    key = addresses.check("team/coder", digest, query)
"""

from starfreight.packager.ollama_access.exchange import Exchange, Issued
from starfreight.packager.ollama_access.keys import (
    AuthorizedKeys,
    AuthorizedKeysFile,
    Key,
    parse_authorized_keys,
)
from starfreight.packager.ollama_access.refusal import AccessRefused
from starfreight.packager.ollama_access.repositories import RepositoryPattern, is_repository
from starfreight.packager.ollama_access.signatures import Signer
from starfreight.packager.ollama_access.signed_address import SignedAddresses

__all__ = [
    "AccessRefused", "AuthorizedKeys", "AuthorizedKeysFile", "Exchange", "Issued", "Key", "RepositoryPattern",
    "SignedAddresses", "Signer", "is_repository", "parse_authorized_keys",
]  # fmt: skip
