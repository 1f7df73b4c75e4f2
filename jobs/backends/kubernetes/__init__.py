"""Jobs in a cluster: what is rendered for it, how it is asked, and what a pod writes home."""
