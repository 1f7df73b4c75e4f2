"""Whom to trust, and the check of a package's signatures.

    trust = load_trust(keys=[Path("acme.pub")])
    report = verify_signatures(ImageLayout(folder), Package.load(folder), trust)
    print(report.verified, report.signers, report.problems)

Each kind of signer is a :class:`starfreight.packager.provenance.trust.interface.BundleVerifier`.
"""

from starfreight.packager.provenance.trust.trust import Trust, load_trust
from starfreight.packager.provenance.trust.verify_signatures import verify_signatures

__all__ = ["Trust", "load_trust", "verify_signatures"]
