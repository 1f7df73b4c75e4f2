"""Files generated from the policy's models: the JSON Schema for editors, and the reference in Markdown.

Run ``python -m starfreight.packager.provenance.policy.schema docs/policy.md`` after a change of the models.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from starfreight.files import write_bytes, write_json
from starfreight.packager.provenance.policy.models import PolicyFile
from starfreight.recipe.schema import reference

SCHEMA_FILE = Path(__file__).with_name("policy.schema.json")
HEADING = "## Reference"


def policy_schema() -> dict[str, Any]:
    """The schema as JSON Schema 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **PolicyFile.model_json_schema(),
        "title": "Starfreight policy",
    }


def policy_reference() -> str:
    """The reference in Markdown: each key with its default and its meaning."""
    lines = [HEADING, "", "Generated from the models."]
    lines += [f"#{line}" if line.startswith("#") else line for line in reference(PolicyFile)]
    return "\n".join(lines) + "\n"


def with_reference(page: str) -> str:
    """A page that ends with its reference, made anew."""
    return page.partition(HEADING)[0] + policy_reference()


if __name__ == "__main__":
    write_json(SCHEMA_FILE, policy_schema())
    for name in sys.argv[1:]:
        path = Path(name)
        write_bytes(path, with_reference(path.read_text()).encode())
