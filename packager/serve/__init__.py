"""A read-only registry for packages on this disk, for a laptop or a stick.

from starfreight.packager.serve.read_only_registry import serve_packages

with serve_packages([Path("packages/acme-coder")]) as registry:
    print(registry.tags[0].reference)  # 127.0.0.1:43211/starfreight/acme-coder:latest
"""
