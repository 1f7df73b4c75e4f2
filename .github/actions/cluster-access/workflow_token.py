"""A credential plugin of kubeconfigs: ``workflow_token.py AUDIENCE`` prints this workflow's identity token.

Tokens are valid for minutes. Clients run the plugin again when one has expired, for as long as the job runs.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import urllib.parse
import urllib.request
from datetime import UTC, datetime


def request_token(audience: str) -> str:
    """An identity token of GitHub Actions for an audience."""
    url = os.environ["ACTIONS_ID_TOKEN_REQUEST_URL"] + "&audience=" + urllib.parse.quote(audience, safe="")
    bearer = {"Authorization": "bearer " + os.environ["ACTIONS_ID_TOKEN_REQUEST_TOKEN"]}
    with urllib.request.urlopen(urllib.request.Request(url, headers=bearer), timeout=30) as answer:
        token: str = json.load(answer)["value"]
    return token


def credential(token: str) -> dict[str, object]:
    """The answer for a client: the token, and the end of its validity."""
    body = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    expires = datetime.fromtimestamp(claims["exp"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"token": token, "expirationTimestamp": expires}
    return {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}


if __name__ == "__main__":
    try:
        print(json.dumps(credential(request_token(sys.argv[1]))))
    except (OSError, KeyError, ValueError, IndexError) as error:
        # The kind alone: messages may hold addresses with secrets.
        sys.exit(f"GitHub gave no identity token: {type(error).__name__}")
