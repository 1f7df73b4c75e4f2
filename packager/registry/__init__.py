"""Push a package to a registry; readers see it only when it is whole.

reference = parse_destination("registry.example.org/team/acme-coder:1.0")  # from starfreight.registry
published = publish(Path("packages/acme-coder"), reference, insecure=False, console=console)
"""

from starfreight.packager.registry.published import Published, PublishedTag
from starfreight.packager.registry.push import publish

__all__ = ["Published", "PublishedTag", "publish"]
