"""From a recipe to prepared runs: inputs located, checked and digested."""
