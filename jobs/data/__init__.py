"""Training data: sources, filters, formats, the manifest, and the token blocks."""
