"""GGUF files: reading their metadata and running them."""
