"""Sends a pod's run to a store of results (:mod:`starfreight.results`), and takes it back in a new pod."""
