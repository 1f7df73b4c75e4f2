"""The licenses as YAML files, one per license or family, and the texts that come with Starfreight."""
