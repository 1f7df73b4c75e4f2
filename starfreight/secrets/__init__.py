"""Keys, tokens and passwords in texts: in training data, and in recipes before they are published."""

from starfreight.secrets.find_secrets import KEY, find_secrets
from starfreight.secrets.passwords import PASSWORD

__all__ = ["KEY", "PASSWORD", "find_secrets"]
