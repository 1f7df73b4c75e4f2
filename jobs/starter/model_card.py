"""The starter's model card."""

from __future__ import annotations

from typing import Any


def model_card(manifest: dict[str, Any]) -> str:
    """The README of a model directory, rendered from its manifest."""
    shape, held_out = manifest["settings"]["shape"], manifest["held_out"]
    millions = f"{manifest['parameters'] / 1e6:.2f} million"
    training = [file for file in manifest["files"] if not file["held_out"]]
    measured = [file for file in manifest["files"] if file["held_out"]]
    megabytes = [sum(file["size"] for file in part) / 1e6 for part in (training, measured)]
    return f"""---
license: other
license_name: psf-2.0
license_link: LICENSE
language: code
library_name: transformers
pipeline_tag: text-generation
tags: [code, fill-in-the-middle, starcoder2]
---

# Starfreight starter

A StarCoder2 of {millions} parameters, trained from nothing on the source of the
Python {manifest["python"]} standard library. It exists so that Starfreight's whole line can be tried on a
laptop within minutes: its architecture, special tokens and pre-tokenizer are StarCoder2's, its size is
not. It writes Python-shaped lines and is no use as an assistant.

| | |
|---|---|
| layers, hidden size, feed-forward size | {shape["layers"]}, {shape["hidden"]}, {shape["feed_forward"]} |
| heads, key-value heads | {shape["heads"]}, {shape["key_value_heads"]} |
| vocabulary, context | {shape["vocabulary"]}, {shape["context_length"]} |
| trained on | {len(training)} modules, {megabytes[0]:.1f} MB |
| tokens seen | {manifest["tokens_seen"] / 1e6:.1f} million in {manifest["steps"]:,} steps |
| first half of the steps | half plain, half fill-in-the-middle (PSM and SPM, half of the cuts in a line) |
| second half | 90% fill-in-the-middle, shorter pieces (30% SPM, three quarters of the cuts in a line) |

Measured on {len(measured)} modules that were held out ({megabytes[1]:.2f} MB):

| | |
|---|---|
| loss, nats a token | {held_out["loss"]:.3f} |
| bits a byte of source | {held_out["bits_per_byte"]:.3f} |
| loss on examples made as in the first half | {held_out["training_loss"]:.3f} |
| single lines filled in to the letter | {held_out["lines_right"]} of {held_out["lines"]} |

`data-manifest.json` lists every module with its digest, and the digests of the model's own files.
`starfreight starter build --steps {manifest["steps"]}` with the same Python and torch makes it again.

The standard library is under the Python Software Foundation License, version 2, which is beside this file
in `LICENSE`. Starfreight's authors changed it into model weights as described above.
"""
