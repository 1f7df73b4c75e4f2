"""Policies: a user's rules for packages, in a YAML file.

    policy = load_policy(Path("policy.yaml"))
    report = verify_signatures(layout, package, policy.trust)

Each section of the file is checked by one module in :mod:`starfreight.packager.provenance.policy.sections`.
"""

from starfreight.packager.provenance.policy.load import load_policy
from starfreight.packager.provenance.policy.policy import Policy

__all__ = ["Policy", "load_policy"]
