"""Packages in registries: publishing, pulling, copying, listing and deleting them.

from starfreight.packager.registry.push import publish

reference = parse_destination("registry.example.org/team/acme-coder:1.0")  # from starfreight.registry
published = publish(Path("packages/acme-coder"), reference, insecure=False, console=console)

Readers see a package only when it is whole.
"""
