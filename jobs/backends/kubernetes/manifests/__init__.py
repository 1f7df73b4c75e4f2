"""A recipe as objects of a cluster, from templates, without a cluster at hand."""
