"""Weights read by byte ranges from a hub or a registry, in place of a download.

    base = open_streamed(Base(model="bigcode/starcoder2-15b", revision="..."))
    base.weights.verify("model-00001-of-00014.safetensors", advance)     # reads it once
    checkpoint = open_checkpoint(base)                                    # reads what it needs, once more

Every block of a file has a digest from the first reading. A source that sends other bytes later is found out.
"""

from starfreight.remote_weights.open_streamed import open_streamed

__all__ = ["open_streamed"]
