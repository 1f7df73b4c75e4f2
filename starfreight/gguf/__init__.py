"""Read the metadata of GGUF files, and run them."""
