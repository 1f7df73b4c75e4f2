"""Jobs in a cluster: manifests, the client of its API, and the programs that run in pods."""
