"""Signatures of in-toto statements, as Sigstore bundles that cosign and gh read."""
