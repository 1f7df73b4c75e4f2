"""Jobs in a cluster: what is rendered for it, from templates, without a cluster at hand."""
