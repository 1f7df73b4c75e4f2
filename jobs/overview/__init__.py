"""All runs everywhere: rows for ``starfreight runs``, from directories, containers and a cluster."""
