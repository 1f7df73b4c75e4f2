"""Read an OCI image layout on disk."""
