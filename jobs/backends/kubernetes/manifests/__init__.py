"""Renders the Kubernetes objects of a recipe's job from templates. No cluster is needed."""
