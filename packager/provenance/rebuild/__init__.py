"""Make the GGUF files of a package again from its base model and adapter, and compare them.

with open_package("packages/acme-coder", console) as opened:
    request = RebuildRequest(base=Path("starcoder2-3b"), adapter=Path("adapter"))
    rebuilt = rebuild_package(opened, request, console)
    print(rebuilt.is_identical)
"""
